"""A hub data set, files or an asset to Splits: texts, labels, label names and a fingerprint."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lorabert import mistaken
from lorabert.config import DataConfig
from lorabert.data import assets, conflicts, hub, labels, lookalikes, tables
from lorabert.data.asset_tables import asset_tables
from lorabert.data.columns import Columns, as_trained, find
from lorabert.data.examples import Examples, examples
from lorabert.data.splitting import holdout, sample
from lorabert.data.tables import Table
from lorabert.errors import InputError, quoted

SPLITS = ("train", "validation", "test")


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

    def together(self) -> list[tuple[str, ...]]:
        """Each example's texts: one, or two of a pair."""
        return list(zip(self.texts, self.pairs, strict=True)) if self.pairs else [(text,) for text in self.texts]

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
        groups: of each training example what must stay together: its text, or its value in the column of groups.
        drawable: the number of labelled texts that `data.train_limit` draws from; those aside for test are not among them.
    """

    origin: str
    train: Split
    validation: Split
    test: Split
    label_names: list[str]
    columns: Columns
    notes: tuple[str, ...] = ()
    skipped: dict[str, int] = field(default_factory=dict)
    groups: list[Any] = field(default_factory=list)
    drawable: int = 0

    def fingerprint(self) -> str:
        """The sha256 of the label names and of every text and label of every split, in order."""
        digest = hashlib.sha256(json.dumps(self.label_names).encode())
        for name in SPLITS:
            split: Split = getattr(self, name)
            for part in json.JSONEncoder().iterencode([name, split.texts, split.pairs, split.labels.tolist()]):
                digest.update(part.encode())  # the whole in one piece would be the data once more
        return digest.hexdigest()


def load(data: DataConfig, known: Sequence[str] | None = None) -> Splits:
    """Load what a configuration names and set aside the splits that are not given; test is never used to select.

    Args:
        data: names of the data and of the columns.
        known: the label names in the order that an adapter has learnt, where one has.

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
        _refuse_local(data.name)
        origin, raw = data.name, hub.tables(data.name, data.subset, assets.meant(data.name))
    else:
        raise InputError(
            "No data was named",
            fix="Give --data.train FILE (CSV, TSV, JSONL or Parquet), or --data.name with a hub id or an asset such as "
            "rotten-tomatoes (`lorabert data list`)",
        )
    return _splits(origin, raw, data, known)


def _refuse_local(name: str) -> None:
    """Refuse a path where an id belongs: the library that asks the hub would read whatever lies there.

    Raises:
        InputError: it is one.
    """
    if mistaken.is_local(name):
        fix = mistaken.instead(Path(name)) or (f"Name it with --data.train {name}" if Path(name).is_file() else "")
        raise InputError("--data.name takes the name of an asset or of a published data set",
                         got=f"{name}, {mistaken.kind_of(Path(name))}",
                         expected="a file behind --data.train, --data.validation and --data.test", fix=fix)  # fmt: skip


_BACK = "Bring the recorded data back, or evaluate on a file with --data FILE"


def recorded(data: DataConfig, record: Mapping[str, Any], elsewhere: Callable[[str], Sequence[Path]] = lambda _: ()) -> Splits:
    """Load what a configuration names, if it still is what was recorded.

    Its columns and label names are taken from the record: another version may have found or spelled them otherwise.

    Args:
        data: the recorded configuration.
        record: the entry `data` of a run's record or of a manifest.
        elsewhere: of a path as it was named, where else it may lie by now; files are known by their content.

    Raises:
        InputError: it cannot be had, or has changed.
    """
    if "fingerprint" not in record:
        raise InputError("The record does not say which texts it was made from", got="no fingerprint of them", fix=_BACK)
    if "columns" in record:
        data = dataclasses.replace(data, **dataclasses.asdict(Columns.recorded(record)))
    tried = [data, *_moved(data, elsewhere)]
    there = [config for config in tried if all(os.path.isfile(path) for path in _files_of(config).values())]  # noqa: PTH113 - false of what is no path
    if not there:
        named = dict.fromkeys(path for config in tried for path in _files_of(config).values())
        raise InputError("The data that this was made from are not where they were", got=f"no {', nor '.join(named)}",
                         expected="the files that were named for training, in their place or moved together with the run",
                         fix=_BACK)  # fmt: skip
    problem: InputError | None = None
    for config in there:
        try:
            splits = load(config, record.get("labels"))
        except InputError as error:  # another file of that name, perhaps
            problem = problem or error
            continue
        if splits.fingerprint() == record["fingerprint"]:
            return dataclasses.replace(splits, origin=data.train) if data.train else splits
    raise problem or InputError(
        f"The data of '{data.train or data.name}' are not those that the adapter was trained and tested on",
        got="another fingerprint of texts and labels",
        fix=_BACK,
    )


