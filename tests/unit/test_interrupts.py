"""Interrupts that come where they must wait, are swallowed, or come too late: each in a process of its own."""

import signal
import subprocess
import sys
import textwrap

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a process cannot send itself Ctrl-C there")

BEGIN = """
import os, signal, sys, time
from lorabert import interrupts
signal.signal(signal.SIGINT, signal.default_int_handler)
interrupts.install()
def strike(): os.kill(os.getpid(), signal.SIGINT)
def farewell():
    print("farewell", flush=True)
    interrupts.leave(interrupts.CODE, tidy=False)
"""


def ended(body, folder):
    done = subprocess.run([sys.executable, "-c", BEGIN + textwrap.dedent(body)], capture_output=True, text=True, cwd=folder)
    return done.returncode, done.stdout.split(), done.stderr


def test_one_that_comes_before_the_verb_is_raised_at_its_beginning(tmp_path):
    body = """
    strike()
    print("waited", flush=True)
    try:
        with interrupts.heeded(farewell): print("never")
    except KeyboardInterrupt: interrupts.leave(interrupts.CODE)
    """
    assert ended(body, tmp_path) == (130, ["waited"], "")


def test_a_held_step_is_made_whole(tmp_path):
    body = """
    try:
        with interrupts.heeded(farewell), interrupts.held():
            strike(); print("whole", flush=True)
    except KeyboardInterrupt: print("raised")
    """
    assert ended(body, tmp_path) == (0, ["whole", "raised"], "")


def test_one_that_a_destructor_swallows_is_raised_again(tmp_path):
    body = """
    class Swallows:
        def __del__(self): strike()
    try:
        with interrupts.heeded(farewell):
            Swallows()
            time.sleep(5)
    except KeyboardInterrupt: print("raised")
    """
    assert ended(body, tmp_path) == (0, ["raised"], "")


@pytest.mark.parametrize(("begun", "said"), [(False, ["farewell"]), (True, ["imported", "raised"])])
def test_within_an_import_nothing_is_raised(tmp_path, begun, said):
    (tmp_path / "struck.py").write_text(
        "import os, signal\n"
        "try: os.kill(os.getpid(), signal.SIGINT)\n"
        "except BaseException: print('swallowed', flush=True)\n"
        "print('imported', flush=True)\n"
    )
    body = f"""
    try:
        with interrupts.heeded(farewell):
            if {begun}: interrupts.begin()
            import struck
            time.sleep(5)
    except KeyboardInterrupt: print("raised")
    """
    code, out, err = ended(body, tmp_path)
    assert (code, out, err) == (0 if begun else 130, said, "")


def test_a_second_one_at_once_changes_nothing_and_a_later_one_ends_the_process(tmp_path):
    body = """
    try:
        with interrupts.heeded(farewell): strike()
    except KeyboardInterrupt:
        strike(); print("undoing", flush=True)
        interrupts._ONE_WISH_SECONDS = 0.0
        strike(); print("never")
    """
    assert ended(body, tmp_path) == (130, ["undoing"], "lorabert: Interrupted.\n")


@pytest.mark.parametrize("code", [0, 2, 130])
def test_at_the_end_nothing_changes_what_the_command_came_to(tmp_path, code):
    body = f"""
    import atexit
    atexit.register(lambda: (strike(), print("tidied", flush=True)))
    interrupts.leave({code})
    """
    assert ended(body, tmp_path) == (code, ["tidied"], "")


def test_an_ignored_signal_stays_ignored(tmp_path):
    body = """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    interrupts.install()
    os.kill(os.getpid(), signal.SIGTERM)
    print(interrupts.came())
    """
    assert ended(body, tmp_path) == (0, ["False"], "")


def test_a_forked_process_has_the_plain_handlers(tmp_path):
    body = """
    if (child := os.fork()) == 0:
        os.kill(os.getpid(), signal.SIGTERM)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """
    assert ended(body, tmp_path) == (0, [str(-signal.SIGTERM)], "")
