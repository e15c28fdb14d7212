"""Adapter folders: saved whole or not at all, and refused when anything in them or under them has changed.

    adapter/
        lorabert.json                                     the manifest, written last: without it a folder is no adapter

The manifest holds the hash of every file, the base's identity, the labels, and the logits of a few fixed texts.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from lorabert import received
from lorabert.config import ModelConfig
from lorabert.data import assets
from lorabert.engine.prediction import Classifier
from lorabert.errors import InputError, MismatchError
from lorabert.files import disk_errors, sha256_of, write_atomically
from lorabert.folders import whole_folder
from lorabert.hardware import package_versions
from lorabert.models import bases
from lorabert.models.bases import Base, LoadedBase
from lorabert.runs import places
from lorabert.shipping import claims, fingerprints, tokenizer_files
from lorabert.shipping.claims import SETTINGS, WEIGHTS
from lorabert.shipping.manifests import (
    ADAPTER,
    MANIFEST,
    RESTORE,
    SCHEMA_VERSION,
    base_problems,
    differences,
    file_entries,
    manifest_of,
    sealed,
)

Describe = Callable[[Classifier], tuple[dict[str, Any], str]]


def save(folder: Path, trained: Classifier, base: Base, loaded: LoadedBase, describe: Describe) -> dict[str, Any]:
    """Write an adapter folder beside its place, load it there afresh, and move it; an older one is replaced.

    What is said of an adapter is said of what was loaded afresh, never of the model in memory: that is what its users will have.

    Args:
        folder: the adapter's place.
        trained: the PEFT model with its tokenizer and labels, on the CPU.
        base: what it was trained on.
        loaded: the base's load report.
        describe: called with the classifier that was loaded afresh; gives further entries of the manifest (method, metrics,
            data, seed) and the text of README.md.

    Returns:
        The manifest.

    Raises:
        InputError: the folder cannot be written, or training diverged.
    """
    with disk_errors(folder), whole_folder(folder, strangers) as beside:
        _write_weights(beside, trained, base)
        tokenizer_files.write(beside, base.folder, trained)
        shipped = _opened(beside, base, trained.label_names, trained.max_length, pairs=False)
        answers = _answers(trained, shipped)
        facts, card = describe(shipped)
        (beside / "README.md").write_text(card, encoding="utf-8", newline="\n")
        manifest = _manifest(beside, shipped, base, loaded, facts, answers)
        write_atomically(beside / MANIFEST, sealed(manifest))
    return manifest


def _answers(trained: Classifier, shipped: Classifier) -> dict[str, Any]:
    """What the manifest records of the answers of the shipped files, after a look at the model that they were written from.

    Raises:
        InputError: training diverged.
        RuntimeError: the files do not hold what was trained, which no input should bring about.
    """
    answers = fingerprints.taken(shipped)
    _, problems = fingerprints.compared(trained, answers)
    if problems:
        raise RuntimeError(f"the adapter's files do not hold what was trained: loaded afresh, {problems[0]}")
    return answers


def strangers(folder: Path) -> list[str]:
    """The names in an adapter folder that its manifest does not have as they are: what somebody else put there, or changed."""
    try:
        files = {**manifest_of(folder)["files"], MANIFEST: {"sha256": sha256_of(folder / MANIFEST)}}
    except InputError:
        files = {}
    return sorted(
        entry.name for entry in folder.iterdir()
        if not entry.is_file() or entry.name not in files or sha256_of(entry) != files[entry.name]["sha256"]
    )  # fmt: skip


def _write_weights(folder: Path, classifier: Classifier, base: Base) -> None:
    """What plain PEFT loads. No config.json: beside one, Transformers takes a folder for a whole model."""
    settings = classifier.model.peft_config["default"]
    settings.base_model_name_or_path, settings.revision = _for_plain_tools(base)
    classifier.model.save_pretrained(folder, save_embedding_layers=False)
    written = json.loads((folder / SETTINGS).read_bytes())
    for key in ("target_modules", "modules_to_save"):  # sets, whose order is another in every process
        if isinstance(written[key], list):
            written[key] = sorted(set(written[key]))
    (folder / SETTINGS).write_text(json.dumps(written, indent=2, sort_keys=True) + "\n", encoding="utf-8", newline="\n")


def _for_plain_tools(base: Base) -> tuple[str, str | None]:
    """What Transformers and PEFT find a base by: a hub id and its commit, or the folder, from wherever they are called.

    They know no assets, and take a relative path from where they happen to run.
    """
    if base.revision is None or base.name in assets.ASSETS:
        return os.path.abspath(base.folder), None  # noqa: PTH100 - links stay as they are
    return base.name, base.revision


def _manifest(folder: Path, classifier: Classifier, base: Base, loaded: LoadedBase, facts: dict[str, Any],
              answers: dict[str, Any]) -> dict[str, Any]:  # fmt: skip
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": ADAPTER,
        "base": {"name": base.name, "revision": base.revision, "sha256": base.sha256,
                 "settings": dict(base.settings), "model_type": classifier.model.config.model_type},
        "labels": classifier.label_names,
        "problem_type": "single_label_classification",
        "max_length": classifier.max_length,
        "new_tensors": _where_saved(folder, loaded.new_tensors),
        **facts,
        "versions": package_versions(),
        "files": file_entries(folder),
        "fingerprint": answers,
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
    try:
        base = bases.find(ModelConfig(name=base_name)) if base_name else base_of(folder, recorded)
    except InputError as error:
        if problems:
            raise MismatchError(f"The adapter {folder}", [*problems, str(error)], fix=RESTORE) from None
        raise
    problems += base_problems(recorded, base)
    if problems:
        raise MismatchError(f"The adapter {folder}", problems, fix=RESTORE)
    return manifest, base


def base_of(folder: Path, recorded: dict[str, Any]) -> Base:
    """The base that an adapter was trained on, by its name; of a folder, wherever it lies by now with those weights.

    Args:
        folder: the adapter.
        recorded: `base` of its manifest.

    Raises:
        InputError: there is none.
    """
    name = recorded["name"]
    if recorded.get("revision") is not None or name in assets.ASSETS:
        return bases.find(ModelConfig(name=name, revision=recorded.get("revision")))
    candidates = [Path(name), *places.elsewhere(folder, name), *_plain_place(folder)]
    there = [place for place in dict.fromkeys(candidates) if os.path.isdir(place)]  # noqa: PTH112 - of any name, however odd
    if not there:
        raise InputError(f"The base of the adapter {folder} was the folder '{name}', which is not there",
                         got=f"no folder {', nor '.join(map(str, dict.fromkeys(candidates)))}",
                         expected=f"a folder with the weights {recorded['sha256'][:12]}…",
                         fix="Name the folder where the base lies by now with --base")  # fmt: skip
    for place in there:
        with suppress(InputError):  # another folder of that name, perhaps
            base = bases.find(ModelConfig(name=str(place)))
            if not base_problems(recorded, base):
                return base
    return bases.find(ModelConfig(name=str(there[0])))


def _plain_place(folder: Path) -> list[Path]:
    """Where the base lay when the adapter was trained, as its adapter_config.json tells plain tools."""
    try:
        place = received.json_of(folder / SETTINGS, folder).get("base_model_name_or_path")
    except InputError:  # said of the file itself, with whatever else differs
        return []
    return [Path(place)] if isinstance(place, str) else []


def load(folder: Path, base_name: str | None = None) -> tuple[Classifier, dict[str, Any]]:
    """Verify an adapter, put it on its base and check that it still gives the recorded answers.

    Returns:
        The classifier and the manifest, with `fingerprint.largest_difference` from the recorded logits (0.0 is bit-identical).

    Raises:
        InputError: the folder is no adapter, or the base cannot be found.
        MismatchError: a file, the base, the labels or the answers differ; every mismatch is named.
    """
    manifest, base = verify(folder, base_name)
    pairs = manifest.get("data", {}).get("columns", {}).get("text_pair") is not None
    classifier = _opened(folder, base, manifest["labels"], manifest["max_length"], pairs=pairs)
    difference, problems = fingerprints.compared(classifier, manifest["fingerprint"])
    if problems:
        raise MismatchError(f"The adapter {folder}", problems, fix=RESTORE)
    manifest["fingerprint"]["largest_difference"] = difference
    return classifier, manifest


def _opened(folder: Path, base: Base, label_names: list[str], max_length: int, *, pairs: bool) -> Classifier:
    """The classifier that an adapter's files make on its base, nothing verified.

    Raises:
        InputError: a file is damaged, or the tokenizer is another base's.
        MismatchError: they claim what they do not hold, or PEFT cannot put them on the base.
    """
    import peft

    claimed = claims.check(folder, len(label_names))
    loaded = bases.load(base, label_names)
    claims.check_base(folder, claimed, loaded.model)
    tokenizer = bases.load_tokenizer(folder)
    bases.check_fit(tokenizer, loaded.model, max_length, pairs=pairs)
    try:
        with bases.quiet_transformers():
            model = peft.PeftModel.from_pretrained(loaded.model, str(folder)).eval()
    except Exception as error:  # what it makes of damaged settings is no bug of ours
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise MismatchError(f"The adapter {folder}", [f"PEFT cannot put it on the base: {reason}"]) from None
    return Classifier(model, tokenizer, label_names, max_length)