def _moved(data: DataConfig, elsewhere: Callable[[str], Sequence[Path]]) -> list[DataConfig]:
    """The same configuration with its files where else they may lie, all of them moved alike."""
    named = _files_of(data)
    places = zip(*(elsewhere(path) for path in named.values()), strict=True)
    return [dataclasses.replace(data, **dict(zip(named, map(str, paths), strict=True))) for paths in places]  # type: ignore[arg-type]


def _files_of(data: DataConfig) -> dict[str, str]:
    """The files that a configuration names, by their splits."""
    paths = {"train": data.train, "validation": data.validation, "test": data.test}
    return {split: path for split, path in paths.items() if path}


def labelled(table: Table, columns: Columns, names: list[str], *, skip: bool = False) -> tuple[Split, Examples]:
    """The examples of a table of labels that are already known, in their order.

    Args:
        table: the file.
        columns: those in use.
        names: the labels.
        skip: leave out the rows that cannot be used.

    Returns:
        The examples with the labels as indices, and as they stand in the file, with what was left out of it.

    Raises:
        InputError: the file cannot be used, or holds a label that is not among the names.
    """
    found = examples(table, columns, names, skip=skip)
    return _indexed(found, names, "the labels the adapter knows"), found


def _files(data: DataConfig) -> dict[str, Table]:
    paths = {"train": data.train, "validation": data.validation, "test": data.test}
    return {split: tables.read(Path(path), data) for split, path in paths.items() if path}


def _splits(origin: str, raw: dict[str, Table], data: DataConfig, known: Sequence[str] | None) -> Splits:
    raw, notes = _usable_splits(origin, raw, data)
    seed = data.split_seed or 0
    if data.group is None and "group" in raw["train"].columns and data.name in assets.ASSETS:
        data = dataclasses.replace(data, group="group")
    columns = find(raw["train"], data)
    if unused := columns.unused(raw["train"]):
        notes.append(f"columns not used: {quoted(unused, 8)}")
    train = examples(raw["train"], columns, known, skip=data.skip_bad_rows)
    names = _names(train, columns, known)
    found = {name: train if name == "train" else examples(table, columns_of(table, columns), names, skip=data.skip_bad_rows)
             for name, table in raw.items()}  # fmt: skip
    notes += [note for part in found.values() for note in part.notes]
    _check_differ(origin, train)
    notes += filter(None, [lookalikes.sentence(train.labels), labels.fractions(names),
                           conflicts.sentence(zip(train.together(), train.labels, strict=True))])  # fmt: skip
    skipped = {name: part.skipped for name, part in found.items() if part.skipped}
    splits = {name: _indexed(part, names, "the labels of train") for name, part in found.items()}
    splits, groups, drawable = _set_aside(origin, splits, train.groups, names, data, columns, notes)
    if data.limit:
        groups = [groups[row] for row in sample(len(groups), data.limit, seed)]
        splits = {name: split.rows(sample(len(split), data.limit, seed)) for name, split in splits.items()}
        notes.append(f"limited to {data.limit} examples a split (seed {seed})")
    if len(set(splits["train"].labels.tolist())) < 2:
        raise InputError(f"{origin}: too few examples are left in train", got="one class only", expected="at least two classes")
    return Splits(origin, splits["train"], splits["validation"], splits["test"], names, columns, tuple(notes), skipped, groups,
                  drawable)  # fmt: skip


def _check_differ(origin: str, train: Examples) -> None:
    """Texts that are all the same teach nothing.

    Raises:
        InputError: they are.
    """
    if len(different := set(train.together())) == 1:
        (only,) = different
        raise InputError(f"{origin}: every text is the same", got=f"{quoted(only)} in each of {len(train.texts):,} rows",
                         expected="texts that differ, as nothing else tells the labels apart",
                         fix="Name the right column with --data.text")  # fmt: skip


