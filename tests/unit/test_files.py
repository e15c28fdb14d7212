"""Files that are whole or absent, and what is said when a disk refuses."""

import errno
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lorabert.errors import InputError
from lorabert.files import cache_folder, disk_errors, sha256_of, write_atomically

FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from lorabert.errors import InputError
from lorabert.files import cache_folder, disk_errors, write_atomically

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
write_atomically(Path("small"), b"fits")
try:
    with disk_errors(Path(".")):
        write_atomically(Path("kept"), b"x" * 5000)
except InputError as error:
    print(error)
"""


def names() -> set[str]:
    return {path.name for path in Path().iterdir()} - {".cache"}


def test_a_written_file_holds_the_content_and_nothing_lies_beside_it():
    write_atomically(Path("a/b/file"), b"\0content\r\n")
    assert Path("a/b/file").read_bytes() == b"\0content\r\n"
    assert [path.name for path in Path("a/b").iterdir()] == ["file"]
    write_atomically(Path("a/b/file"), b"")
    assert Path("a/b/file").read_bytes() == b""


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_earlier_file_whole_and_nothing_beside_it(step, monkeypatch):
    write_atomically(Path("file"), b"before")

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os if step == "fsync" else Path, step, fail)
    with pytest.raises(OSError, match="No space"):
        write_atomically(Path("file"), b"after")
    assert Path("file").read_bytes() == b"before"
    assert names() == {"file"}


def test_on_windows_a_write_waits_for_whoever_reads_the_file(monkeypatch):
    tries, put = [], Path.replace

    def busy(path, target):
        tries.append(path)
        if len(tries) < 3:
            raise PermissionError(errno.EACCES, "The process cannot access the file")
        return put(path, target)

    monkeypatch.setattr(Path, "replace", busy)
    monkeypatch.setattr("lorabert.files.sys.platform", "win32")
    write_atomically(Path("file"), b"content")
    assert (Path("file").read_bytes(), len(tries)) == (b"content", 3)
    monkeypatch.setattr("lorabert.files.sys.platform", "linux")
    tries.clear()
    with pytest.raises(PermissionError):
        write_atomically(Path("file"), b"other")
    assert names() == {"file"}


@pytest.mark.skipif(sys.platform == "win32", reason="RLIMIT_FSIZE")
def test_a_full_disk_is_an_input_error_and_leaves_the_earlier_file_whole():
    Path("kept").write_bytes(b"before")
    done = subprocess.run([sys.executable, "-c", FULL_DISK], capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    assert "grew beyond" in done.stdout
    assert "--resume" in done.stdout
    assert Path("small").read_bytes() == b"fits"  # the limit lets small files through: the big one met it
    assert Path("kept").read_bytes() == b"before"
    assert names() == {"kept", "small"}


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        (errno.ENOSPC, "disk is full"),
        (errno.EDQUOT, "quota"),
        (errno.EACCES, "may not be written"),
        (errno.EPERM, "may not be written"),
        (errno.EROFS, "read-only"),
        (errno.ENOTDIR, "a file, not a folder"),
    ],
)
def test_what_the_disk_refuses_is_said_with_the_folder(code, cause):
    with pytest.raises(InputError, match=cause) as refused, disk_errors(Path("my/run")):
        raise OSError(code, os.strerror(code))
    assert "my/run" in str(refused.value)


def test_an_error_that_is_not_the_disks_stays_what_it_is():
    with pytest.raises(FileNotFoundError), disk_errors(Path("run")):
        Path("nothing").read_bytes()
    with pytest.raises(ZeroDivisionError), disk_errors(Path("run")):
        _ = 1 // 0


def test_a_folder_below_a_file_is_an_input_error():
    Path("file").write_bytes(b"")
    with pytest.raises(InputError), disk_errors(Path("file/run")):
        write_atomically(Path("file/run/x/record"), b"")


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, (1 << 20) + 1])
def test_sha256_of_is_the_hash_of_the_bytes(size):
    Path("file").write_bytes(b"a" * size)
    assert sha256_of(Path("file")) == hashlib.sha256(b"a" * size).hexdigest()


def test_the_cache_is_where_the_environment_says(monkeypatch):
    monkeypatch.setenv("LORABERT_CACHE", "here")
    assert cache_folder() == Path("here")
    monkeypatch.setenv("LORABERT_CACHE", "")
    assert cache_folder().name == "lorabert"
