"""`lorabert compare`: methods x seeds x tasks."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from lorabert import config
from lorabert.cli.comparison import show
from lorabert.cli.output import JSON, Output, output, tell
from lorabert.config import METHODS, options_parser, parse
from lorabert.errors import InputError
from lorabert.studies.comparison.plan import Plan

_WHAT = (
    "Train methods on the same tasks with the same seeds, and say what the difference is worth: "
    "lorabert compare --methods lora,full --tasks r8 --seeds 5. The same command goes on where it stopped; with more "
    "seeds, methods or tasks it makes those alone. Every option of `lorabert train` holds for all runs; --config takes "
    "a study file with these words as its keys."
)


def main(argv: list[str]) -> None:
    """Compare methods over seeds and tasks."""
    with _quiet_bars():
        _compare(*asked(argv))


@contextmanager
def _quiet_bars() -> Iterator[None]:
    """No bars in a file, where those of many runs would bury what is said; tqdm reads this when it is imported."""
    before = os.environ.get("TQDM_DISABLE")
    if not sys.stderr.isatty():
        os.environ.setdefault("TQDM_DISABLE", "1")
    try:
        yield
    finally:
        if before is None:
            os.environ.pop("TQDM_DISABLE", None)


def _compare(plan: Plan, arguments: Any) -> None:
    from lorabert.studies.comparison import comparing

    with output(as_json=arguments.json) as out:
        try:
            document = comparing.compare(
                plan,
                out=Path(arguments.out) if arguments.out else None,
                launcher=arguments.launcher,
                workers=arguments.workers,
                concurrent=None if arguments.concurrent == "auto" else arguments.concurrent,
                tell=tell,
            )
        except KeyboardInterrupt:
            raise KeyboardInterrupt("Interrupted. The same command goes on with what is done.") from None
        show(out, document)
        out.result({**document, "report": _report(Path(document["comparison"]), out)})


def _report(comparison: Path, out: Output) -> str | None:
    """The page beside the comparison; without the extra that draws it, the comparison stands without a page."""
    from lorabert.studies.reporting import page

    try:
        written = str(page.write(comparison, comparison.with_name("report.html")))
    except InputError as error:
        out.say(f"No report: {error}")
        return None
    out.say(f"Report: {written}")
    return written


def asked(argv: list[str]) -> tuple[Plan, Any]:
    """The plan that a command line stands for, checked, and its other arguments."""
    from lorabert.studies.comparison import request

    arguments = parse(_parser(), argv)
    plan = request.plan(
        config.run_config(arguments),
        rate=arguments.train.learning_rate,
        methods=arguments.methods,
        seeds=arguments.seeds,
        tasks=arguments.tasks,
        sizes=arguments.sizes,
        vary=arguments.vary,
        tune_rates=arguments.tune_rates or arguments.tune,
        more_rates=arguments.more_rates,
        against=arguments.against,
        margin=arguments.margin,
        metric=arguments.metric,
    )
    return plan, arguments


def _parser() -> Any:
    parser = options_parser("lorabert compare", _WHAT, with_config=True)
    add = parser.add_argument
    add("--methods", type=Any, default=",".join(METHODS), help="What to compare: lora, full, bitfit, head.")
    add("--seeds", type=int, default=5, help="How many; they count up from --train.seed. Five is a start, ten is better.")
    add(
        "--tasks",
        type=Any,
        default=None,
        help="Assets, files or hub ids (owner/name:subset), separated by commas; --data otherwise.",
    )
    add("--sizes", type=Any, default=None, help="Learning curves: train on so many labelled texts, such as 50,200,1000, with "
        "other texts for each seed.")  # fmt: skip
    add("--vary", type=str, action="append", default=[], help="Compare values of any option: lora.r=1,8,64. May be given again.")
    add("--tune", action="store_true", help="Choose each learning rate on validation: four to six more runs a system and task.")
    add("--tune_rates", type=Any, default=None, help="Rates to try instead: 1e-4,1e-3 or {lora: [5e-4, 1e-3], full: [5e-5]}.")
    add("--more_rates", type=int | None, default=None, help="How many to try beyond the best while it is an end of those tried: "
        "with --tune two, else none.")  # fmt: skip
    add("--against", type=str, default=None, help="The system that the others are compared with; full where it is among them.")
    add("--margin", type=float, default=0.005, help="Differences within it do not matter: 0.005 is half a point.")
    add("--metric", type=str, default="accuracy", help="accuracy, f1_macro or mcc.")
    add("--launcher", choices=["local", "processes", "ray"], default="local", help="This process, several, or a Ray cluster.")
    add("--workers", type=int, default=2, help="How many runs at once, for processes and ray.")
    add("--concurrent", type=int | Literal["auto"], default="auto", help="How many runs on one base train at once; auto: as "
        "many as half of the free memory holds, at most eight.")  # fmt: skip
    add("--out", type=str, default=None, help="The study's folder; by default one below runs/ that follows from the options.")
    add("--json", action="store_true", help=JSON)
    return parser
