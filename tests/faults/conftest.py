"""The command as a user runs it, for every fault that befalls it."""

import pytest

import tiny
from command import here, shell, workplace  # noqa: F401 - fixtures


@pytest.fixture(scope="module")
def verbs(shell, here):  # noqa: F811
    """Each command on a tiny adapter, every place by its whole path; `made` is what it makes."""
    place = shell.folder
    tiny.build_base(place / "base")
    texts, labels = tiny.reviews(90)
    data, base, kept, made = place / "d.csv", place / "base", place / "kept", place / "made"
    tiny.write_csv(data, texts, labels)
    shared = ["--data.train", data, "--model.name", base, "--model.max_length", "48", "--train.recipe", "course",
              "--train.learning_rate", "5e-3", "--train.precision", "fp32", "--train.device", "cpu", "--train.baselines", "false",
              "--train.num_train_epochs", "1"]  # fmt: skip
    trained = here("train", *shared, "--out", kept)
    assert trained.code == 0, trained.err
    assert here("store", "add", kept, "--name", "kept", "--store", place / "store").code == 0
    return {
        "train": ["train", *shared, "--out", made],
        "evaluate": ["evaluate", kept],
        "predict": ["predict", kept, "a text"],
        "predict -": ["predict", kept, "-"],
        "compare": ["compare", *shared, "--methods", "head", "--seeds", "1", "--out", made],
        "sweep": ["sweep", *shared, "--grid", "lora.r=2,4", "--out", made],
        "report": ["report", kept, "-o", place / "made.html"],
        "store add": ["store", "add", kept, "--name", "again", "--store", made],
        "store list": ["store", "list", "--store", place / "store"],
        "export": ["export", kept, "--format", "merged", "--out", made],
        "data list": ["data", "list"],
        "data check": ["data", "check", data, "--model", base],
        "doctor": ["doctor"],
        "help": ["--help"],
    }
