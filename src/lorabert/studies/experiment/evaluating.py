"""An evaluation of what a run left, or of what was made of it."""

from __future__ import annotations

import dataclasses
import os
from functools import partial
from pathlib import Path
from typing import Any

from lorabert import hardware, mistaken, runs
from lorabert.config import DataConfig, from_dict
from lorabert.data import reading, sources, tables
from lorabert.data.columns import Columns, as_trained, naming
from lorabert.data.examples import Examples
from lorabert.errors import InputError, MismatchError
from lorabert.runs import RunFolder, places
from lorabert.shipping import loading, manifests, store
from lorabert.studies.experiment.preparing import Say
from lorabert.studies.experiment.scoring import score

_NOTHING_NAMED = DataConfig()


def adapter_of(target: Path | None) -> Path:
    """The adapter that a run folder, an adapter folder, a name in the default store or nothing (the newest run) stands for.

    A folder wins over a name.

    Raises:
        InputError: the run is not finished, or there is none of these.
        MismatchError: the store's adapter is not what was added.
    """
    if target is None:
        return runs.newest().adapter
    if os.path.exists(target / "run.json"):  # noqa: PTH110 - false of what is too long for a path
        run = RunFolder.open(target)
        if run.record.get("status") != "done":
            raise InputError(f"The run {target} is not finished", got=f"status {run.record.get('status')}",
                             fix="Go on with the same command and --resume")  # fmt: skip
        return run.adapter
    return target if not store.is_reference(str(target)) or target.exists() else _stored(str(target))


def _stored(reference: str) -> Path:
    """An adapter's folder in the default store."""
    kept, near = store.Store(store.default_root()), mistaken.instead(Path(reference), (mistaken.RUN, mistaken.ADAPTER))
    if not kept.exists():
        raise InputError(f"There is no folder '{reference}', and no store '{kept.root}' that could have it by that name",
                         expected="a run folder, an adapter folder, or a name in a store",
                         fix=near or "LORABERT_STORE names another store")  # fmt: skip
    try:
        return kept.folder(kept.resolve(reference))
    except MismatchError:
        raise
    except InputError as error:
        raise InputError(f"There is no folder '{reference}', and t{error.wrong[1:]}", got=error.got,
                         expected=error.expected, fix=error.fix or near) from None  # fmt: skip


def _labelled(file: Path, manifest: dict[str, Any], named: DataConfig) -> tuple[sources.Split, Examples, Columns]:
    trained = Columns.recorded(manifest.get("data"))
    table = tables.read(file, naming(named, trained), prefix="--")
    columns = as_trained(table, trained, named)
    return *sources.labelled(table, columns, manifest["labels"], skip=named.skip_bad_rows), columns


def _recorded(folder: Path, manifest: dict[str, Any], key: str) -> dict[str, Any]:
    """A part of a manifest that not every use needs.

    Raises:
        InputError: the manifest lacks it.
    """
    if key not in manifest:
        raise InputError(f"{folder} does not say what it was trained with", got=f"no '{key}' in its manifest",
                         fix="`lorabert predict` does without; to measure it, train it again")  # fmt: skip
    part: dict[str, Any] = manifest[key]
    return part


def evaluate(target: Path | None, *, data_file: Path | None = None, named: DataConfig = _NOTHING_NAMED, split: str = "test",
             base_name: str | None = None, precision: str = "fp32", say: Say = print) -> dict[str, Any]:  # fmt: skip
    """Verify an adapter or an export and evaluate it on a split of its own data, or on a file.

    Args:
        target: run, adapter or export folder; the newest finished run when None.
        data_file: labelled texts to evaluate on instead of the recorded data.
        named: its columns, where they are not those trained on, and its encoding.
        split: train, validation or test of the recorded data.
        base_name: where the base lies, when not where the manifest says.
        precision: of the matrix products: fp32, bf16 or auto.
        say: called with each line for people.

    Raises:
        InputError: nothing to evaluate, data that cannot be used, or data other than those recorded.
        MismatchError: the adapter or its base is not what was recorded.
    """
    folder = adapter_of(target)
    classifier, manifest = loading.load(folder, base_name)
    kind = manifests.kind_of(manifest)
    difference = manifest["fingerprint"]["largest_difference"]
    what = "the base, " if kind == manifests.ADAPTER else ""
    say(f"Verified: {folder} ({len(manifest['files'])} files, {what}and the answers to fixed texts, "
        f"{'bit for bit' if difference == 0 else f'within {difference:.1g}'})")  # fmt: skip
    settings, skipped = from_dict(_recorded(folder, manifest, "config")), 0
    if data_file:
        part, read, columns = _labelled(data_file, manifest, named)
        origin, skipped = str(data_file), read.skipped
        for note in read.notes:
            say(note)
    else:
        data = _recorded(folder, manifest, "data")
        splits = sources.recorded(settings.data, data, partial(places.elsewhere, folder))
        if not len(getattr(splits, split)):
            raise InputError(f"{folder} has no {split} split to be evaluated on", got="none set aside, as with --folds",
                             fix="Take --split test, or a file with --data FILE")  # fmt: skip
        part, columns, origin = getattr(splits, split), splits.columns, f"{data.get('origin', splits.origin)} ({split})"
    say(f"Columns: {columns.named()}")
    placement = hardware.placed(classifier.device, precision)
    say(f"Using device: {placement.device} ({placement.precision})")
    batch_size = settings.train.per_device_eval_batch_size
    encoded, vocabulary = classifier.encode(part), reading.Vocabulary(classifier.tokenizer)
    if warning := reading.notice(encoded, vocabulary, reading.trained_share(manifest.get("data"))):
        say(warning)
    logits = classifier.logits_of(encoded, batch_size=batch_size, placement=placement)
    return {
        "adapter": str(folder),
        "kind": kind,
        "data": origin,
        "columns": dataclasses.asdict(columns),
        "labels": manifest["labels"],
        "n": len(part),
        "skipped": skipped,
        "unknown_share": vocabulary.share(encoded),
        "fingerprint_difference": difference,
        "precision": placement.precision,
        **score(part.labels, logits.argmax(1), manifest["labels"]),
    }
