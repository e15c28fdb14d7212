"""`lorabert data`: assets and files."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from lorabert import config
from lorabert.cli.output import HEADER, JSON, SKIP_BAD_ROWS, Output, output
from lorabert.config import options_parser, parse
from lorabert.errors import InputError, quoted


def main(argv: list[str]) -> None:
    """List the assets, show one, or check a file."""
    parser = options_parser(
        "lorabert data",
        "list: the models and data sets that wheels on PyPI carry. show NAME: one of them. check FILE...: what a file of "
        "labelled texts holds and what is wrong with it.",
    )
    parser.add_argument("action", choices=["list", "show", "check"], help="What to do.")
    parser.add_argument("names", nargs="*", default=[], help="An asset to show; or a file to check, or a train file and others.")
    parser.add_argument("--text", type=str, default=None, help="Column that holds the text; found by its name.")
    parser.add_argument("--text_pair", type=str, default=None, help="Column that holds a second text, for pairs of texts.")
    parser.add_argument("--label", type=str, default=None, help="Column that holds the label; found by its name.")
    parser.add_argument("--encoding", type=str, default="utf-8", help="Character encoding of the file.")
    parser.add_argument("--header", choices=["auto", "first", "none"], default="auto", help=HEADER)
    parser.add_argument("--skip_bad_rows", type=bool, default=False, help=SKIP_BAD_ROWS)
    parser.add_argument("--model", type=str, default="minilm-l6", help="Base whose tokenizer counts the tokens.")
    parser.add_argument("--max_length", type=int, default=128, help="Length at which longer texts would be cut.")
    parser.add_argument("--json", action="store_true", help=JSON)
    arguments = parse(parser, argv)
    with output(as_json=arguments.json) as out:
        {"list": _data_list, "show": _data_show, "check": _data_check}[arguments.action](arguments, out)


def _data_list(_: Any, out: Output) -> None:
    from lorabert.data.assets import ASSETS

    rows = [[asset.name, asset.kind, asset.what, asset.licence] for asset in ASSETS.values()]
    out.table("Assets", ["name", "kind", "what", "licence"], rows)
    out.result([dataclasses.asdict(asset) for asset in ASSETS.values()])


def _data_show(arguments: Any, out: Output) -> None:
    from lorabert.data import assets, checking

    if len(arguments.names) != 1:
        raise InputError(
            "`lorabert data show` takes the name of one asset",
            got=quoted(arguments.names) or "nothing",
            expected=", ".join(assets.ASSETS),
        )
    name = arguments.names[0]
    folder = assets.fetch(name)
    asset = assets.ASSETS[name]
    document = {**dataclasses.asdict(asset), "folder": str(folder / asset.member)}
    out.table(name, ["", ""], [[key, value] for key, value in document.items() if key != "name"])
    if asset.kind == "data":
        document["check"] = checking.check_asset(name, _tokenizer(arguments), arguments.max_length)
        _show_check(document["check"], out)
    out.result(document)


def _data_check(arguments: Any, out: Output) -> None:
    from lorabert.config import DataConfig
    from lorabert.data import checking

    if not 1 <= len(arguments.names) <= 3:
        raise InputError("`lorabert data check` takes the file to learn from, and up to two others: a validation and a test file",
                         got=f"{len(arguments.names)} names", fix="Such as lorabert data check reviews.csv")  # fmt: skip
    named = DataConfig(
        text=arguments.text, text_pair=arguments.text_pair, label=arguments.label, encoding=arguments.encoding,
        header=arguments.header, skip_bad_rows=arguments.skip_bad_rows,
    )  # fmt: skip
    document = checking.check_files(
        [Path(name) for name in arguments.names], named, _tokenizer(arguments), arguments.max_length, prefix="--"
    )
    _show_check(document, out)
    out.result(document)


def _tokenizer(arguments: Any) -> Any:
    from lorabert.models import bases

    base = bases.find(config.ModelConfig(name=arguments.model))
    return bases.load_tokenizer(base.folder)


def _show_check(document: dict[str, Any], out: Output) -> None:
    for part in document["parts"]:
        out.table(part["origin"], ["", ""], [[key.replace("_", " "), value] for key, value in part.items()
                                            if key not in ("origin", "classes")])  # fmt: skip
        out.table("Classes", ["class", "examples", "share"],
                  [[name, count, f"{count / part['rows']:.1%}"] for name, count in part["classes"].items()])  # fmt: skip
    for note in document["notes"]:
        out.say(note)
    for problem in document["problems"]:
        out.say(f"Problem: {problem}")
    if not document["problems"]:
        out.say("No problems found.")
