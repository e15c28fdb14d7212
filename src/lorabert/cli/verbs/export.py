"""`lorabert export`: one plain model of an adapter and its base."""

from __future__ import annotations

from pathlib import Path

from lorabert.cli.output import BASE, JSON, output
from lorabert.config import options_parser, parse


def main(argv: list[str]) -> None:
    """Export an adapter and print how far its answers are from the adapter's."""
    parser = options_parser(
        "lorabert export",
        "Make one plain model of an adapter and its base: lorabert export runs/reviews --format onnx --out reviews-onnx. "
        "merged is a Transformers folder for pipeline(), onnx a graph for ONNX Runtime, onnx-int8 the same with 8-bit "
        "matrices. Its answers are compared with the adapter's on texts of every length and on the run's validation split, "
        "where that can be had; the figures go into parity.json, and beyond the tolerance nothing is left.",
    )
    parser.add_argument("adapter", help="Adapter or run folder, or a name in the store, such as emotion@1.")
    parser.add_argument("--format", type=str, required=True, help="merged, onnx or onnx-int8.")
    parser.add_argument("--out", type=str, required=True, help="Folder to make; new or empty.")
    parser.add_argument("--base", type=str, default=None, help=BASE)
    parser.add_argument("--allow-drift", action="store_true", help="Keep an export that is beyond the tolerance, marked so.")
    parser.add_argument("--json", action="store_true", help=JSON)
    arguments = parse(parser, argv)
    from lorabert.shipping import exporting
    from lorabert.shipping.exporting.cards import parity_lines
    from lorabert.studies import experiment

    with output(as_json=arguments.json) as out:
        document = exporting.export(
            experiment.adapter_of(Path(arguments.adapter)),
            Path(arguments.out),
            arguments.format,
            base_name=arguments.base,
            allow_drift=arguments.allow_drift,
            say=out.say,
        )
        out.say(parity_lines(document["parity"]))
        out.say(f"Export: {document['export']} ({document['bytes'] / 1e6:,.1f} MB)")
        out.result(document)
