"""Which device and precision a run uses, and why."""

import json
import platform

import psutil
import pytest
import torch

from lorabert import hardware
from lorabert.config import TrainConfig
from lorabert.errors import InputError
from lorabert.hardware import place


@pytest.fixture
def machine(monkeypatch):
    def has(*, flags: tuple[str, ...] = (), cuda: bool = False, bf16: bool = True, mps: bool = False) -> None:
        monkeypatch.setattr(hardware, "cpu_flags", lambda: frozenset(flags))
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: bf16 or including_emulation)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)

    return has


@pytest.mark.parametrize(
    ("has", "device", "precision"),
    [
        ({}, "cpu", "fp32"),
        ({"flags": ("avx2", "avx512f")}, "cpu", "fp32"),
        ({"flags": ("avx512_bf16",)}, "cpu", "bf16"),
        ({"flags": ("amx_bf16",)}, "cpu", "bf16"),
        ({"cuda": True}, "cuda", "bf16"),
        ({"cuda": True, "bf16": False}, "cuda", "fp16"),
        ({"mps": True}, "mps", "fp32"),
        ({"cuda": True, "mps": True}, "cuda", "bf16"),
    ],
)
def test_auto_takes_the_gpu_that_is_there_and_the_half_precision_that_pays(machine, has, device, precision):
    machine(**has)
    chosen = place(TrainConfig())
    assert (chosen.device, chosen.precision) == (device, precision)
    assert chosen.reason


def test_what_is_asked_for_is_taken(machine):
    machine(flags=("avx512_bf16",), cuda=True)
    assert (place(TrainConfig(device="cpu", precision="fp32")).device) == "cpu"
    assert place(TrainConfig(precision="fp32")).precision == "fp32"
    assert place(TrainConfig(device="cpu")).precision == "bf16"


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_a_device_that_is_not_there_is_refused_with_those_there_are(machine, device):
    machine()
    with pytest.raises(InputError, match=f"no {device}.*cpu"):
        place(TrainConfig(device=device))


def test_fp16_on_a_cpu_is_refused(machine):
    machine()
    with pytest.raises(InputError, match="fp16"):
        place(TrainConfig(precision="fp16"))


def test_the_machine_and_the_versions_are_plain_json():
    described = json.loads(json.dumps({**hardware.describe(), **hardware.package_versions()}))
    assert described["cores"] >= 1
    assert described["torch"] == torch.__version__ or described["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert described["lorabert"] != "not installed"
    assert hardware.peak_bytes() > 10_000_000


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_what_is_free_but_kept_goes_back_to_the_system():
    process = psutil.Process()
    before = process.memory_info().rss
    held = [torch.ones(15_000) for _ in range(5_000)]  # 60 kB each: too small to be mapped one by one
    last = held[-1]
    held.clear()
    assert process.memory_info().rss - before > 200 * 2**20  # the last one holds all below it
    hardware.give_back()
    assert process.memory_info().rss - before < 100 * 2**20
    assert last.sum() == 15_000
