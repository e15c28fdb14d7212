"""Adapter folders made by hand, without a model: what the store's tests add by the dozen, and a killed process in a loop."""

from __future__ import annotations

import hashlib
from pathlib import Path

from lorabert.files import sha256_of
from lorabert.shipping.manifests import MANIFEST, sealed

LABELS = ["negative", "positive"]


def adapter(folder: str | Path, seed: int = 0, *, bytes_of_weights: int = 4096) -> Path:
    """Write an adapter folder whose files are what its manifest says, though no model would take them.

    Args:
        folder: where to; made if it is not there.
        seed: another one gives other weights; the tokenizer is always the same.
        bytes_of_weights: how long the weights are.

    Returns:
        The folder.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    block = hashlib.sha256(str(seed).encode()).digest()
    contents = {
        "adapter_model.safetensors": (block * (bytes_of_weights // len(block) + 1))[:bytes_of_weights],
        "adapter_config.json": b'{"peft_type": "LORA"}\n',
        "tokenizer.json": b'{"model": {}}\n' * 50,
        "README.md": f"# Card {seed}\n".encode(),
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    manifest = {
        "schema_version": 1,
        "base": {"name": "/home/someone/base", "revision": None, "sha256": "0" * 64, "model_type": "bert"},
        "labels": LABELS,
        "problem_type": "single_label_classification",
        "max_length": 32,
        "method": "lora",
        "metrics": {"accuracy": {"value": 0.9, "low": 0.8, "high": 0.95, "n": 100}},
        "files": {name: {"sha256": sha256_of(folder / name), "bytes": len(content)} for name, content in contents.items()},
        "fingerprint": {"texts": [], "logits": []},
    }
    (folder / MANIFEST).write_bytes(sealed(manifest))
    return folder
