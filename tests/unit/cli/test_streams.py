"""A command's streams, each case in a process of its own whose streams are what they are."""

import json
import subprocess
import sys
import textwrap

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/dev/full and C's own streams as Linux has them")

BEGIN = """
import ctypes, os, sys
from lorabert.cli import streams
streams.settle()
"""


def ended(body, redirect="", **options):
    command = f"exec {sys.executable} -c '{BEGIN}{textwrap.dedent(body)}' {redirect}"
    done = subprocess.run(["/bin/bash", "-c", command], capture_output=True, text=True, **options)
    return done.returncode, done.stdout, done.stderr


def test_no_file_takes_the_place_of_a_closed_stream():
    code, out, err = ended('file = open("/dev/zero"); print(file.fileno() > 2); sys.exit(streams.told(0))', "<&- 2>&-")
    assert (code, out, err) == (0, "True\n", "")


def test_a_closed_stdout_is_refused_before_any_work():
    code, out, err = ended("streams.begin()", ">&-")
    assert code == 1
    assert "InputError: Standard output is closed" in err
    assert out == ""


def test_an_answer_that_a_full_disk_refuses_is_not_done_though_its_work_is():
    code, _, err = ended('print("x" * 100_000); print("worked on", file=sys.stderr); sys.exit(streams.told(0))', "> /dev/full")
    assert code == 2
    assert err.splitlines()[0] == "worked on"
    assert err.splitlines()[1].startswith("lorabert: The answer could not be written to standard output. Got No space left")
    assert len(err.splitlines()) == 2


def test_progress_that_cannot_be_written_holds_nothing_up():
    body = 'print("progress", file=sys.stderr); print("answer"); sys.exit(streams.told(0))'
    assert ended(body, "2> /dev/full") == (0, "answer\n", "")


def test_a_pipe_that_does_not_wait_gets_all_there_is():
    body = 'os.set_blocking(1, False); print("x" * 1_000_000); sys.exit(streams.told(0))'
    code, out, err = ended(body, "| (sleep 0.3; cat)")
    assert (code, len(out), err) == (0, 1_000_001, "")


def test_what_libraries_print_stands_beside_no_document():
    body = """
    c = ctypes.CDLL(None)
    c.puts(b"before")
    os.write(1, b"by its number\\n")
    streams.write_document(sys.stdout, "{}")
    code = streams.told(0)
    c.puts(b"after")
    sys.exit(code)
    """
    code, out, err = ended(body)
    assert (code, json.loads(out)) == (0, {})
    assert sorted(err.splitlines()) == ["after", "before", "by its number"]
