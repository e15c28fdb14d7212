"""Compiling the steps: once for a machine, and never in the way of who cannot."""

import subprocess
import sys

import pytest

from lorabert.engine.kernels import building


@pytest.fixture
def state(monkeypatch):
    """What a new process would find, with these variables."""

    def find(**variables):
        for name in ("LORABERT_KERNELS", "CXX"):
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, str(value))
        return building.state.__wrapped__()

    return find


@pytest.fixture
def compiled(state, tmp_path):
    """A folder that the steps were compiled into."""
    found = state(LORABERT_KERNELS=tmp_path / "kernels")
    if found.library is None:
        pytest.skip(found.reason)
    return tmp_path / "kernels"


def script(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("word", ["off", "0", "NO"])
def test_off(state, word):
    found = state(LORABERT_KERNELS=word)
    assert found.library is None
    assert found.reason == f"LORABERT_KERNELS is {word}"


@pytest.mark.parametrize("word", ["", "on", "1", "True"])
def test_a_word_for_on_is_no_folder(state, compiled, tmp_path, word):
    assert state(LORABERT_KERNELS=word).library is not None
    assert not (tmp_path / (word or "kernels.so")).exists()


def test_compiled_once_and_found_again(state, compiled):
    (library,) = compiled.iterdir()
    made = library.stat().st_mtime_ns
    assert "compiled by" in state(LORABERT_KERNELS=compiled).reason
    assert [file.stat().st_mtime_ns for file in compiled.iterdir()] == [made]


def test_a_damaged_one_is_made_again(state, compiled, tmp_path):
    (library,) = compiled.iterdir()
    # In a folder of its own: the whole one is loaded already, and must not change under the tests that use it.
    damaged = tmp_path / "damaged" / library.name
    damaged.parent.mkdir()
    damaged.write_text("rubbish")
    assert state(LORABERT_KERNELS=damaged.parent).library is not None
    assert damaged.read_bytes() == library.read_bytes()


def test_lie_in_the_cache_folder_unless_told_otherwise(state, compiled, tmp_path):
    assert state(LORABERT_CACHE=tmp_path / "cache").library is not None
    assert [file.suffix for file in (tmp_path / "cache" / "kernels").iterdir()] == [".so"]


@pytest.mark.skipif(sys.platform != "linux", reason="they are compiled on Linux")
@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('test "$1" = --version && exec echo "c++ 1"; echo "no such option" >&2; exit 1', "no such option"),
        ('test "$1" = --version && exec echo "c++ 1"; for last; do :; done; echo rubbish > "$last"', "too short"),
        ("exit 3", "it said nothing"),
    ],
    ids=["fails", "writes rubbish", "cannot even tell its version"],
)
def test_a_compiler_that_cannot(state, tmp_path, text, told):
    found = state(CXX=script(tmp_path / "c++", text), LORABERT_KERNELS=tmp_path / "kernels")
    assert found.library is None
    assert str(tmp_path / "c++") in found.reason
    assert told in found.reason


@pytest.mark.skipif(sys.platform != "linux", reason="they are compiled on Linux")
def test_no_compiler(state):
    assert state(CXX="no-such-compiler").reason == "there is no compiler no-such-compiler"


@pytest.mark.skipif(sys.platform != "linux", reason="they are compiled on Linux")
def test_a_folder_that_cannot_be_written(state, compiled, tmp_path):
    (tmp_path / "file").write_text("")
    assert state(LORABERT_KERNELS=tmp_path / "file" / "kernels").library is None


def test_processes_that_compile_at_once(compiled, tmp_path):
    told = "from lorabert.engine import kernels; assert kernels.state().library, kernels.state().reason"
    environment = {**building.os.environ, "LORABERT_KERNELS": str(tmp_path / "shared")}
    running = [subprocess.Popen([sys.executable, "-c", told], env=environment) for _ in range(3)]
    assert [process.wait(timeout=120) for process in running] == [0, 0, 0]
    assert len(list((tmp_path / "shared").iterdir())) == 1
