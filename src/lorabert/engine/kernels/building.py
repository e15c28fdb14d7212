"""Compiling the C++ files beside this one, once for each processor and compiler, and loading what came of it."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import os
import secrets
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from lorabert import hardware, locks
from lorabert.errors import InputError
from lorabert.files import cache_folder, sha256_of, write_atomically
from lorabert.folders import clear_partial

SWITCH = "LORABERT_KERNELS"
_ON, _OFF = ("", "on", "1", "yes", "true"), ("off", "0", "no", "false")
# No option that changes what a number may be (-ffast-math): an adapter whose loss is not finite has to be seen.
_OPTIONS = ["-std=c++17", "-O3", "-march=native", "-fopenmp", "-fPIC", "-fno-math-errno", "-fno-trapping-math"]
_PATIENCE = 120.0
_DIGITS = 16


@dataclass(frozen=True)
class State:
    """Whether there are compiled steps here.

    Attributes:
        library: to call them in; None where there are none.
        reason: why, as a sentence for people.
    """

    library: ctypes.CDLL | None
    reason: str


@functools.cache
def state() -> State:
    """The compiled steps; the first call on a machine takes a few seconds to make them, and keeps them in the cache folder.

    LORABERT_KERNELS is `off` to go without, `on`, or another folder to keep them in; CXX names another compiler than g++.
    """
    told = os.environ.get(SWITCH, "")
    if told.lower() in _OFF:
        return State(None, f"{SWITCH} is {told}")
    if sys.platform != "linux":
        return State(None, f"they are compiled on Linux, and this is {sys.platform}")
    compiler = shutil.which(os.environ.get("CXX") or "g++")
    if compiler is None:
        return State(None, f"there is no compiler {os.environ.get('CXX') or 'g++'}")
    openmp = _openmp()
    if openmp is None:
        return State(None, "this PyTorch brings no OpenMP library of GCC's to share its threads")
    try:
        folder = cache_folder() / "kernels" if told.lower() in _ON else Path(told)
        return State(_loaded(compiler, openmp, folder), f"compiled by {_version(compiler)}")
    except (OSError, subprocess.SubprocessError, InputError) as error:
        return State(None, f"they cannot be made with {compiler}: {_first_line(error)}")


def _openmp() -> Path | None:
    """PyTorch's own OpenMP library: a second one in the process would start threads of its own beside it."""
    import torch

    return next(iter(sorted((Path(torch.__file__).parent / "lib").glob("libgomp*.so*"))), None)


def _loaded(compiler: str, openmp: Path, folder: Path) -> ctypes.CDLL:
    here = Path(__file__).parent
    sources = sorted(here.glob("*.cpp"))
    text = b"".join(file.read_bytes() for file in [*sources, *sorted(here.glob("*.h"))])
    told = [*_OPTIONS, _version(compiler), str(openmp), *sorted(hardware.cpu_flags())]
    key = hashlib.sha256(text + "\n".join(told).encode()).hexdigest()[:16]
    if made := _whole(folder, key):
        return made
    folder.mkdir(parents=True, exist_ok=True)
    hold = locks.take(folder, "compiles in", wait=_PATIENCE)  # of several processes one compiles, and the others wait
    try:
        return _whole(folder, key) or _made(compiler, sources, openmp, folder, key)
    finally:
        hold.release()


def _whole(folder: Path, key: str) -> ctypes.CDLL | None:
    """The library of a key, if its bytes are those its name tells: loading one that was cut short ends the process."""
    for library in sorted(folder.glob(f"{key}-*.so")):
        with contextlib.suppress(OSError):  # it may be damaged, or for another system
            if sha256_of(library)[:_DIGITS] == library.stem.rpartition("-")[2]:
                return ctypes.CDLL(str(library))
    return None


def _made(compiler: str, sources: list[Path], openmp: Path, folder: Path, key: str) -> ctypes.CDLL:
    clear_partial(folder)  # what a killed process left
    scratch = folder / f".compiling.{secrets.token_hex(4)}.partial"  # its compiler may have outlived it
    scratch.mkdir()
    try:
        _compile(compiler, sources, openmp, scratch / "made.so")
        content = (scratch / "made.so").read_bytes()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    library = folder / f"{key}-{hashlib.sha256(content).hexdigest()[:_DIGITS]}.so"
    write_atomically(library, content)
    try:
        return ctypes.CDLL(str(library))
    except OSError:
        library.unlink()
        raise


def _compile(compiler: str, sources: list[Path], openmp: Path, library: Path) -> None:
    objects = [library.with_name(f"{source.stem}.o") for source in sources]
    for source, made in zip(sources, objects, strict=True):
        _run([compiler, *_OPTIONS, "-c", str(source), "-o", str(made)])
    # Linked without -fopenmp, which would name the system's library instead of PyTorch's.
    _run([compiler, "-shared", *map(str, objects), str(openmp), f"-Wl,-rpath,{openmp.parent}", "-o", str(library)])


def _run(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, check=True).stdout


@functools.cache
def _version(compiler: str) -> str:
    return _first_line(_run([compiler, "--version"]))


def _first_line(told: object) -> str:
    text = told.stderr if isinstance(told, subprocess.CalledProcessError) else told
    return (str(text).strip().splitlines() or ["it said nothing"])[0]
