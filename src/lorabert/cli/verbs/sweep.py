"""`lorabert sweep`: search for the options that suit a task."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from lorabert import config
from lorabert.cli.output import JSON, Output, output, tell
from lorabert.config import options_parser, parse
from lorabert.errors import InputError

_TRIALS = 20
_SHOWN = 10


def main(argv: list[str]) -> None:
    """Search over a run's options, on the validation split only."""
    parser = options_parser(
        "lorabert sweep",
        "Search for the options that suit a task: lorabert sweep --data.train reviews.csv --trials 20. Each trial is a run; "
        "the best validation accuracy wins, and the test split has no part in it. The same command goes on where it stopped. "
        "Every --section.key below holds for all trials.",
        with_config=True,
    )
    _options(parser)
    arguments = parse(parser, argv)
    settings = config.run_config(arguments)
    from lorabert.studies import sweeping

    with output(as_json=arguments.json) as out:
        document = sweeping.run(
            _sweep(settings, arguments),
            out=Path(arguments.out) if arguments.out else None,
            storage=arguments.storage,
            say=tell,
        )
        _show(out, document)
        out.result(document)


def _options(parser: Any) -> None:
    parser.add_argument(
        "--trials", type=int, default=None, help=f"How many runs in all ({_TRIALS}); a larger number later adds to them."
    )
    parser.add_argument(
        "--search", nargs="+", action="extend", default=[], metavar="KEY=VALUES",
        help="What to search over: train.learning_rate=1e-4..3e-3:log (a range, even over the logarithm), "
        "lora.lora_dropout=0..0.2 (a range), lora.r=4,8,16 (choices), lora.target_modules=auto,[query,key]. Without it: the "
        "learning rate, the epochs and, for lora, its rank, alpha, dropout and targets.",
    )  # fmt: skip
    parser.add_argument(
        "--grid", nargs="+", action="extend", default=[], metavar="KEY=VALUES",
        help="Try every combination of these choices instead: lora.r=4,8 train.learning_rate=5e-4,1e-3.",
    )  # fmt: skip
    parser.add_argument("--sampler", type=Literal["tpe", "random"], default="tpe",
                        help="How the next trial is chosen: tpe learns from the trials so far, random does not.")  # fmt: skip
    parser.add_argument("--pruner", type=Literal["none", "median", "halving"], default="none",
                        help="End trials early by their validation loss after each epoch: below the median of the others, or "
                        "successive halving at epochs 1, 2, 4 and so on.")  # fmt: skip
    parser.add_argument("--metric", type=Literal["accuracy", "f1_macro", "mcc", "loss"], default="accuracy",
                        help="What is to be best on the validation split; of loss (mean cross-entropy) the lowest.")  # fmt: skip
    parser.add_argument("--concurrent", type=int | Literal["auto"], default="auto",
                        help="Trials chosen and trained together; auto: 1 on a CPU, 8 on a GPU.")  # fmt: skip
    parser.add_argument("--out", type=str, default=None,
                        help="The sweep's folder; by default one below sweeps/ that the same command finds again.")  # fmt: skip
    parser.add_argument("--storage", type=str, default=None,
                        help="URL of a database that several machines share, such as postgresql+psycopg2://user@host/sweeps; by "
                        "default SQLite in the folder.")  # fmt: skip
    parser.add_argument("--json", action="store_true", help=JSON)


def _sweep(settings: config.RunConfig, arguments: Any) -> Any:
    """The sweep that the arguments ask for."""
    from lorabert.studies.sweeping import Sweep, space

    common: dict[str, Any] = {
        "metric": arguments.metric,
        "pruner": arguments.pruner,
        "concurrent": None if arguments.concurrent == "auto" else arguments.concurrent,
    }
    if arguments.grid:
        if arguments.search or arguments.trials is not None:
            raise InputError("A grid has its own values and its own number of trials", got="--grid with --search or --trials",
                             fix="Leave one of them out")  # fmt: skip
        dimensions = space.parse(arguments.grid, settings)
        return Sweep(settings, dimensions, len(space.grid(dimensions)), sampler="grid", **common)
    words = arguments.search or space.default(settings)
    trials = _TRIALS if arguments.trials is None else arguments.trials
    return Sweep(settings, space.parse(words, settings), trials, sampler=arguments.sampler, **common)


def _show(out: Output, document: dict[str, Any]) -> None:
    """The ten best trials, what mattered, how far to believe it, and what to do next."""
    from lorabert.studies.sweeping import results

    sign = 1 if document["direction"] == "minimize" else -1
    done = sorted(
        (row for row in document["trials"] if row["status"] == "done"), key=lambda row: (sign * row["value"], row["number"])
    )
    rows = [
        [row["number"] + 1, results.estimate(row, document["metric"]),
         *(results.shown(row["parameters"][key]) for key in document["space"])]
        for row in done[:_SHOWN]
    ]  # fmt: skip
    unit = "" if document["metric"] == "loss" else ", points"
    title = f"Best {len(rows)} of {len(document['trials'])} trials by validation {document['metric']}{unit} [95% interval]"
    out.table(title, ["trial", document["metric"], *(key.partition(".")[2] for key in document["space"])], rows)
    for line in results.sentences(document):
        out.say(line)
    out.say(f"Plot: {document['sweep']}/{results.PLOT}")
    out.say(f"Train the best: lorabert train --config {document['best']['config']}")
