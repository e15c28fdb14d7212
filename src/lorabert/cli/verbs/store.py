"""`lorabert store`: named, versioned adapters in one folder."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from lorabert.cli.output import JSON, Output, output
from lorabert.config import options_parser, parse
from lorabert.errors import InputError, MismatchError, quoted
from lorabert.shipping import manifests
from lorabert.shipping.store import Entry, Slot, Store, default_root, size_of
from lorabert.studies.reporting import percent

_DESCRIPTION = """Keep adapters under names and versions, in one folder.

  lorabert store add runs/reviews --name reviews   keep a run as reviews@1
  lorabert store add runs/better --name reviews    and another as reviews@2
  lorabert store list [reviews]                    what there is
  lorabert store show reviews                      the newest version
  lorabert store verify [reviews@1 ...]            check every byte
  lorabert store resolve reviews@1                 print the adapter's folder
  lorabert store remove reviews@1                  take one version away
  lorabert store remove reviews --yes              take all of them away

A reference is reviews (the newest version), reviews@1, or reviews@sha256: and the first 8 digits of its sha256 or more. Other
commands take them too: lorabert predict reviews "a text"."""


def main(argv: list[str]) -> None:
    """Add, list, show, verify, resolve or remove adapters of a store."""
    parser = options_parser("lorabert store", _DESCRIPTION)
    parser.add_argument("action", choices=list(_ACTIONS), help="What to do.")
    parser.add_argument("targets", nargs="*", default=[], help="A run or adapter folder to add; otherwise references.")
    parser.add_argument("--name", type=str, default=None, help="Name to add an adapter under: a-z, 0-9, '.', '_' and '-'.")
    parser.add_argument("--store", type=str, default=None, help="The store's folder; otherwise LORABERT_STORE, else ./store.")
    parser.add_argument("--yes", action="store_true", help="Remove every version of a name without asking.")
    parser.add_argument("--json", action="store_true", help=JSON)
    arguments = parse(parser, argv)
    store = Store(Path(arguments.store) if arguments.store else default_root())
    with output(as_json=arguments.json) as out:
        _ACTIONS[arguments.action](store, arguments, out)


def _add(store: Store, arguments: Any, out: Output) -> None:
    target = _only(arguments, "a run or adapter folder")
    if not arguments.name:
        raise InputError("The adapter needs a name", expected=f"lorabert store add {target} --name NAME")
    from lorabert.studies import experiment

    entry = store.add(experiment.adapter_of(Path(target)), arguments.name)
    twins = [other.reference for other in store.entries() if other.sha256 == entry.sha256 and other != entry]
    out.say(f"Added {entry.reference} to {store.root}" + (f", the same adapter as {twins[0]}" if twins else ""))
    out.result(_facts(store, entry))


def _list(store: Store, arguments: Any, out: Output) -> None:
    if len(arguments.targets) > 1:
        raise InputError("`lorabert store list` takes one name or none", got=quoted(arguments.targets),
                         expected="such as emotion, for its versions")  # fmt: skip
    if arguments.targets and "@" in arguments.targets[0]:
        name = arguments.targets[0].partition("@")[0]
        raise InputError("`lorabert store list` takes a name, not a version of it", got=f"'{arguments.targets[0]}'",
                         fix=f"`lorabert store list {name}` lists its versions, and `lorabert store show` shows one")  # fmt: skip
    slots = store.versions(arguments.targets[0]) if arguments.targets else store.slots()
    slots = [slot for slot in slots if slot.removed is None]
    documents = [_facts(store, slot.entry) if slot.entry else _unreadable(slot) for slot in slots]
    header = ["adapter", "labels", "base", "accuracy", "size", "added"]
    if documents:
        out.table(f"{store.root}: accuracy on the test split, points [95% interval]", header, list(map(_row, documents)))
        if damaged := sum(bool(document["problem"]) for document in documents):
            out.say(f"{damaged} damaged: `lorabert store verify` names every mismatch")
    else:
        out.say(f"{store.root} is empty: `lorabert store add RUN --name NAME`")
    out.result(documents)


def _row(document: dict[str, Any]) -> list[object]:
    if document["problem"]:
        return [document["reference"], "damaged", *[""] * 4]
    accuracy = (document["metrics"] or {}).get("accuracy")
    return [
        document["reference"],
        len(document["labels"]),
        Path(document["base"]["name"]).name,
        percent(accuracy) if accuracy else "",
        _size(document["bytes"]),
        document["added"][:10],
    ]


def _show(store: Store, arguments: Any, out: Output) -> None:
    entry = store.resolve(_only(arguments, "a reference, such as emotion or emotion@2"))
    store.folder(entry)
    document = _facts(store, entry)
    base = document["base"]
    rows = {
        "labels": ", ".join(map(str, document["labels"])),
        "base": f"{base['name']} (weights {base['sha256'][:12]})",
        "method": document["method"],
        **{name: percent(estimate) for name, estimate in (document["metrics"] or {}).items()},
        "size": _size(document["bytes"]),
        "added": document["added"],
        "sha256": document["sha256"],
        "folder": document["folder"],
    }
    out.table(entry.reference, ["", ""], [[key, value] for key, value in rows.items()])
    out.result(document)


def _verify(store: Store, arguments: Any, out: Output) -> None:
    found = store.verify(arguments.targets)
    for note in found.notes:
        out.say(f"Note: {note}.")
    if found.problems:
        raise MismatchError(f"The store '{store.root}'", found.problems,
                            fix="Add the adapters again, take the store from a copy, or remove what is damaged")  # fmt: skip
    out.say(f"Verified: {len(found.entries)} adapters in {store.root}, every file by its sha256")
    out.result({"store": str(store.root), "verified": [entry.reference for entry in found.entries], "notes": found.notes})


def _resolve(store: Store, arguments: Any, out: Output) -> None:
    entry = store.resolve(_only(arguments, "a reference, such as emotion or emotion@2"))
    folder = store.folder(entry)
    out.say(str(folder))
    out.result({"reference": entry.reference, **dataclasses.asdict(entry), "folder": str(folder)})


def _remove(store: Store, arguments: Any, out: Output) -> None:
    reference = _only(arguments, "a reference, such as emotion@2")
    if "@" not in reference and not arguments.yes:
        there = [slot.reference for slot in store.versions(reference)]
        raise InputError(f"This would remove {', '.join(there)}", expected="one version, or --yes for all of them")
    removal = store.remove(reference)
    out.say(f"Removed {', '.join(removal.references)} from {store.root}; {_size(removal.freed_bytes)} freed")
    out.result({"removed": removal.references, "freed_bytes": removal.freed_bytes})


def _only(arguments: Any, what: str) -> str:
    if len(arguments.targets) != 1:
        got = quoted(arguments.targets) if arguments.targets else "nothing"
        raise InputError(f"`lorabert store {arguments.action}` takes one thing", got=got, expected=what)
    return arguments.targets[0]


def _facts(store: Store, entry: Entry) -> dict[str, Any]:
    """All that is known of a version; where its adapter cannot be read, the problem instead."""
    known = {"reference": entry.reference, **dataclasses.asdict(entry), "problem": None}
    try:
        folder = store.folder(entry)
        manifest = manifests.manifest_of(folder)
    except InputError as error:
        return {**known, "problem": str(error)}
    told = {key: manifest.get(key) for key in ("base", "labels", "method", "max_length", "metrics")}
    return {**known, **told, "bytes": size_of(manifest), "folder": str(folder)}


def _unreadable(slot: Slot) -> dict[str, Any]:
    return {"reference": slot.reference, "name": slot.name, "version": slot.version, "problem": slot.problem}


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"


_ACTIONS = {"add": _add, "list": _list, "show": _show, "verify": _verify, "resolve": _resolve, "remove": _remove}
