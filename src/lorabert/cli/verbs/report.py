"""`lorabert report`: one HTML page from records."""

from __future__ import annotations

from pathlib import Path

from lorabert.cli.output import JSON, output
from lorabert.config import options_parser, parse


def main(argv: list[str]) -> None:
    """Write the page of a run or a comparison."""
    parser = options_parser(
        "lorabert report",
        "Write one HTML page on a run or a comparison: lorabert report runs/reviews -o reviews.html. It is made from records, "
        "never from a model, and loads nothing when it is opened, so it can be mailed and archived. It quotes texts of the "
        "test split.",
    )
    parser.add_argument("target", help="Run folder, or the folder or comparison.json of `lorabert compare`.")
    parser.add_argument(
        "-o", "--out", type=str, required=True, help="The HTML file to write; an earlier report of that name is replaced."
    )
    parser.add_argument("--json", action="store_true", help=JSON)
    arguments = parse(parser, argv)
    from lorabert.studies.reporting import page

    with output(as_json=arguments.json) as out:
        written = page.write(Path(arguments.target), Path(arguments.out))
        size = written.stat().st_size
        out.say(f"Report: {written} ({size / 1000:,.0f} kB)")
        out.result({"report": str(written), "target": arguments.target, "bytes": size})
