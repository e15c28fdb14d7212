"""Labels and texts of every script, and readers of every kind: a file, a pipe, one that hangs up."""

import json
import subprocess
import sys

import pytest

import tiny

LABELS = ["[request]", "[/b] complaint", ":joy: \U0001f44d", "sch\u00f6n \u65e5\u672c"]


@pytest.fixture(scope="module")
def legacy(shell):
    """A command whose standard streams start in a Windows code page."""

    def run(*argv, stdin=b""):
        env = shell.env | {"PYTHONIOENCODING": "cp1252"}
        command = [sys.executable, "-m", "lorabert", *map(str, argv)]
        return subprocess.run(command, cwd=shell.folder, env=env, input=stdin, capture_output=True, timeout=300)

    return run


@pytest.fixture(scope="module")
def trained(shell, workplace, legacy):
    texts, labels = tiny.reviews(80, classes=4)
    tiny.write_csv(shell.folder / "any.csv", texts, [LABELS[label] for label in labels])
    options = [*workplace, "--data.train", "any.csv", "--train.num_train_epochs", "1", "--out", "any"]
    return legacy("train", *options, "--json")


def test_labels_of_any_characters_are_trained_and_printed_in_utf_8(trained):
    assert trained.returncode == 0, trained.stderr.decode()
    assert json.loads(trained.stdout)["run"] == "any"
    assert all(label in trained.stderr.decode() for label in LABELS)  # as they are: no markup, no emoji made of a name


def test_predict_and_evaluate_print_them_as_they_are(trained, legacy):
    answer = legacy("predict", "any", "a text")
    assert sorted(json.loads(answer.stdout)["scores"]) == sorted(LABELS)
    table = legacy("evaluate", "any").stdout.decode()
    assert all(table.count(label) >= 2 for label in LABELS)


def test_data_check_prints_them_as_they_are(trained, legacy):
    table = legacy("data", "check", "any.csv").stdout.decode()
    assert all(label in table for label in LABELS)


@pytest.mark.parametrize("command", ["data list", "evaluate any", "doctor"])
def test_a_reader_that_hangs_up_is_no_failure(shell, trained, command):
    line = f"{sys.executable} -m lorabert {command} | head -n 1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line], cwd=shell.folder, env=shell.env, capture_output=True, text=True, timeout=300)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
