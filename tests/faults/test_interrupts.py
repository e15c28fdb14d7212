"""Ctrl-C and SIGTERM at any moment: exit 130 and one line, nothing half-made, and the same command goes on afterwards.

The long version, marked slow, strikes each command at 40 moments, `evaluate` at 100, and leaves the record that
docs/reliability.md is made from; `evaluate` and `predict` are whole processes there, from the interpreter's start to its end.
"""

import json
import random
import shutil
import signal
import sys
import time

import pytest

import reliability
from lorabert.errors import InputError
from lorabert.shipping import manifests

COMMAND = "pytest -n 0 -m slow tests/faults/test_interrupts.py"
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="signals and forks as Linux has them")

KINDS = {"Ctrl-C": [signal.SIGINT], "Ctrl-C twice": [signal.SIGINT, signal.SIGINT], "SIGTERM": [signal.SIGTERM]}
NAMES = ["train", "evaluate", "predict", "compare", "sweep", "report", "store add", "export", "data check"]
WHOLE = {"evaluate": 100, "predict": 40}
FORBIDDEN = ("Traceback", "terminate called", "Fatal", "Exception ignored", "bug in lorabert", "core dumped")


def start(shell, words, *, whole=False):
    """Start a command; a whole process has an interpreter of its own, and is met while that one begins."""
    if whole:
        return shell.popen(*words, program=("-m", "lorabert"), preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    process = shell.popen(*words)
    process.begun()
    return process


def clear(shell):
    for made in ("made", ".made.partial"):
        shutil.rmtree(shell.folder / made, ignore_errors=True)
    (shell.folder / "made.html").unlink(missing_ok=True)


def left(shell):
    """What lies half-made: locks, partial files and folders, and manifests that promise more than there is."""
    made = shell.folder / "made"
    wrong = [*made.rglob(".lock*"), *made.rglob("*partial"), *shell.folder.glob(".*.partial")]
    wrong = [f"{path} was left" for path in wrong if not (path.name == ".lock" and (path.parent / "store.json").exists())]
    for manifest in made.rglob(manifests.MANIFEST) if made.is_dir() else []:
        try:
            known = manifests.manifest_of(manifest.parent, (manifests.ADAPTER, manifests.EXPORT))
            wrong += manifests.differences(manifest.parent, known)
        except InputError as error:
            wrong.append(str(error))
    return wrong


def struck(shell, words, moment, kind, gap, *, whole):
    """Send the signals at a moment; how the command ended, and what is wrong with that."""
    clear(shell)
    process = start(shell, words, whole=whole)
    time.sleep(moment)
    for number in KINDS[kind]:
        process.send_signal(number)
        time.sleep(gap)
    out, err = process.communicate(timeout=120)
    code = process.returncode
    if code in (-signal.SIGINT, -signal.SIGTERM, 1) and "lorabert" not in err:
        return "met while Python began", []
    wrong = [] if code in (0, 130) else [f"exit {code}"]
    wrong += [word for word in FORBIDDEN if word in err]
    said = [line for line in err.splitlines() if line.startswith("lorabert: ")]
    if code == 130 and not (len(said) == 1 and "nterrupted" in said[0]):
        wrong.append(f"it said {said}")
    if code == 130 and "--json" in words and "error" not in json.loads(out) and not json.loads(out):
        wrong.append("no document")
    return "completed" if code == 0 else "interrupted", [*(f"{each}: {err[-2000:]}" for each in wrong), *left(shell)]


def goes_on(shell, words):
    """The same command again, for `train` with --resume; an export that was whole before it was struck is not made again."""
    _, err = (process := start(shell, [*words, *(["--resume"] if words[0] == "train" else [])])).communicate(timeout=300)
    return [] if process.returncode == 0 or "already holds something" in err else [f"given again: {err[-500:]}"]


def struck_at_moments(shell, verbs, name, moments, *, whole=False, rounds=2):
    words = [*verbs[name], "--json"]
    for _ in range(rounds):  # the second one finds everything imported
        clear(shell)
        started = time.monotonic()
        process = start(shell, words, whole=whole)
        _, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
        seconds = time.monotonic() - started
    tally, rng = reliability.Tally("interrupts", name), random.Random(f"{name} {moments}")
    for case in range(moments):
        moment, kind, gap = rng.uniform(0, seconds), rng.choice(list(KINDS)), rng.uniform(0.001, 0.1)
        outcome, wrong = struck(shell, words, moment, kind, gap, whole=whole)
        if "made" in str(words[-2]):
            wrong += goes_on(shell, words)
        if wrong:
            tally.failures.append(f"{name}, case {case}, {kind} after {moment:.3f} s: {'; '.join(wrong)}")
        else:
            tally.outcomes[outcome] += 1
    return tally, seconds


@pytest.mark.parametrize("name", ["predict", "store add", "data check"])
def test_an_interrupt_ends_a_command_in_order(shell, verbs, name):
    tally, _ = struck_at_moments(shell, verbs, name, 2, rounds=1)
    assert tally.failures == []


def test_an_interrupt_meets_a_whole_process_in_its_imports(shell, verbs):
    outcome, wrong = struck(shell, [*verbs["predict"], "--json"], 1.0, "Ctrl-C", 0.0, whole=True)
    assert wrong == []
    assert outcome == "interrupted"


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("name", NAMES)
def test_many_interrupts_end_in_order(shell, verbs, name):
    tally, seconds = struck_at_moments(shell, verbs, name, WHOLE.get(name, 40), whole=name in WHOLE)
    tally.save(COMMAND, {f"{name}, seconds undisturbed": f"{seconds:.1f}"})
    assert tally.failures == []
