"""Adapters as a training would leave them, in a second: a tiny base, every trainable weight moved."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig

from lorabert.config import LoraConfig, Method, ModelConfig
from lorabert.engine.prediction import Classifier
from lorabert.models import bases, methods
from lorabert.models.bases import Base, LoadedBase
from lorabert.shipping import adapters, manifests

LABELS = ["zebra", "apple", "mango"]  # neither sorted nor reverse: an order to keep


def trained(
    base_folder: Path, method: Method = "lora", labels: list[str] = LABELS, *, seed: int = 0, max_length: int = 32, **lora: object
) -> tuple[Classifier, Base, LoadedBase]:
    """A classifier, the base that it stands on and the base's load report.

    Args:
        base_folder: a base on disk.
        method: what was trained.
        labels: the classes.
        seed: another one gives other weights.
        max_length: longest text in tokens.
        lora: LoRA's options.
    """
    torch.manual_seed(seed)
    base = bases.find(ModelConfig(name=str(base_folder)))
    loaded = bases.load(base, labels)
    model = methods.apply(loaded, method, LoraConfig(**lora)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.05 * torch.randn_like(parameter))
    return Classifier(model, bases.load_tokenizer(base.folder), labels, max_length), base, loaded


def saved(folder: Path, made: tuple[Classifier, Base, LoadedBase], **facts: Any) -> Path:
    """Save a classifier as an adapter folder; `facts` go into its manifest."""
    model, base, loaded = made
    adapters.save(folder, model, base, loaded, lambda _: ({"method": "lora", "seed": 0, **facts}, "# Card\n"))
    return folder


def of_schema_1(folder: Path, base: Path) -> Path:
    """Make an adapter folder what the first version left: the base as it was named, its tokenizer files, a config.json."""
    manifest = manifests.manifest_of(folder)
    settings = AutoConfig.from_pretrained(base, id2label=dict(enumerate(manifest["labels"])))
    settings.save_pretrained(folder)
    plain = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    plain |= {"base_model_name_or_path": manifest["base"]["name"], "revision": None}
    (folder / "adapter_config.json").write_text(json.dumps(plain), encoding="utf-8")
    for file in bases.tokenizer_files(base):
        shutil.copyfile(file, folder / file.name)
    (folder / manifests.MANIFEST).unlink()
    older = manifest | {"schema_version": 1, "files": manifests.file_entries(folder)}
    (folder / manifests.MANIFEST).write_bytes(manifests.sealed(older))
    return folder
