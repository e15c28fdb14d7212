"""`lorabert evaluate`: verify and measure."""

from __future__ import annotations

from pathlib import Path

from lorabert.cli.output import (
    BASE,
    HEADER,
    JSON,
    PRECISION,
    SKIP_BAD_ROWS,
    confusion_table,
    metrics_table,
    output,
    per_class_table,
)
from lorabert.config import DataConfig, options_parser, parse


def main(argv: list[str]) -> None:
    """Verify an adapter or an export and measure it."""
    parser = options_parser(
        "lorabert evaluate",
        "Verify an adapter or an export (files, base, answers) and measure it on a split of its own data, or on a file of "
        "labelled texts.",
    )
    parser.add_argument(
        "target",
        nargs="?",
        default=None,
        help="Run, adapter or export folder, or a name in the store, such as emotion@1; the newest finished run when left out.",
    )
    parser.add_argument("--data", type=str, default=None, help="CSV, TSV, JSON, JSONL or Parquet file with the adapter's labels.")
    parser.add_argument("--text", type=str, default=None, help="Column of --data that holds the text; the one trained on.")
    parser.add_argument("--text_pair", type=str, default=None, help="Column of the second text, for pairs; the one trained on.")
    parser.add_argument("--label", type=str, default=None, help="Column of --data that holds the label; the one trained on.")
    parser.add_argument("--encoding", type=str, default="utf-8", help="Character encoding of --data.")
    parser.add_argument("--header", choices=["auto", "first", "none"], default="auto", help=HEADER)
    parser.add_argument("--skip_bad_rows", type=bool, default=False, help=SKIP_BAD_ROWS)
    parser.add_argument("--split", choices=["train", "validation", "test"], default="test", help="Split of the recorded data.")
    parser.add_argument("--base", type=str, default=None, help=BASE)
    parser.add_argument("--precision", choices=["fp32", "bf16", "auto"], default="fp32", help=PRECISION)
    parser.add_argument("--json", action="store_true", help=JSON)
    arguments = parse(parser, argv)
    from lorabert.studies import experiment

    with output(as_json=arguments.json) as out:
        document = experiment.evaluate(
            Path(arguments.target) if arguments.target else None,
            data_file=Path(arguments.data) if arguments.data else None,
            named=DataConfig(
                text=arguments.text,
                text_pair=arguments.text_pair,
                label=arguments.label,
                encoding=arguments.encoding,
                header=arguments.header,
                skip_bad_rows=arguments.skip_bad_rows,
            ),
            split=arguments.split,
            base_name=arguments.base,
            precision=arguments.precision,
            say=out.say,
        )
        metrics_table(
            out,
            f"{document['data']}: {document['n']:,} examples, points [95% interval]",
            {document["kind"]: document["metrics"]},
        )
        per_class_table(out, document["per_class"])
        confusion_table(out, document["labels"], document["confusion"])
        out.result(document)
