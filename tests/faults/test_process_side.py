"""What surrounds a process may be closed, full, missing or odd: the right answer, or exit 2 and a paragraph; never a traceback.

The long version, marked slow, takes every command under every condition and leaves the record that docs/reliability.md shows.
"""

import json
import shutil
import sys

import pytest

import befalling
import reliability

COMMAND = "pytest -n 0 -m slow tests/faults/test_process_side.py"
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="signals, forks and /dev as Linux has them")

# Where nothing that the command says can reach anybody, its exit code alone is asked for.
MUTE = {"stderr_closed", "stderr_full", "both_full", "all_closed", "stderr_left"}
LOST = {"stdout_closed", "stdout_full", "both_full", "all_closed"}


def taken(shell, words, condition, *more):
    """What a command came to under a condition, and what is wrong with that."""
    made = shell.folder / "made"
    for old in (made, shell.folder / ".made.partial"):
        shutil.rmtree(old, ignore_errors=True)
    (shell.folder / "made.html").unlink(missing_ok=True)
    done = shell(*words, *more, befall=befalling.CONDITIONS[condition])
    return done, wrong_with(done, condition, as_json="--json" in more, said=bool(more) or words[-1] != "-")  # nothing to answer


def wrong_with(done, condition, *, as_json, said=True):
    wrong = []
    if done.code not in (0, 2):
        wrong.append(f"exit {done.code}")
    if "Traceback" in done.err or "terminate" in done.err or "Exception ignored" in done.err:
        wrong.append("more than a paragraph")
    if done.code == 2 and condition not in MUTE and sum(line.startswith("lorabert: ") for line in done.err.splitlines()) != 1:
        wrong.append("no paragraph")
    if condition in LOST and done.code == 0 and said:
        wrong.append("exit 0, although the answer was lost")
    if as_json and condition not in LOST and condition != "stdout_left":
        try:
            json.loads(done.out)
        except ValueError:
            wrong.append(f"not one document: {done.out[:200]!r}")
    return [f"{each}: {done.err[-1500:]}" for each in wrong]


def swept(shell, verbs, cases):
    tally = reliability.Tally("process", "")
    for verb, condition in cases:
        for more in ((), ("--json",)) if verb != "help" else ((),):
            done, wrong = taken(shell, verbs[verb], condition, *more)
            if wrong:
                tally.failures.append(f"{' '.join([verb, *more])}, {condition}: {'; '.join(wrong)}")
            else:
                tally.outcomes["completed" if done.code == 0 else "refused"] += 1
    return tally


def test_a_short_command_under_every_condition(shell, verbs):
    assert swept(shell, verbs, [("predict", each) for each in befalling.CONDITIONS]).failures == []


@pytest.mark.slow
@pytest.mark.parametrize("condition", befalling.CONDITIONS)
def test_every_command_under_every_condition(shell, verbs, condition):
    assert swept(shell, verbs, [(each, condition) for each in verbs]).failures == []
