"""What a run was made from, by content: the texts and labels of every split, the base's weights and settings.

A run that goes on is held against what it was made from, so that no adapter is half of one and half of another. Where a file
lies, when it was written and how it is spelled in bytes have no part in it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from lorabert.data.sources import SPLITS, Split, Splits
from lorabert.errors import InputError
from lorabert.models.bases import Base

Facts = Mapping[str, Any]
_SHOWN = 12
_GO_ON = "Put back what was there, or start a new run with another --out"


class Changed(InputError):
    """What a run or a study was made from is no longer the same."""


def of_splits(splits: Splits) -> dict[str, dict[str, Any]]:
    """Size and hashes of each split: of its texts, and of its labels by their names."""
    return {name: _of_split(getattr(splits, name), splits.label_names) for name in SPLITS}


def _of_split(split: Split, names: list[str]) -> dict[str, Any]:
    return {
        "n": len(split),
        "texts_sha256": _hash([split.texts, split.pairs]),
        "labels_sha256": _hash([names[label] for label in split.labels]),
    }


def of_base(base: Base) -> dict[str, Any]:
    """What identifies a base: its weights, its configuration and its tokenizer."""
    return {"name": base.name, "revision": base.revision, "sha256": base.sha256, "settings": dict(base.settings)}


def digest(base: Base) -> str:
    """One hash of all that identifies a base by content."""
    return _hash([base.sha256, sorted(base.settings.items())])


def _hash(content: object) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def refuse_changed(what: str, before: Facts, now: Facts, fix: str = _GO_ON) -> None:
    """Refuse to go on with a run of which something that it was made from has changed; every change is named.

    Args:
        what: the run.
        before: its record; one of a run that was killed before it had recorded what it is made from says nothing.
        now: the same facts as they are now.
        fix: what to do then.

    Raises:
        Changed: something has changed.
    """
    if problems := changes(before, now):
        raise Changed(f"What {what} was made from has changed, so it cannot go on", got="; ".join(problems),
                      expected="the same content; where a file lies and when it was written do not matter", fix=fix)  # fmt: skip


def changes(before: Facts, now: Facts) -> list[str]:
    """What has changed, a phrase each: what it was, and what it is."""
    problems = _changes_of_data(before.get("data") or {}, now["data"]) + _changes_of_base(before.get("base") or {}, now["base"])
    if before.get("world_size", now["world_size"]) != now["world_size"]:
        problems.append(f"it was begun in {before['world_size']} processes and now is in {now['world_size']}")
    return problems


def _changes_of_data(before: Facts, now: Facts) -> list[str]:
    if before.get("fingerprint", now["fingerprint"]) == now["fingerprint"]:
        return []
    parts = [
        phrase
        for name, is_now in now["splits"].items()
        if (was := before.get("splits", {}).get(name)) and (phrase := _change_of_split(name, was, is_now))
    ]
    if before.get("labels") != now["labels"]:
        parts.append(f"the labels were {_listed(before.get('labels', []))} and are {_listed(now['labels'])}")
    where = f"the data of '{now['origin']}'"
    if not parts:
        return [f"{where} were {before['fingerprint'][:_SHOWN]} and are {now['fingerprint'][:_SHOWN]}"]
    return [f"{where}: {', '.join(parts)}"]


def _change_of_split(name: str, was: Facts, now: Facts) -> str:
    if was == now:
        return ""
    if was["texts_sha256"] == now["texts_sha256"]:
        before, after = was["labels_sha256"][:_SHOWN], now["labels_sha256"][:_SHOWN]
        return f"{name} has the same {now['n']:,} texts with other labels (sha256 {before} was, {after} is)"
    before, after = was["texts_sha256"][:_SHOWN], now["texts_sha256"][:_SHOWN]
    return f"{name} was {was['n']:,} texts (sha256 {before}) and is {now['n']:,} others (sha256 {after})"


def _changes_of_base(before: Facts, now: Facts) -> list[str]:
    parts = []
    if before.get("sha256", now["sha256"]) != now["sha256"]:
        parts.append(f"its weights were {before['sha256'][:_SHOWN]} and are {now['sha256'][:_SHOWN]}")
    was = before.get("settings") or now["settings"]
    parts += [
        f"{file} was {was.get(file, 'not there')[:_SHOWN]} and is {now['settings'].get(file, 'not there')[:_SHOWN]}"
        for file in sorted({*was, *now["settings"]})
        if was.get(file) != now["settings"].get(file)
    ]
    return [f"the base '{now['name']}': {', '.join(parts)}"] if parts else []


def _listed(labels: list[str], most: int = 8) -> str:
    return ", ".join(map(str, labels[:most])) + (f" and {len(labels) - most} more" if len(labels) > most else "")


def drift(before: Facts, now: Facts) -> list[str]:
    """What has changed around a run, and may change its last digits: packages, device, precision. It goes on all the same."""
    was = before.get("versions") or now["versions"]
    pairs = [(name, was.get(name), version) for name, version in now["versions"].items()]
    pairs += [(key, before.get(key, now[key]), now[key]) for key in ("device", "precision")]
    return [f"{name} was {earlier} and is {later}" for name, earlier, later in pairs if earlier != later]
