"""The data assets' own files as tables."""

from __future__ import annotations

import bz2
import hashlib
from pathlib import Path

from lorabert.config import DataConfig
from lorabert.data import assets, tables
from lorabert.data.splitting import holdout
from lorabert.data.tables import Table
from lorabert.errors import InputError

# The split of an asset that ships none is a property of the asset, the same for every seed.
_SPLIT_SEED = 0


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
    kept, aside = holdout([sorted(set(labels)).index(label) for label in labels], texts, 0.2, _SPLIT_SEED)

    def side(rows: list[int]) -> Table:
        return Table("bbc-news", {"text": [texts[row] for row in rows], "label": [labels[row] for row in rows]})

    return {"train": side(kept), "test": side(aside)}
