"""What surrounds a process may be closed, full, missing or odd: the right answer, or exit 2 and a paragraph; never a traceback.

The long version, marked slow, takes every command under every condition and leaves the record that docs/reliability.md shows.
"""

import contextlib
import json
import shutil
import signal
import socket
import sys
import time

import httpx
import pytest

import befalling
import reliability
from command import Done, Shell

COMMAND = "pytest -n 0 -m slow tests/faults/test_process_side.py"
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="signals, forks and /dev as Linux has them")

# Where nothing that the command says can reach anybody, its exit code alone is asked for.
MUTE = {"stderr_closed", "stderr_full", "both_full", "all_closed", "stderr_left"}
VERBS = ["train", "evaluate", "predict", "predict -", "compare", "sweep", "report", "store add", "store list", "export",
         "data list", "data check", "doctor", "help"]  # fmt: skip
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
    mute = condition in MUTE or (condition == "short_files" and len(done.err.encode()) >= befalling.SHORT)
    if done.code == 2 and not mute and sum(line.startswith("lorabert: ") for line in done.err.splitlines()) != 1:
        wrong.append("no paragraph")
    if condition in LOST and done.code == 0 and said:
        wrong.append("exit 0, although the answer was lost")
    cut = condition == "short_files" and len(done.out.encode()) >= befalling.SHORT
    if cut and done.code == 0:
        wrong.append("exit 0, although the answer was cut")
    if as_json and not cut and condition not in LOST and condition != "stdout_left":
        try:
            json.loads(done.out)
        except ValueError:
            wrong.append(f"not one document: {done.out[:200]!r}")
    return [f"{each}: {done.err[-1500:]}" for each in wrong]


def swept(shell, verbs, verb, forms):
    """A command under every condition, for people and as JSON."""
    tally = reliability.Tally("process", verb)
    for condition in befalling.CONDITIONS:
        for more in forms:
            done, wrong = taken(shell, verbs[verb], condition, *more)
            if wrong:
                tally.failures.append(f"{' '.join([verb, *more])}, {condition}: {'; '.join(wrong)}")
            else:
                tally.outcomes["completed" if done.code == 0 else "refused"] += 1
    return tally


@pytest.mark.parametrize("verb", ["predict", "store list", "help"])
def test_a_short_command_under_every_condition(shell, verbs, verb):
    assert swept(shell, verbs, verb, [("--json",)] if verb == "predict" else [()]).failures == []


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("verb", VERBS)
def test_every_command_under_every_condition(shell, verbs, verb):
    tally = swept(shell, verbs, verb, [(), ("--json",)] if verb != "help" else [()])
    tally.save(COMMAND)
    assert tally.failures == []


def served(shell, condition):
    """What is wrong with a server that was started under a condition: it answers and ends in order, or is refused."""
    with socket.socket() as free:  # it may be unable to say which port it took
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["serve", shell.folder / "store", "--port", port]
    process = shell.popen(*words, befall=befalling.CONDITIONS[condition])
    answer, until = None, time.monotonic() + 60
    while process.poll() is None and answer is None and time.monotonic() < until:
        with contextlib.suppress(httpx.TransportError):
            answer = httpx.post(f"http://127.0.0.1:{port}/classify", json={"input": "a text"}, timeout=30)
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    done = Done(process.returncode, out, err)
    wrong = wrong_with(done, condition, as_json=False, said=False)
    untold = condition in LOST  # its address reached nobody, which its exit code says
    if answer is None and done.code != 2 and condition != "stdout_left":
        wrong.append(f"no answer: {err[-1500:]}")
    if answer is not None and (answer.status_code, done.code) != (200, 2 if untold else 0):
        wrong.append(f"answered {answer.status_code}, exit {done.code}: {answer.text[:300]} {err[-1500:]}")
    return done, wrong


def serve_under(shell, conditions):
    tally = reliability.Tally("process", "serve")
    for condition in conditions:
        done, wrong = served(shell, condition)
        if wrong:
            tally.failures.append(f"serve, {condition}: {'; '.join(wrong)}")
        else:
            tally.outcomes["completed" if done.code == 0 else "refused"] += 1
    return tally


def test_a_server_under_a_few_conditions(shell, verbs):
    tally = serve_under(shell, ["stdin_closed", "stderr_left", "few_files", "home_unwritable"])
    assert tally.failures == []
    assert tally.outcomes["completed"] == 4


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_a_server_under_every_condition(shell, verbs):
    tally = serve_under(shell, befalling.CONDITIONS)
    tally.save(COMMAND)
    assert tally.failures == []


@pytest.mark.parametrize("settings", [{"LC_ALL": "C", "PYTHONUTF8": "0"}, {"PYTHONIOENCODING": "ascii"}], ids=["C", "ascii"])
def test_names_of_any_characters_in_a_locale_that_has_none(shell, verbs, settings):
    place = shell.folder / "дата ünï"
    if not place.exists():
        shutil.copytree(shell.folder / "store", place)
    known = Shell(shell.folder, shell.env | {"PYTHONCOERCECLOCALE": "0"} | settings)
    done = known("store", "list", "--store", place, program=("-m", "lorabert"))
    assert done.code == 0, done.err
    assert str(place) in done.out
    lost = known("store", "list", "--store", "nöwhere", program=("-m", "lorabert"))
    assert lost.code == 2
    assert "There is no store at 'nöwhere'" in lost.err


def test_an_option_of_bytes_that_are_no_characters_is_the_users(here):
    done = here("store", "list", "--store", "n\udcffwhere")
    assert done.code == 2
    assert r"Got 'n\udcffwhere'" in done.err
