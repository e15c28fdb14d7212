"""`lorabert train`: one run."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

from lorabert import config, processes
from lorabert.cli.output import JSON, metrics_table, output, per_class_table
from lorabert.config import RunConfig, options_parser, parse
from lorabert.evidence.baselines import titled


def main(argv: list[str]) -> None:
    """Train one classifier from a configuration."""
    parser = options_parser(
        "lorabert train",
        "Train one classifier: lorabert train --data.train reviews.csv. Options win over --config, which wins over defaults.",
        with_config=True,
    )
    run_options(parser)
    parser.add_argument("--folds", type=int, default=None, help="Short for --train.folds.")
    arguments = parse(parser, argv)
    if arguments.folds is not None:
        arguments.train.folds = arguments.folds
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
        rows = {settings.train.method: document["metrics"], **titled(document["baselines"])}
        metrics_table(out, f"Test: {document['data']['examples']['test']:,} examples, points [95% interval]", rows)
        per_class_table(out, document["per_class"])
        for line in verdicts.standing(document):
            out.say(line)
        further = verdicts.more_epochs(RunFolder.open(Path(document["run"])).losses())
        if further and document["metrics"]["accuracy"]["value"] < 1:  # else there is nothing left to gain
            out.say(further)
        out.say(f"Adapter: {document['adapter']}")
        out.result(document)
