"""Adapter folders: saved whole or not at all, and refused when anything in them or under them has changed.

    adapter/
        lorabert.json                                     the manifest, written last: without it a folder is no adapter

The manifest holds the hash of every file, the base's identity, the labels, and the logits of a few fixed texts.
"""

from __future__ import annotations

import secrets
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from lorabert.config import ModelConfig
from lorabert.engine.prediction import Classifier
from lorabert.errors import InputError, MismatchError
from lorabert.files import disk_errors, sha256_of, write_atomically
from lorabert.hardware import package_versions
from lorabert.models import bases
from lorabert.models.bases import Base, LoadedBase
from lorabert.shipping.manifests import MANIFEST, RESTORE, SCHEMA_VERSION, differences, manifest_of, sealed

WEIGHTS = "adapter_model.safetensors"
FINGERPRINT_TEXTS = (
    "ok",
    "A small movie with a big impact.",
    "The company said its board approved a two-for-one stock split, 3.5 mln shares; trading resumes on Monday.",
    "Déjà vu? Naïve – “très bien”, 100 %: ça marche!",
    "word " * 200,
)
# Bit-identical on one machine; another processor, thread count or build of the matrix library rounds differently.
# Relative to the largest logit, so that it means the same for a hesitant classifier as for a sure one.
FINGERPRINT_TOLERANCE = 1e-3


def save(
    folder: Path, classifier: Classifier, base: Base, loaded: LoadedBase, facts: dict[str, Any], card: str
) -> dict[str, Any]:
    """Write an adapter folder beside its place, then move it there; an older one is replaced.

    Args:
        folder: the adapter's place.
        classifier: the trained PEFT model with its tokenizer and labels, on the CPU.
        base: what it was trained on.
        loaded: the base's load report.
        facts: further entries of the manifest: method, metrics, data, seed.
        card: the text of README.md.

    Returns:
        The manifest.

    Raises:
        InputError: the folder cannot be written, or training diverged.
    """
    beside = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.partial")
    with disk_errors(folder):
        try:
            beside.mkdir(parents=True)
            _write_weights(beside, classifier, base)
            for file in bases.tokenizer_files(base.folder):
                shutil.copyfile(file, beside / file.name)
            (beside / "README.md").write_text(card, encoding="utf-8", newline="\n")
            manifest = _manifest(beside, classifier, base, loaded, facts)
            write_atomically(beside / MANIFEST, sealed(manifest))
            shutil.rmtree(folder, ignore_errors=True)
            beside.replace(folder)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    return manifest


def _write_weights(folder: Path, classifier: Classifier, base: Base) -> None:
    """What plain PEFT loads, and the base's configuration with the labels, by which the tokenizer is found too."""
    # The base is named as the user named it, not by the folder that its files happen to lie in.
    classifier.model.peft_config["default"].base_model_name_or_path = base.name
    classifier.model.save_pretrained(folder, save_embedding_layers=False)
    classifier.model.config.save_pretrained(folder)


def _manifest(folder: Path, classifier: Classifier, base: Base, loaded: LoadedBase, facts: dict[str, Any]) -> dict[str, Any]:
    files = sorted(path for path in folder.iterdir() if path.is_file())
    logits = _fingerprint(classifier, FINGERPRINT_TEXTS)
    if not np.isfinite(logits).all():
        raise InputError(
            "Training diverged: the classifier's answers are not finite numbers",
            fix="Lower --train.learning_rate, or keep --train.max_grad_norm at 1",
        )
    return {
        "schema_version": SCHEMA_VERSION,
        "base": {"name": base.name, "revision": base.revision, "sha256": base.sha256,
                 "model_type": classifier.model.config.model_type},
        "labels": classifier.label_names,
        "problem_type": "single_label_classification",
        "max_length": classifier.max_length,
        "new_tensors": _where_saved(folder, loaded.new_tensors),
        **facts,
        "versions": package_versions(),
        "files": {path.name: {"sha256": sha256_of(path), "bytes": path.stat().st_size} for path in files},
        "fingerprint": {"texts": list(FINGERPRINT_TEXTS), "logits": logits.tolist()},
    }  # fmt: skip


