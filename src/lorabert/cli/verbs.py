"""One function a verb: parse, call, show."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from lorabert import config
from lorabert.cli.output import Output, confusion_table, metrics_table, output, per_class_table
from lorabert.config import RunConfig, options_parser, parse
from lorabert.errors import InputError
from lorabert.hardware import Placement
from lorabert.models.families import FAMILIES

_JSON = "One JSON document on stdout, everything else on stderr."
_BASE = "Where the base lies, when not where the adapter says: an asset, a hub id or a folder with the same weights."


def train(argv: list[str]) -> None:
    """Train one classifier from a configuration."""
    parser = options_parser(
        "lorabert train",
        "Train one classifier: lorabert train --data.train reviews.csv. Options win over --config, which wins over defaults.",
        with_config=True,
    )
    _run_options(parser)
    arguments = parse(parser, argv)
    _train(config.run_config(arguments), arguments)


def replicate(argv: list[str]) -> None:
    """Run the course project's experiment: `course` where the hub can give it, `quickstart` otherwise."""
    parser = options_parser(
        "lorabert replicate",
        "The course project's experiment. Without --preset: course (bert-base-uncased on SST-2) where the hub or its cache "
        "can give it, quickstart (a small BERT on movie reviews, from PyPI) otherwise.",
        with_config=True,
    )
    parser.add_argument("--preset", default=None, help="course or quickstart, or another YAML of configs/ by its name.")
    _run_options(parser)
    chosen = parse(parser, argv).preset
    reason = "as asked"
    if chosen is None:
        chosen, reason = _reachable_preset()
    arguments = parse(parser, ["--config", str(config.preset_path(chosen)), *argv])
    with output(as_json=arguments.json) as out:
        out.say(f"Preset: {chosen} ({reason})")
        if chosen == "course" and arguments.train.learning_rate == _TRAINERS_DEFAULT:
            out.say(_WHAT_IT_COSTS)
    _train(config.run_config(arguments), arguments)


_TRAINERS_DEFAULT = 5e-5
_WHAT_IT_COSTS = (
    "The learning rate is the Trainer's default, 5e-05, as in the course. It is meant for full fine-tuning and is too low for "
    "LoRA: on the quickstart's data and base it reached 77.0% test accuracy where 1e-3 reached 80.9% and TF-IDF + logistic "
    "regression 75.3% (docs/LOG.md). Try --train.learning_rate 1e-3."
)


def _run_options(parser: Any) -> None:
    parser.add_argument("--out", type=str, default=None, help="The run folder itself; by default a new one below runs/.")
    parser.add_argument(
        "--resume",
        action="store_true",
        help="Go on with the unfinished run of the same configuration, if there is one.",
    )
    parser.add_argument("--json", action="store_true", help=_JSON)


def _reachable_preset() -> tuple[str, str]:
    """`course` if its base and data can be had, from the hub or from its cache; otherwise `quickstart` and the reason."""
    from lorabert.data import hub

    settings = config.load(config.preset_path("course"))
    reason = hub.why_unreachable(settings.model.name)
    if reason:
        hub.use_cache_only()
    from lorabert.data import sources
    from lorabert.models import bases

    try:
        bases.find(settings.model)
        sources.load(settings.data)
    except InputError as error:
        return "quickstart", f"course is out of reach: {reason or error.wrong}"
    return "course", f"from the cache: {reason}" if reason else "the hub can give it"


def _train(settings: RunConfig, arguments: Any) -> None:
    from lorabert.studies import experiment

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with output(as_json=arguments.json) as out:
        folder = Path(arguments.out) if arguments.out else None
        document = experiment.train(settings, out=folder, resume=arguments.resume, say=out.say)
        rows = {settings.train.method: document["metrics"], **document["baselines"]}
        metrics_table(out, f"Test: {document['data']['examples']['test']:,} examples, points [95% interval]", rows)
        per_class_table(out, document["per_class"])
        out.say(_advice(document))
        out.say(f"Adapter: {document['adapter']}")
        out.result(document)


def _advice(document: dict[str, Any]) -> str:
    """One line on what the figures say: whether the adapter beats the best cheap baseline."""
    if not document["baselines"]:
        return ""
    name, scores = max(document["baselines"].items(), key=lambda item: item[1]["accuracy"]["value"])
    difference = 100 * (document["metrics"]["accuracy"]["value"] - scores["accuracy"]["value"])
    rate = document["config"]["train"]["learning_rate"]
    verdict = f"{document['method']} is {difference:+.1f} points of accuracy from the best cheap baseline ({name})."
    if difference > 0:
        return verdict
    if scores["accuracy"]["value"] == 1:
        return f"{verdict} These texts need no adapter: the baseline makes no mistake."
    return f"{verdict} It is not worth its cost yet: try a higher --train.learning_rate (now {rate:g}) or more epochs."


def evaluate(argv: list[str]) -> None:
    """Verify an adapter and measure it."""
    parser = options_parser(
        "lorabert evaluate",
        "Verify an adapter (files, base, answers) and measure it on a split of its own data, or on a file of labelled texts.",
    )
    parser.add_argument("target", nargs="?", default=None, help="Run or adapter folder; the newest finished run when left out.")
    parser.add_argument("--data", type=str, default=None, help="CSV, TSV, JSONL or Parquet file with the adapter's labels.")
    parser.add_argument("--split", choices=["train", "validation", "test"], default="test", help="Split of the recorded data.")
    parser.add_argument("--base", type=str, default=None, help=_BASE)
    parser.add_argument("--json", action="store_true", help=_JSON)
    arguments = parse(parser, argv)
    from lorabert.studies import experiment

    with output(as_json=arguments.json) as out:
        document = experiment.evaluate(
            Path(arguments.target) if arguments.target else None,
            data_file=Path(arguments.data) if arguments.data else None,
            split=arguments.split,
            base_name=arguments.base,
            say=out.say,
        )
        metrics_table(
            out,
            f"{document['data']}: {document['n']:,} examples, points [95% interval]",
            {"adapter": document["metrics"]},
        )
        per_class_table(out, document["per_class"])
        confusion_table(out, document["labels"], document["confusion"])
        out.result(document)


