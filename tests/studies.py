"""A small finished comparison on tiny models: real runs, for tests of what reads comparison.json."""

from __future__ import annotations

from pathlib import Path

import tiny
from lorabert.cli import main

# At this rate a tiny encoder learns these reviews in seconds when all of it is trained, and with LoRA next to nothing: some
# of the runs count as failed.
QUICK = (
    "--model.max_length", "64", "--train.num_train_epochs", "6", "--train.learning_rate", "5e-3", "--train.recipe", "course",
    "--data.test_share", "0.3",
    "--train.precision", "fp32", "--lora.r", "16", "--lora.target_modules", "all-linear",
)  # fmt: skip


def small_comparison(folder: Path, *options: str) -> Path:
    """Compare LoRA and full fine-tuning on two tiny tasks, two seeds each, in `folder/study`.

    Args:
        folder: where the tiny base (`base/`), the files (`two.csv`, `three.csv`) and the study are written.
        options: further words of `lorabert compare`; they win over those here.

    Returns:
        The path of comparison.json.
    """
    words = prepare(folder)
    code = main(["compare", *words, "--methods", "lora,full", "--seeds", "2", "--out", str(folder / "study"), *options])
    assert code == 0
    return folder / "study" / "comparison.json"


def prepare(folder: Path, n: int = 120) -> list[str]:
    """Write the base and the files, and return the words that name them."""
    if not (folder / "base").exists():
        tiny.build_base(folder / "base")
        for name, classes in (("two", 2), ("three", 3)):
            texts, labels = tiny.reviews(n, classes=classes, seed=classes)
            tiny.write_csv(folder / f"{name}.csv", texts, [tiny.CLASS_NAMES[label] for label in labels])
    tasks = f"{folder / 'two.csv'},{folder / 'three.csv'}"
    return ["--model.name", str(folder / "base"), "--tasks", tasks, *QUICK]