def _where_saved(folder: Path, new_tensors: list[str]) -> dict[str, dict[str, str]]:
    """File and key of every newly initialised tensor; one that is missing would make the adapter worthless.

    Raises:
        RuntimeError: PEFT left one out, which no input should bring about.
    """
    from safetensors import safe_open

    with safe_open(folder / WEIGHTS, framework="numpy") as weights:
        keys = set(weights.keys())
    places = {name: f"base_model.model.{name}" for name in new_tensors}
    lost = [name for name, key in places.items() if key not in keys]
    if lost:
        raise RuntimeError(f"newly initialised tensors were not saved: {', '.join(lost)}; saved: {', '.join(sorted(keys))}")
    return {name: {"file": WEIGHTS, "key": key} for name, key in places.items()}


def _fingerprint(classifier: Classifier, texts: tuple[str, ...] | list[str]) -> np.ndarray:
    """Logits of fixed texts, each alone so that no batch shape plays a part, (texts, C) float32."""
    return np.concatenate([classifier.plain_logits(text) for text in texts])


def verify(folder: Path, base_name: str | None = None) -> tuple[dict[str, Any], Base]:
    """Check the manifest, every file's size and hash, and the base; nothing is loaded.

    Args:
        folder: an adapter folder.
        base_name: where the base lies, when not where the manifest says.

    Returns:
        The manifest, and the base as found.

    Raises:
        InputError: the folder is no adapter, or the base cannot be found.
        MismatchError: anything differs; every mismatch is named.
    """
    manifest = manifest_of(folder)
    problems = differences(folder, manifest)
    recorded = manifest["base"]
    revision = None if base_name else recorded["revision"]
    try:
        base = bases.find(ModelConfig(name=base_name or recorded["name"], revision=revision))
    except InputError as error:
        if problems:
            raise MismatchError(f"The adapter {folder}", [*problems, str(error)], fix=RESTORE) from None
        raise
    if base.sha256 != recorded["sha256"]:
        problems.append(
            f"it belongs to the base '{recorded['name']}' with weights {recorded['sha256'][:12]}…, "
            f"and the base '{base.name}' has weights {base.sha256[:12]}…"
        )
    if problems:
        raise MismatchError(f"The adapter {folder}", problems, fix=RESTORE)
    return manifest, base


def load(folder: Path, base_name: str | None = None) -> tuple[Classifier, dict[str, Any]]:
    """Verify an adapter, put it on its base and check that it still gives the recorded answers.

    Returns:
        The classifier and the manifest, with `fingerprint.largest_difference` from the recorded logits (0.0 is bit-identical).

    Raises:
        InputError: the folder is no adapter, or the base cannot be found.
        MismatchError: a file, the base, the labels or the answers differ; every mismatch is named.
    """
    import peft

    manifest, base = verify(folder, base_name)
    loaded = bases.load(base, manifest["labels"])
    tokenizer = bases.load_tokenizer(folder)
    try:
        with bases.quiet_transformers():
            model = peft.PeftModel.from_pretrained(loaded.model, str(folder)).eval()
    except (RuntimeError, ValueError, KeyError) as error:
        raise MismatchError(f"The adapter {folder}", [f"PEFT cannot put it on the base: {str(error).splitlines()[0]}"]) from None
    classifier = Classifier(model, tokenizer, manifest["labels"], manifest["max_length"])
    recorded = np.array(manifest["fingerprint"]["logits"], dtype=np.float32)
    found = _fingerprint(classifier, manifest["fingerprint"]["texts"])
    problems = []
    if recorded.shape != found.shape:
        problems.append(f"it gives {found.shape[1]} logits a text, and {recorded.shape[1]} were recorded")
    elif np.abs(found - recorded).max() > FINGERPRINT_TOLERANCE * np.abs(recorded).max():
        problems.append(f"its logits differ from the recorded ones by up to {np.abs(found - recorded).max():.3g}")
    if problems:
        raise MismatchError(f"The adapter {folder}", problems, fix=RESTORE)
    manifest["fingerprint"]["largest_difference"] = float(np.abs(found - recorded).max())
    return classifier, manifest