def _names(train: Examples, columns: Columns, known: Sequence[str] | None) -> list[str]:
    """The classes in order: as an adapter has learnt them, where it knows all that there are."""
    assert columns.label is not None
    names = labels.label_names(train.labels, train.table, columns.label)
    return list(known) if known and set(known) >= set(names) else names


def _set_aside(origin: str, splits: dict[str, Split], groups: list[Any], names: list[str], data: DataConfig, columns: Columns,
               notes: list[str]) -> tuple[dict[str, Split], list[Any], int]:  # fmt: skip
    """Fill in the splits that are not given with a share of train, and note how; a share of zero leaves one empty.

    Returns:
        The splits, the groups of what is left in train, and how many texts a limit of train draws from.

    Raises:
        InputError: train has nothing to spare.
    """
    seed = data.split_seed or 0
    together = f"equal values of '{columns.group}'" if columns.group else "equal texts"
    drawable = 0
    for name, share in (("test", data.test_share), ("validation", data.validation_share)):
        train = splits["train"]
        if name == "validation":
            drawable = len(train)
        if name == "validation" and data.train_limit is not None and data.train_limit < len(train):
            drawn = _drawn(len(train), data)
            notes.append(f"{len(drawn):,} of {len(train):,} labelled texts drawn")
            train = splits["train"] = train.rows(drawn)
            groups = [groups[row] for row in drawn]
        if name in splits:
            continue
        if not share:
            splits[name] = train.rows([])
            continue
        kept, aside = holdout(train.labels.tolist(), groups, share, seed)
        if not aside:
            raise InputError(f"{origin} has too few examples to set some aside for {name}", got=_too_few(train, groups, names),
                             expected="a class that keeps an example for train when one is taken",
                             fix=f"Add examples, or name a file with --data.{name}")  # fmt: skip
        splits[name], splits["train"] = train.rows(aside), train.rows(kept)
        groups = [groups[row] for row in kept]
        notes.append(f"no {name} split: {share:.0%} of train set aside (seed {seed}, stratified, {together} kept together)")
        if lacking := len({*train.labels.tolist()}) - len({*splits[name].labels.tolist()}):
            notes.append(f"{lacking} of the {len(names)} classes have too few examples to stand in {name} too")
    return splits, groups, drawable


def _drawn(n: int, data: DataConfig) -> list[int]:
    """Rows of so many labelled texts, in order; those of a smaller draw are among them."""
    seed = data.split_seed if data.draw_seed is None else data.draw_seed
    return sorted(np.random.default_rng(seed or 0).permutation(n)[: data.train_limit].tolist())


def _too_few(train: Split, groups: list[Any], names: list[str]) -> str:
    """Why nothing can be set aside, with the classes."""
    different = {(label, group) for group, label in zip(groups, train.labels.tolist(), strict=True)}
    most = max(Counter(label for label, _ in different).values())
    each = "whose rows all belong together" if most == 1 else f"with at most {most} that may be told apart"
    return f"{len(groups)} in train, in {len(names)} classes {each}: {quoted(names)}"


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


def _unlabelled(table: Table, label: str | None) -> bool:
    """Whether a published split hides its labels, as benchmarks' test splits do."""
    return all(value in (-1, None) for value in table.columns.get(label or "", [None]))


def columns_of(table: Table, columns: Columns) -> Columns:
    """The columns of train, checked to be there in another split; its groups matter in train alone."""
    return as_trained(table, columns, DataConfig())


def _indexed(part: Examples, names: list[str], known: str) -> Split:
    index = {name: position for position, name in enumerate(names)}
    unknown = sorted(set(part.labels) - set(names))
    if unknown:
        rows = [part.kept[row] for row, label in enumerate(part.labels) if label in set(unknown)]
        raise InputError(
            f"{part.table.origin} holds labels that are not among {known}",
            got=f"{quoted(unknown)} in {part.table.places(rows)}",
            expected=f"only {quoted(names, 20)}",
            fix=f"The {alike}" if (alike := lookalikes.sentence([*unknown, *names])) else "",
        )
    return Split(part.texts, part.pairs, np.array([index[label] for label in part.labels], dtype=np.int64))
