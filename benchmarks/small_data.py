"""The panel: what a few labelled texts of many kinds come to, by `lorabert train` with no option and by what else people take.

    python benchmarks/small_data.py [--half dev|held-out] [--sets ...] [--sizes 50 200] [--draws 5] [--systems ...]
                                    [--python SYSTEM=PYTHON ...]

Each cell (set, size, draw, system) is a process of its own that is given two CSV files and answers the second; its seconds are
the whole process's. A cell that stands in records/small_data.jsonl is not run again, so a run may be cut short and goes on
where it was. SYSTEM=PYTHON names the interpreter of an environment that has a rival's packages (setfit; fasttext). Systems take
turns on each draw. docs/small_data.md is made of the records by docs/small_data.py.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from panel import PANEL, Drawn, Text, draw

from lorabert import hardware
from lorabert.data import assets
from lorabert.evidence import calibration, metrics
from lorabert.files import cache_folder

RECORD = Path(__file__).parent / "records" / "small_data.jsonl"
RIVALS = Path(__file__).parent / "rivals"
OURS = {"lorabert": (), "lorabert, course": ("--train.recipe", "course")}
THEIRS = {"TF-IDF": "tfidf.py", "frozen base": "frozen.py", "Transformers + PEFT": "peft_.py", "fastText": "fasttext_.py",
          "SetFit": "setfit_.py"}  # fmt: skip
LONGEST_SECONDS = 1800


def main() -> None:
    """Run the cells that lack, a line each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--half", choices=["dev", "held-out", "both"], default="dev")
    parser.add_argument("--sets", nargs="+", choices=PANEL, default=list(PANEL))
    parser.add_argument("--sizes", nargs="+", type=int, default=[50, 200])
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--systems", nargs="+", choices=[*OURS, *THEIRS], default=["lorabert", "TF-IDF", "frozen base"])
    parser.add_argument("--python", nargs="*", default=[], metavar="SYSTEM=PYTHON")
    parser.add_argument("--record", type=Path, default=RECORD)
    options = parser.parse_args()
    pythons = dict(pair.split("=", 1) for pair in options.python)
    done = {_key(row) for row in read(options.record)}
    sets = [
        PANEL[name] for name in options.sets if options.half == "both" or PANEL[name].held_out == (options.half == "held-out")
    ]
    for number in range(options.draws):
        for source in sets:
            for size in options.sizes:
                todo = [system for system in options.systems if (source.name, size, number, system) not in done]
                drawn = draw(source, size, number) if todo else None
                for system in todo if drawn else []:
                    assert drawn is not None
                    cell = {"set": source.name, "held_out": source.held_out, "size": size, "draw": number, "system": system}
                    _keep(options.record, cell | _measured(drawn, system, pythons.get(system, sys.executable)))


def read(record: Path = RECORD) -> list[dict[str, Any]]:
    """The cells that were measured."""
    return [json.loads(line) for line in record.read_text(encoding="utf-8").splitlines()] if record.exists() else []


def _key(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["set"], row["size"], row["draw"], row["system"]


def _keep(record: Path, row: dict[str, Any]) -> None:
    with record.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(row) + "\n")
    told = f"{100 * row['accuracy']:5.1f}" if row["accuracy"] is not None else row["failure"][:60]
    sys.stdout.write(f"{row['set']:16s} {row['size']:5d} #{row['draw']} {row['system']:20s} {told} {row['seconds']:6.1f} s\n")
    sys.stdout.flush()


def _measured(drawn: Drawn, system: str, python: str) -> dict[str, Any]:
    """What a system makes of a draw: its scores, or why it failed."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        _write(place / "train.csv", drawn.train)
        _write(place / "test.csv", drawn.test)
        started = time.perf_counter()
        failure, found = "", None
        try:
            run = _ours if system in OURS else _theirs
            found = run(place, system, python)
        except subprocess.CalledProcessError as error:
            failure = f"exit {error.returncode}: {(error.stderr or '').strip()[-300:]}"
        except subprocess.TimeoutExpired:
            failure = f"longer than {LONGEST_SECONDS} s"
        seconds = time.perf_counter() - started
    machine = {"processor": hardware.describe()["processor"], "seconds": round(seconds, 2), "n_test": len(drawn.test)}
    if found is None:
        return {**machine, "accuracy": None, "f1_macro": None, "ece": None, "failure": failure}
    return {**machine, **_scores(drawn, *found)}


def _scores(drawn: Drawn, names: Sequence[str], probabilities: np.ndarray) -> dict[str, Any]:
    """Accuracy, macro-F1 and calibration error; all answers of one class are a failure, whatever they score."""
    labels = np.array([names.index(text.label) for text in drawn.test])
    predicted = probabilities.argmax(1)
    confusion = metrics.confusion_matrix(labels, predicted, len(names))
    error = calibration.expected_calibration_error(calibration.reliability(probabilities, labels))
    single = len(set(predicted.tolist())) == 1
    return {"accuracy": float((predicted == labels).mean()), "f1_macro": metrics.f1_macro(confusion), "ece": error,
            "failure": "one class for every text" if single else ""}  # fmt: skip


def _ours(place: Path, system: str, python: str) -> tuple[list[str], np.ndarray]:
    command = [
        python,
        "-m",
        "lorabert",
        "train",
        "--data.train",
        "train.csv",
        "--data.test",
        "test.csv",
        "--out",
        "run",
        *OURS[system],
    ]
    _run(command, place)
    record = json.loads((place / "run/run.json").read_text(encoding="utf-8"))
    table = pq.read_table(place / "run/predictions.parquet").to_pandas()
    rows = table[table["split"] == "test"].sort_values("index")
    return record["data"]["labels"], metrics.softmax(np.stack(rows["logits"].to_list()))


def _theirs(place: Path, system: str, python: str) -> tuple[list[str], np.ndarray]:
    _run([python, str(RIVALS / THEIRS[system]), "train.csv", "test.csv", "answers.json"], place)
    found = json.loads((place / "answers.json").read_text(encoding="utf-8"))
    return found["labels"], np.array(found["probabilities"])


def _run(command: list[str], place: Path) -> None:
    """A process in its own folder, offline, with the base's place in BASE."""
    base = assets.fetch("minilm-l6") / assets.ASSETS["minilm-l6"].member
    told = {"BASE": str(base), "LORABERT_CACHE": str(cache_folder()), "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    surroundings = os.environ | told
    subprocess.run(command, cwd=place, env=surroundings, check=True, capture_output=True, text=True, timeout=LONGEST_SECONDS)


def _write(file: Path, texts: Sequence[Text]) -> None:
    with file.open("w", encoding="utf-8", newline="") as lines:
        rows = csv.writer(lines)
        rows.writerow(["text", "label"])
        rows.writerows((text.text, text.label) for text in texts)


if __name__ == "__main__":
    main()
