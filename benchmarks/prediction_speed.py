"""How fast texts are labelled: our prediction against Transformers' pipeline and ONNX Runtime, on the quickstart's test texts.

    python benchmarks/prediction_speed.py ADAPTER [--texts 480] [--rounds 5] [--record [NAME]]

ADAPTER is one trained on the quickstart's data. The rivals get its exports: the merged model in a pipeline, one text at a
time and in batches of 32; ONNX Runtime in fp32 and in int8, texts sorted by length in padded batches of 32. Ours answers in
fp32 and in bf16. Every time is from texts to probabilities, tokenisation included. Agreement is checked before anything is timed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from harness import race, ratio, record, show

from lorabert import config
from lorabert.data import sources
from lorabert.data.sources import Split
from lorabert.engine.prediction import FP32_CPU
from lorabert.hardware import Placement
from lorabert.shipping import adapters, loading
from lorabert.shipping.exporting import FORMATS, export

EXACT, OURS = "lorabert, fp32", "lorabert, bf16"
HALF = Placement("cpu", "bf16", "for speed")


def main() -> None:
    """Export, check, time, print, and record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("adapter", type=Path)
    parser.add_argument("--texts", type=int, default=480, help="texts of a round; one tenth of them for the pipeline one by one")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--record", nargs="?", const="prediction_speed", metavar="NAME", help="write benchmarks/records/NAME.json"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        exports = {name: Path(folder) / name for name in FORMATS}
        parity = {
            name: export(options.adapter, place, name, allow_drift=True, say=_quiet)["parity"] for name, place in exports.items()
        }
        result = _measure(options.adapter, exports, options.texts, options.rounds)
    if options.record:
        record(options.record, {"texts_per_round": options.texts, **result, "parity": parity})


def _quiet(_: str) -> None:
    """The exports' own lines are not this script's."""


def _measure(adapter: Path, exports: dict[str, Path], count: int, rounds: int) -> dict[str, Any]:
    from transformers import pipeline

    classifier, _ = adapters.load(adapter)
    onnx = {name: loading.load(place)[0] for name, place in exports.items() if name != "merged"}
    settings = config.load(config.preset_path("quickstart"))
    split = sources.load(settings.data).test
    texts = [split.texts[row] for row in np.random.default_rng(0).permutation(len(split))]
    piped = pipeline("text-classification", model=str(exports["merged"]), device="cpu")
    limit = {"truncation": True, "max_length": settings.model.max_length}
    differences = {name: _difference(classifier.logits(texts[:200]), other.logits(texts[:200])) for name, other in onnx.items()}
    differences["bf16"] = _difference(classifier.logits(texts[:200]), classifier.logits(texts[:200], placement=HALF))
    _check_labels(classifier, piped, texts[:200], limit)
    accuracies = {placement.precision: _accuracy(classifier, split, placement) for placement in (FP32_CPU, HALF)}

    def turn(answer: Callable[[list[str]], object], share: int = 1) -> Callable[[int], int]:
        def work(number: int) -> int:
            some = [texts[index % len(texts)] for index in range(number * count, number * count + count // share)]
            answer(some)
            return len(some)

        return work

    speeds = race(
        {
            "pipeline, one by one": turn(lambda some: [piped(text, **limit) for text in some], share=10),
            "pipeline, batches of 32": turn(lambda some: piped(some, batch_size=32, **limit)),
            "ONNX Runtime, fp32, sorted": turn(onnx["onnx"].predict),
            "ONNX Runtime, int8, sorted": turn(onnx["onnx-int8"].predict),
            EXACT: turn(classifier.predict),
            OURS: turn(lambda some: classifier.predict(some, placement=HALF)),
        },
        rounds,
    )
    show(speeds)
    ratios = {ours: {theirs: ratio(speeds, ours, theirs) for theirs in list(speeds)[:-2]} for ours in (EXACT, OURS)}
    for ours, against in ratios.items():
        for theirs, found in against.items():
            sys.stdout.write(
                f"  {ours}: {found['median']:.2f} times {theirs} ({found['least']:.2f} to {found['greatest']:.2f})\n"
            )
    sys.stdout.write(f"  accuracy {accuracies}, largest differences of logits {differences}\n")
    return {"texts_per_second": speeds, "ratios": ratios, "logit_differences": differences, "accuracies": accuracies}  # fmt: skip


def _difference(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Largest difference of logits, relative to the largest logit; int8 differs by design, its accuracy is in the parity."""
    found = float(np.abs(ours - theirs).max() / np.abs(ours).max())
    if not found < 0.5:
        raise SystemExit(f"the rivals' logits differ by {found:.2g}: nothing to time")
    return found


def _accuracy(classifier: Any, split: Split, placement: Placement) -> float:
    return float((classifier.logits(split.texts, placement=placement).argmax(1) == split.labels).mean())


def _check_labels(classifier: Any, piped: Any, texts: list[str], limit: dict[str, Any]) -> None:
    ours = [answer.label for answer in classifier.predict(texts)]
    theirs = [answer["label"] for answer in piped(texts, batch_size=32, **limit)]
    if ours != theirs:
        raise SystemExit("the pipeline gives other labels: nothing to time")


if __name__ == "__main__":
    main()
