"""Adapters on one base that differ in rank, targets and labels, for the benchmarks of serving."""

from __future__ import annotations

from pathlib import Path

import torch

from lorabert.config import LoraConfig, ModelConfig
from lorabert.engine.prediction import Classifier
from lorabert.models import bases, methods
from lorabert.shipping import adapters, manifests


def variant(adapter: Path, folder: Path, number: int, *, labels: int | None = None) -> Path:
    """An adapter of another rank, other targets and other labels on the same base, of random weights."""
    found = manifests.manifest_of(adapter)
    base = bases.find(ModelConfig(name=found["base"]["name"]))
    names = [f"label {index}" for index in range(labels or 2 + number % 9)]
    torch.manual_seed(number)
    loaded = bases.load(base, names)
    lora = LoraConfig(r=(4, 8, 16)[number % 3], target_modules=("auto", "all-linear")[number % 2])
    model = methods.apply(loaded, "lora", lora).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:  # B begins as zeros, and then no two adapters would differ below the head
                parameter.normal_(0, 0.02)
    classifier = Classifier(model, bases.load_tokenizer(base.folder), names, found["max_length"])
    facts = {key: found[key] for key in ("method", "seed", "config", "data", "metrics")}
    adapters.save(folder, classifier, base, loaded, lambda _: (facts, ""))
    return folder
