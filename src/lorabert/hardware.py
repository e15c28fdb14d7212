"""What this machine is, and which device and precision a run uses on it, with the reason."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lorabert.config import Device, TrainConfig
from lorabert.errors import InputError

PACKAGES = (
    "lorabert",
    "torch",
    "transformers",
    "peft",
    "accelerate",
    "datasets",
    "tokenizers",
    "numpy",
    "scikit-learn",
)


@dataclass(frozen=True)
class Placement:
    """Where a run computes, and in which precision.

    Attributes:
        device: cpu, cuda or mps.
        precision: fp32, bf16 or fp16, of the matrix products; trained weights are fp32 always.
        reason: why, as a sentence for people.
    """

    device: str
    precision: str
    reason: str


def place(train: TrainConfig) -> Placement:
    """Choose device and precision for a run.

    Raises:
        InputError: the device asked for is not there, or it cannot compute in the precision asked for.
    """
    if train.precision == "fp16" and _device(train.device) == "cpu":
        raise InputError("fp16 cannot be trained on a CPU", expected="--train.precision auto, fp32 or bf16")
    return placed(train.device, train.precision)


def placed(device: Device, precision: str) -> Placement:
    """Choose whatever is `auto` of a device and a precision.

    Raises:
        InputError: the device asked for is not there.
    """
    found = _device(device)
    supported, reason = _half_precision(found)
    if precision == "auto":
        return Placement(found, supported or "fp32", reason)
    return Placement(found, precision, "asked for")


def _device(wanted: str) -> str:
    import torch

    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if wanted == "auto":
        return next(name for name, is_there in present.items() if is_there)
    if not present[wanted]:
        there = ", ".join(name for name, is_there in present.items() if is_there)
        raise InputError(f"This machine or this build of PyTorch has no {wanted}", expected=f"--train.device {there} or auto")
    return wanted


def has_gpu(wanted: Device = "auto") -> bool:
    """Whether a run would compute on a GPU.

    Raises:
        InputError: the device asked for is not there.
    """
    return _device(wanted) != "cpu"


def _half_precision(device: str) -> tuple[str | None, str]:
    """The half precision that pays on a device, if any, and why."""
    import torch

    if device == "cuda":
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return "bf16", "this GPU multiplies in bf16"
        return "fp16", "this GPU has no bf16; fp16 with loss scaling"
    if device == "cpu":
        flags = [flag for flag in ("avx512_bf16", "amx_bf16") if flag in cpu_flags()]
        if flags:
            return "bf16", f"this processor multiplies in bf16 ({', '.join(flags)})"
        return None, "this processor has no bf16 instructions"
    return None, f"fp32 is the safe choice on {device}"


def cpu_flags() -> frozenset[str]:
    """The processor's instruction-set flags, as Linux names them; empty where the system does not tell."""
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.exists():
        return frozenset()
    line = next((line for line in cpuinfo.read_text().splitlines() if line.startswith("flags")), "")
    return frozenset(line.partition(":")[2].split())


def package_versions() -> dict[str, str]:
    """Installed versions of the packages that decide what a run computes."""
    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return versions


def describe() -> dict[str, Any]:
    """The machine, for a record: system, processor, cores, threads in use, memory, GPU."""
    import torch

    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else None
    return {
        "system": f"{platform.system()} {platform.release()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory_bytes": _memory_bytes(),
        "gpu": gpu,
    }


def peak_bytes(device: str = "cpu") -> int:
    """Highest memory of this process so far, in bytes: resident, or allocated on the GPU; 0 where the system does not tell."""
    if device == "cuda":
        import torch

        return int(torch.cuda.max_memory_allocated())
    if sys.platform == "win32":
        return 0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def available_bytes(device: str = "cpu") -> int:
    """Memory that new work can take on a device, in bytes."""
    if device == "cuda":
        import torch

        return int(torch.cuda.mem_get_info()[0])
    import psutil

    return int(psutil.virtual_memory().available)


def give_back() -> None:
    """Give memory that is free, but that the C library keeps, back to the system; where that is not glibc, do nothing.

    Batches of ever new sizes leave holes between what is in use, and the process would grow all day.
    """
    import ctypes

    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim:
        trim(0)


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _memory_bytes() -> int | None:
    names = getattr(os, "sysconf_names", {})
    if "SC_PAGE_SIZE" in names and "SC_PHYS_PAGES" in names:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return None
