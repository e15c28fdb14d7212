"""PEFT's adapter_config.json: of its many fields those that our adapters use, and of these the values that they can have.

PEFT reads regular expressions, layer counts, module paths and whole further methods from it. Nothing of that is ours.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lorabert.kinds import LONGEST_NAME, Check, neutral, number, one_of, optional, rows, text, whole, wrong

DUMMY = "dummy-target-modules"  # PEFT's word for no LoRA at all
_NEEDED = ("peft_type", "task_type", "r", "lora_alpha", "target_modules")
_MOST_MODULES, _MOST_RANK = 20_000, 1 << 16


def problems(settings: Mapping[str, Any]) -> list[str]:
    """What in an adapter's settings is none of ours, a sentence each."""
    found = [
        f"{name} is missing" for name in ("peft_type", "task_type", "r", "lora_alpha", "target_modules") if name not in settings
    ]
    for name, value in settings.items():
        found += _FIELDS.get(name, neutral)(value, ascii(name)[1:81].rstrip("'"))
    return found


def _targets(value: Any, where: str) -> Iterator[str]:
    if value != DUMMY:
        yield from _MODULES(value, where)


def _scale(value: Any, where: str) -> Iterator[str]:
    yield from number(value, where)
    if isinstance(value, (int, float)) and not 0 < value <= 1e6:
        yield wrong(value, where, "a positive number of at most a million")


def _share(value: Any, where: str) -> Iterator[str]:
    yield from number(value, where)
    if isinstance(value, (int, float)) and not 0 <= value <= 1:
        yield wrong(value, where, "a share from 0 to 1")


_MODULES = rows(text(300, r"\w+(\.\w+)*", "the plain name of a module"), 0, _MOST_MODULES)
_SWITCH = one_of(True, False)
_FIELDS: dict[str, Check] = {
    "peft_type": one_of("LORA"),
    "task_type": one_of("SEQ_CLS"),
    "r": whole(1, _MOST_RANK),
    "lora_alpha": _scale,
    "lora_dropout": _share,
    "target_modules": _targets,
    "modules_to_save": optional(_MODULES),
    "bias": one_of("none", "all", "lora_only"),
    "use_rslora": _SWITCH,
    "use_dora": _SWITCH,
    "init_lora_weights": one_of(True, False, "gaussian", "pissa", "olora", "orthogonal"),
    "inference_mode": _SWITCH,
    "base_model_name_or_path": optional(text()),
    "revision": optional(text()),
    "peft_version": optional(text(LONGEST_NAME)),
    # Values that PEFT writes whether or not what they belong to is used; without the rest they mean nothing.
    "megatron_core": one_of("megatron.core", None),
    "qalora_group_size": whole(0, 1 << 20),
}
