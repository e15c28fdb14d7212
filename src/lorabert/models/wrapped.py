"""Through PEFT's wrappers to the modules that compute and train."""

from __future__ import annotations

from typing import Any


def classifier_of(model: Any) -> Any:
    """The Transformers classifier inside a PEFT model, or the model itself."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def part(module: Any, path: str) -> Any:
    """The module at a dotted path, stepping into the trained copy wherever PEFT saves a module whole."""
    for word in path.split("."):
        module = getattr(module, word)
        if hasattr(module, "modules_to_save"):
            module = module.modules_to_save[module.active_adapters[0]]
    return module
