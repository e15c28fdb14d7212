"""The same training gives the same adapter folder, byte for byte, whatever order a process has its sets in."""

import os
import subprocess
import sys
from pathlib import Path

import tiny


def test_two_processes_that_hash_differently_make_the_same_folder(tiny_base):
    texts, labels = tiny.reviews(40, 2)
    tiny.write_csv("d.csv", texts, [tiny.CLASS_NAMES[label] for label in labels])
    command = [sys.executable, "-m", "lorabert", "train", "--data.train", "d.csv", "--model.name", str(tiny_base),
               "--lora.target_modules", "all-linear", "--train.num_train_epochs", "1", "--model.max_length", "32"]  # fmt: skip
    started = [
        subprocess.Popen([*command, "--out", f"run-{seed}"], env={**os.environ, "PYTHONHASHSEED": seed}, stderr=subprocess.PIPE)
        for seed in ("1", "2")
    ]
    for process in started:
        errors = process.communicate(timeout=300)[1].decode()
        assert process.returncode == 0, errors
    first, second = ({file.name: file.read_bytes() for file in Path(f"run-{seed}/adapter").iterdir()} for seed in (1, 2))
    assert set(first) > {"adapter_config.json", "adapter_model.safetensors", "lorabert.json"}
    assert [name for name in first if first[name] != second.get(name)] == []
    assert set(second) == set(first)
