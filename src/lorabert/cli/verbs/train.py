"""`lorabert train`: one run."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

from lorabert import config, processes
from lorabert.cli.output import JSON, metrics_table, output, per_class_table
from lorabert.config import RunConfig, options_parser, parse


def main(argv: list[str]) -> None:
    """Train one classifier from a configuration."""
    parser = options_parser(
        "lorabert train",
        "Train one classifier: lorabert train --data.train reviews.csv. Options win over --config, which wins over defaults.",
        with_config=True,
    )
    run_options(parser)
    arguments = parse(parser, argv)
    train(config.run_config(arguments), arguments)


def run_options(parser: Any) -> None:
    """Add the options of a verb that makes a run."""
    parser.add_argument("--out", type=str, default=None, help="The run folder itself; by default a new one below runs/.")
    parser.add_argument(
        "--resume",
        action="store_true",
        help="Go on with the unfinished run of the same configuration, if there is one.",
    )
    parser.add_argument("--json", action="store_true", help=JSON)


def train(settings: RunConfig, arguments: Any) -> None:
    """Make the run and show what came of it."""
    from lorabert.runs import RunFolder
    from lorabert.studies import experiment
    from lorabert.studies.reporting import verdicts

    if processes.rank():
        # What a follower was doing needs no farewell, and it may be waiting where Python sees no signal.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        experiment.follow(settings, resume=arguments.resume)
        return
    if processes.count() > 1:
        signal.signal(signal.SIGTERM, processes.stop)
    with output(as_json=arguments.json) as out:
        folder = Path(arguments.out) if arguments.out else None
        document = experiment.train(settings, out=folder, resume=arguments.resume, say=out.say)
        rows = {settings.train.method: document["metrics"], **document["baselines"]}
        metrics_table(out, f"Test: {document['data']['examples']['test']:,} examples, points [95% interval]", rows)
        per_class_table(out, document["per_class"])
        out.say(_advice(document))
        further = verdicts.more_epochs(RunFolder.open(Path(document["run"])).losses())
        if further and document["metrics"]["accuracy"]["value"] < 1:  # else there is nothing left to gain
            out.say(further)
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
