"""Compiling the C++ files beside this one, once for each processor and compiler, and loading what came of it."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from lorabert import hardware
from lorabert.files import cache_folder

SWITCH = "LORABERT_KERNELS"
_ON, _OFF = ("", "on", "1", "yes", "true"), ("off", "0", "no", "false")
# No option that changes what a number may be (-ffast-math): an adapter whose loss is not finite has to be seen.
_OPTIONS = ["-std=c++17", "-O3", "-march=native", "-fopenmp", "-fPIC", "-fno-math-errno", "-fno-trapping-math"]
_PATIENCE = 120.0


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
    except (OSError, subprocess.SubprocessError) as error:
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
    library = folder / f"{key}.so"
    with contextlib.suppress(OSError):  # it is not there, or damaged: then it is made
        return ctypes.CDLL(str(library))
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        _compile(compiler, sources, openmp, Path(scratch) / library.name)
        (Path(scratch) / library.name).replace(library)
    return ctypes.CDLL(str(library))


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