def predict(argv: list[str]) -> None:
    """Label texts with an adapter: one JSON line a text."""
    parser = options_parser(
        "lorabert predict",
        'Label texts, one JSON line each: lorabert predict ADAPTER "a text". Texts come as words, from a file, or from '
        "stdin, a line each, with -.",
    )
    parser.add_argument("adapter", help="Adapter or run folder.")
    parser.add_argument("texts", nargs="*", default=[], help="Texts, or - to read them from stdin, a line each.")
    parser.add_argument("--file", type=str, default=None, help="CSV, TSV, JSONL or Parquet file to read the texts from.")
    parser.add_argument("--text", type=str, default=None, help="Column of --file that holds the text; found by its name.")
    parser.add_argument("--base", type=str, default=None, help=_BASE)
    parser.add_argument("--json", action="store_true", help="One JSON document: the object of a single text, or a list.")
    arguments = parse(parser, argv)
    from lorabert.shipping import adapters
    from lorabert.studies import experiment

    with output(as_json=arguments.json) as out:
        classifier, manifest = adapters.load(experiment.adapter_of(Path(arguments.adapter)), arguments.base)
        texts, pairs = _texts(arguments, manifest["data"]["columns"])
        answers = [dataclasses.asdict(prediction) for prediction in classifier.predict(texts, pairs)]
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


def data(argv: list[str]) -> None:
    """List the assets, show one, or check a file."""
    parser = options_parser(
        "lorabert data",
        "list: the models and data sets that wheels on PyPI carry. show NAME: one of them. check FILE...: what a file of "
        "labelled texts holds and what is wrong with it.",
    )
    parser.add_argument("action", choices=["list", "show", "check"], help="What to do.")
    parser.add_argument("names", nargs="*", default=[], help="An asset to show; or a file, or a train and a test file, to check.")
    parser.add_argument("--text", type=str, default=None, help="Column that holds the text; found by its name.")
    parser.add_argument("--label", type=str, default=None, help="Column that holds the label; found by its name.")
    parser.add_argument("--encoding", type=str, default="utf-8", help="Character encoding of the file.")
    parser.add_argument("--model", type=str, default="minilm-l6", help="Base whose tokenizer counts the tokens.")
    parser.add_argument("--max_length", type=int, default=128, help="Length at which longer texts would be cut.")
    parser.add_argument("--json", action="store_true", help=_JSON)
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
        raise InputError("`lorabert data show` takes the name of one asset", expected=", ".join(assets.ASSETS))
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

    if not 1 <= len(arguments.names) <= 2:
        raise InputError("`lorabert data check` takes one file, or a train and a test file", got=f"{len(arguments.names)} names")
    named = DataConfig(text=arguments.text, label=arguments.label, encoding=arguments.encoding)
    document = checking.check_files([Path(name) for name in arguments.names], named, _tokenizer(arguments), arguments.max_length)
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
    for problem in document["problems"]:
        out.say(f"Problem: {problem}")
    if not document["problems"]:
        out.say("No problems found.")


def doctor(argv: list[str]) -> None:
    """Show versions, device, precision and attention path with the reason, and whether hub and cache can be reached."""
    parser = options_parser(
        "lorabert doctor", "What this machine has, what a run would use on it and why, and what can be reached."
    )
    parser.add_argument("--json", action="store_true", help=_JSON)
    arguments = parse(parser, argv)
    from lorabert import hardware
    from lorabert.data import assets, hub

    placement = hardware.place(config.TrainConfig())
    reason = hub.why_unreachable("bert-base-uncased")
    document = {
        "versions": hardware.package_versions(),
        "hardware": hardware.describe(),
        "device": placement.device,
        "precision": placement.precision,
        "precision_reason": placement.reason,
        **_engine(placement),
        "hub": {"endpoint": hub.endpoint(), "reachable": reason is None, "reason": reason or "it answers"},
        "cache": {"folder": str(assets.cache_folder()), "writable": _writable(assets.cache_folder())},
    }
    with output(as_json=arguments.json) as out:
        for section in ("versions", "hardware", "hub", "cache"):
            out.table(section.capitalize(), ["", ""], [[key, str(value)] for key, value in document[section].items()])  # type: ignore[attr-defined]
        out.say(f"A run would use {placement.device} in {placement.precision}: {placement.reason}.")
        out.say(f"Engine: {document['engine']}, attention: {document['attention']} ({document['engine_reason']}).")
        if reason:
            out.say(f"{hub.NO_HUB}.")
        out.result(document)


def _engine(placement: Placement) -> dict[str, str]:
    """The engine and the attention path that `auto` takes on this machine, and why."""
    if placement.device != "cpu":
        return {"engine": "reference", "attention": "sdpa", "engine_reason": "the fast engine has not run on GPUs yet"}
    known = ", ".join(name for name, family in FAMILIES.items() if family.parts)
    return {"engine": "fast", "attention": "packed", "engine_reason": f"for {known}; other families take the reference engine"}


def _writable(folder: Path) -> bool:
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    return os.access(there, os.W_OK)
