"""A data file with one text of many megabytes: memory is a small multiple of the file, whatever the text is cut at."""

import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import tiny

MEGABYTES = 60
# Of the file's size. The standard library's reader of CSV keeps four bytes a character, beside the bytes, the text and its lines.
MOST = {"csv": 9, "jsonl": 5, "parquet": 7}
MEASURED = (
    "import sys; from lorabert.cli import main; code = main(sys.argv[1:]); "
    "print([line for line in open('/proc/self/status') if 'VmHWM' in line][0].split()[1], file=sys.stderr); "
    "raise SystemExit(code)"
)
QUICK = ("--model.name", "base", "--model.max_length", "32", "--train.num_train_epochs", "1", "--train.recipe", "course",
         "--train.precision", "fp32", "--train.baselines", "false")  # fmt: skip


def peak_bytes(*words: str) -> int:
    """The most memory that a command held, as its own process says it: what its parent held is not in it."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *words], capture_output=True, text=True, env={**os.environ, "TQDM_DISABLE": "1"}
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return int(done.stderr.split()[-1]) * 1024


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_a_huge_text_takes_a_few_times_its_file(kind):
    tiny.build_base(Path("base"))
    texts, labels = tiny.reviews(60, classes=2, seed=2)
    names = [tiny.CLASS_NAMES[label] for label in labels]
    tiny.write_csv(Path("small.csv"), texts, names)
    texts, names = [*texts, "a good film " * (MEGABYTES * 10**6 // 12)], [*names, names[0]]
    file = Path(f"big.{kind}")
    if kind == "parquet":
        pq.write_table(pa.table({"text": texts, "label": names}), file, compression="none")
    else:
        {"csv": tiny.write_csv, "jsonl": tiny.write_jsonl}[kind](file, texts, names)
    del texts
    commands = {
        "check": lambda name, _: ("data", "check", name, "--model", "base"),
        "train": lambda name, out: ("train", *QUICK, "--data.train", name, "--out", out),
        "predict": lambda name, _: ("predict", "run", "--file", name),
    }
    peak_bytes(*commands["train"]("small.csv", "run"))
    for name, words in commands.items():
        more = peak_bytes(*words(str(file), "other")) - peak_bytes(*words("small.csv", "another"))
        assert more < MOST[kind] * file.stat().st_size, f"{name}: {more / file.stat().st_size:.1f} times the file"
