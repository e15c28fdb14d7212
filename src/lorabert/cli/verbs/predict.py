"""`lorabert predict`: label texts."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

from lorabert.cli.output import BASE, HEADER, PRECISION, SKIP_BAD_ROWS, as_json, output, tell
from lorabert.config import DataConfig, options_parser, parse
from lorabert.data import tables
from lorabert.data.cells import has_lone_surrogate
from lorabert.data.columns import Columns, as_trained, naming
from lorabert.data.examples import Texts, texts_of
from lorabert.errors import InputError
from lorabert.ranges import check_probability


def main(argv: list[str]) -> None:
    """Label texts with an adapter or an export of one: one JSON line a text."""
    parser = options_parser(
        "lorabert predict",
        'Label texts, one JSON line each: lorabert predict ADAPTER "a text". Texts come as words, from a file, or from '
        "stdin, a line each, with -.",
    )
    parser.add_argument("adapter", help="Adapter, export or run folder, or a name in the store, such as emotion@1.")
    parser.add_argument("texts", nargs="*", default=[], help="Texts, or - to read them from stdin, a line each.")
    parser.add_argument(
        "--file", type=str, default=None, help="CSV, TSV, JSON, JSONL or Parquet file of texts, or .txt with a text a line."
    )
    parser.add_argument("--text", type=str, default=None, help="Column of --file that holds the text; the one trained on.")
    parser.add_argument("--text_pair", type=str, default=None, help="Column of the second text, for pairs; the one trained on.")
    parser.add_argument("--encoding", type=str, default="utf-8", help="Character encoding of --file or of stdin.")
    parser.add_argument("--header", choices=["auto", "first", "none"], default="auto", help=HEADER)
    parser.add_argument(
        "--skip_bad_rows", type=bool, default=False, help=f"{SKIP_BAD_ROWS} Each answer then says its place in --file."
    )
    parser.add_argument(
        "--abstain-below", type=float, default=None, metavar="P",
        help="Give no label to a text whose best label is less probable than P; `lorabert report` says what that buys.",
    )  # fmt: skip
    parser.add_argument("--base", type=str, default=None, help=BASE)
    parser.add_argument("--precision", choices=["fp32", "bf16", "auto"], default="fp32", help=PRECISION)
    parser.add_argument("--json", action="store_true", help="One JSON document: the object of a single text, or a list.")
    arguments = parse(parser, argv)
    check_probability("--abstain-below", arguments.abstain_below)
    from lorabert import hardware
    from lorabert.shipping import loading
    from lorabert.studies import experiment

    with output(as_json=arguments.json) as out:
        classifier, manifest = loading.load(experiment.adapter_of(Path(arguments.adapter)), arguments.base)
        given = _texts(arguments, Columns.recorded(manifest.get("data")))
        for note in (*given.notes, _unlike_training(given, classifier, manifest)):
            if note:
                tell(note)
        placement = hardware.placed("cpu", arguments.precision)
        answers = [dataclasses.asdict(prediction) for prediction in classifier.predict(given.texts, given.pairs, placement)]
        if (least := arguments.abstain_below) is not None:
            answers = [answer | {"label": None, "abstained": True} if answer["score"] < least else answer for answer in answers]
            tell(f"No label for {sum(answer['label'] is None for answer in answers):,} of {len(answers):,} texts")
        if arguments.skip_bad_rows:
            answers = [{"place": place, **answer} for place, answer in zip(given.places, answers, strict=True)]
        out.result(answers[0] if len(answers) == 1 else answers)
        for answer in () if arguments.json else answers:
            print(as_json(answer))


def _unlike_training(given: Texts, classifier: Any, manifest: dict[str, Any]) -> str:
    """A warning where the base's vocabulary does not know the texts as it knew those trained on."""
    import numpy as np

    from lorabert.data import encoding, reading
    from lorabert.data.sources import Split

    split = Split(given.texts, given.pairs, np.zeros(len(given.texts), np.int64))
    encoded = encoding.encode_split(split, classifier.tokenizer, classifier.max_length, quiet=True)
    return reading.notice(encoded, reading.Vocabulary(classifier.tokenizer), reading.trained_share(manifest.get("data")))


def _texts(arguments: Any, trained: Columns) -> Texts:
    """The texts to label, and their second texts where the adapter was trained on pairs."""
    if bool(arguments.texts) == bool(arguments.file):
        raise InputError("Nothing to label" if not arguments.file else "Texts and --file were both given",
                         expected="texts as words, or - for stdin, or --file FILE")  # fmt: skip
    if arguments.file:
        named = DataConfig(
            text=arguments.text, text_pair=arguments.text_pair, encoding=arguments.encoding, header=arguments.header,
            skip_bad_rows=arguments.skip_bad_rows,
        )  # fmt: skip
        table = tables.read(Path(arguments.file), naming(named, trained), prefix="--", labelled=False)
        columns = as_trained(table, trained, named, labelled=False)
        tell(f"Columns: {columns.named()}")
        return texts_of(table, columns, skip=arguments.skip_bad_rows)
    if trained.text_pair:
        raise InputError("This adapter labels pairs of texts", fix="Give them with --file, a file that has both columns")
    if arguments.texts == ["-"]:
        text = tables.decoded(_stdin(), "stdin", arguments.encoding, prefix="--")
        return _of_words([line.rstrip("\r\n") for line in tables.lines_of(text)], "line")
    if odd := [text for text in arguments.texts if has_lone_surrogate(text)]:
        raise InputError("A text holds bytes that are no characters here", got=ascii(odd[0][:80]), fix="Give it with --file")
    return _of_words(list(arguments.texts), "text")


def _stdin() -> bytes:
    try:
        if sys.stdin is None:  # closed when the process began
            raise OSError("it is closed")
        return sys.stdin.buffer.read()
    except OSError as error:
        raise InputError("Standard input cannot be read", got=error.strerror or str(error),
                         fix="Give the texts as words, or with --file") from None  # fmt: skip


def _of_words(texts: list[str], what: str) -> Texts:
    return Texts(texts, None, [f"{what} {number}" for number in range(1, len(texts) + 1)], ())
