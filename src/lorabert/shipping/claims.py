"""What an adapter claims to be, held against its own tensors and its base's before PEFT builds anything of that size."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lorabert import received
from lorabert.errors import MismatchError
from lorabert.shipping.documents import peft

SETTINGS, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_PREFIX = "base_model.model."
_HEADS = ("classifier", "score")  # PEFT adds both names whatever the architecture calls its head
_WRAPPERS = (".base_layer.", ".modules_to_save.default.", ".modules_to_save.", ".original_module.")  # around biases
_LORA = (".lora_A.weight", ".lora_B.weight", ".lora_magnitude_vector")
_MOST_TOLD = 5
Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Claims:
    """What an adapter says that it changes.

    Attributes:
        shapes: of its tensors, by the names that the base has for them.
        saved: the modules that it replaces whole.
    """

    shapes: Shapes
    saved: list[str]


def check(folder: Path, labels: int) -> Claims:
    """Check an adapter's settings, and hold them and its number of labels against its tensors.

    Raises:
        InputError: a file is damaged.
        MismatchError: a setting is none of ours, or a claim has no tensors.
    """
    settings = received.json_of(folder / SETTINGS, folder)
    found = [f"in {SETTINGS} {problem}" for problem in peft.problems(settings)]
    if not found:
        shapes = {_plain(name): shape for name, shape in received.shapes_of(folder / WEIGHTS).items()}
        found = list(_misclaims(settings, shapes, labels))
        if not found:
            return Claims(shapes, settings.get("modules_to_save") or [])
    raise MismatchError(f"The adapter {folder}", found[:_MOST_TOLD])


def _plain(name: str) -> str:
    name = name.removeprefix(_PREFIX)
    for wrapper in _WRAPPERS:
        name = name.replace(wrapper, ".")
    return name


def _misclaims(settings: Mapping[str, Any], shapes: Shapes, labels: int) -> Iterator[str]:
    rank = settings["r"]
    layers = {name.removesuffix(_LORA[0]) for name in shapes if name.endswith(_LORA[0])}
    targets = [] if settings["target_modules"] == peft.DUMMY else settings["target_modules"]
    yield from (f"{SETTINGS} names {target}, of which {WEIGHTS} has nothing" for target in targets
                if not any(_ends(layer, target) for layer in layers))  # fmt: skip
    yield from (f"{WEIGHTS} has a LoRA of {layer}, which {SETTINGS} does not name" for layer in sorted(layers)
                if not any(_ends(layer, target) for target in targets))  # fmt: skip
    for name, shape in shapes.items():
        if (name.endswith(_LORA[0]) and shape[:1] != (rank,)) or (name.endswith(_LORA[1]) and shape[1:] != (rank,)):
            yield f"{name} has the shape {shape}, and r is {rank}"
    saved = settings.get("modules_to_save") or []
    yield from (f"{SETTINGS} names {module}, of which {WEIGHTS} has nothing" for module in saved
                if module not in _HEADS and not any(_lies_in(name, module) for name in shapes))  # fmt: skip
    for name in shapes:
        bias = name.endswith(".bias") and settings.get("bias", "none") != "none"
        if not name.endswith(_LORA) and not bias and not any(_lies_in(name, module) for module in saved):
            yield f"{WEIGHTS} holds {name[:100]!a}, which {SETTINGS} does not name"
    if not any(
        _lies_in(name, head) and len(shape) == 2 and shape[0] == labels for name, shape in shapes.items() for head in _HEADS
    ):
        yield f"{WEIGHTS} has no head for {labels:,} labels"


def _ends(layer: str, target: str) -> bool:
    return layer == target or layer.endswith(f".{target}")


def _lies_in(name: str, module: str) -> bool:
    return f".{name}".find(f".{module}.") >= 0


def check_base(folder: Path, claims: Claims, model: Any) -> None:
    """Hold an adapter's tensors against the parameters of its base.

    Raises:
        MismatchError: one is of another shape, or of a layer that is not there, or a module is named that is not saved whole.
    """
    there = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
    wrong = [f"{name} has the shape {shape}, which does not fit the base" for name, shape in claims.shapes.items()
             if not _fits(name, shape, there)]  # fmt: skip
    wrong += [f"{SETTINGS} names {module}, and {WEIGHTS} lacks its {name}" for module in claims.saved for name in there
              if _lies_in(name, module) and name not in claims.shapes]  # fmt: skip
    if wrong:
        raise MismatchError(f"The adapter {folder}", wrong[:_MOST_TOLD])


def _fits(name: str, shape: tuple[int, ...], there: Shapes) -> bool:
    end = next((end for end in _LORA if name.endswith(end)), None)
    if end is None:
        return there.get(name) == shape
    layer = there.get(f"{name.removesuffix(end)}.weight", ())
    if len(layer) != 2:
        return False
    out, width = layer
    return {_LORA[0]: shape[1:] == (width,), _LORA[1]: shape[:1] == (out,), _LORA[2]: shape in ((out,), (out, 1))}[end]
