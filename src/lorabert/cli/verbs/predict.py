"""`lorabert predict`: label texts."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

from lorabert.cli.output import BASE, PRECISION, output
from lorabert.config import options_parser, parse
from lorabert.errors import InputError


def main(argv: list[str]) -> None:
    """Label texts with an adapter or an export of one: one JSON line a text."""
    parser = options_parser(
        "lorabert predict",
        'Label texts, one JSON line each: lorabert predict ADAPTER "a text". Texts come as words, from a file, or from '
        "stdin, a line each, with -.",
    )
    parser.add_argument("adapter", help="Adapter, export or run folder, or a name in the store, such as emotion@1.")
    parser.add_argument("texts", nargs="*", default=[], help="Texts, or - to read them from stdin, a line each.")
    parser.add_argument("--file", type=str, default=None, help="CSV, TSV, JSONL or Parquet file to read the texts from.")
    parser.add_argument("--text", type=str, default=None, help="Column of --file that holds the text; found by its name.")
    parser.add_argument("--base", type=str, default=None, help=BASE)
    parser.add_argument("--precision", choices=["fp32", "bf16", "auto"], default="fp32", help=PRECISION)
    parser.add_argument("--json", action="store_true", help="One JSON document: the object of a single text, or a list.")
    arguments = parse(parser, argv)
    from lorabert import hardware
    from lorabert.shipping import loading
    from lorabert.studies import experiment

    with output(as_json=arguments.json) as out:
        classifier, manifest = loading.load(experiment.adapter_of(Path(arguments.adapter)), arguments.base)
        texts, pairs = _texts(arguments, manifest["data"]["columns"])
        placement = hardware.placed("cpu", arguments.precision)
        answers = [dataclasses.asdict(prediction) for prediction in classifier.predict(texts, pairs, placement)]
        out.result(answers[0] if len(answers) == 1 else answers)
        for answer in () if arguments.json else answers:
            print(json.dumps(answer, ensure_ascii=False))


def _texts(arguments: Any, columns: dict[str, str | None]) -> tuple[list[str], list[str] | None]:
    """The texts to label, and their second texts where the adapter was trained on pairs."""
    if bool(arguments.texts) == bool(arguments.file):
        raise InputError("Nothing to label" if not arguments.file else "Texts and --file were both given",
                         expected="texts as words, or - for stdin, or --file FILE")  # fmt: skip
    if arguments.file:
        from lorabert.data import tables
        from lorabert.data.columns import texts_of

        return texts_of(tables.read(Path(arguments.file)), arguments.text, columns["text_pair"])
    if columns["text_pair"]:
        raise InputError("This adapter labels pairs of texts", fix="Give them with --file, a file that has both columns")
    if arguments.texts == ["-"]:
        return [line.rstrip("\r\n") for line in sys.stdin], None
    return list(arguments.texts), None
