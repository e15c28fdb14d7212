"""A store from anybody, parts of which lead elsewhere: nothing outside of it is read, written or deleted."""

import json
import os
from pathlib import Path

import pytest

import handmade
from lorabert.errors import InputError
from lorabert.shipping import manifests
from lorabert.shipping.store import Store

pytestmark = pytest.mark.skipif(os.name == "nt", reason="links need a right")


@pytest.fixture
def store() -> Store:
    made = Store(Path("store"))
    for version in (1, 2):
        made.add(handmade.adapter(f"made-{version}", version), "emotion")
    outside = Path("outside")
    outside.mkdir()
    (outside / "thesis.doc").write_text("years of work", encoding="utf-8")
    return made


def untouched() -> bool:
    (only,) = Path("outside").iterdir()
    return (only.name, only.read_text(encoding="utf-8")) == ("thesis.doc", "years of work")


@pytest.mark.parametrize("part", ["partial", "objects", "names", ".lock", "store.json"])
@pytest.mark.parametrize("target", ["../outside", "../outside/thesis.doc", "../nowhere", "/dev/zero"])
def test_a_part_that_is_a_link_is_refused_by_every_action(store, part, target):
    place = Path("store") / part
    if os.path.lexists(place):
        place.rename("moved")
    place.symlink_to(target)
    new = handmade.adapter("new", 9)
    actions = (lambda: store.add(new, "emotion"), lambda: store.remove("emotion@1"), lambda: store.resolve("emotion"))
    for action in (*actions, store.slots, store.verify):
        with pytest.raises(InputError):
            action()
    assert untouched()
    assert not Path("nowhere").exists()


def test_a_version_or_an_adapter_that_is_a_link_is_a_problem_of_its_own_alone(store):
    entry = store.resolve("emotion@1")
    Path("store/names/emotion/1").rename("outside-1")
    Path("store/names/emotion/1").symlink_to("../../../outside-1")
    with pytest.raises(InputError, match="link"):
        store.resolve("emotion@1")
    with pytest.raises(InputError, match="link"):
        store.remove("emotion@1")
    assert {path.name for path in Path("outside-1").iterdir()} == {"entry.json"}
    second = store.resolve("emotion@2")
    (Path("store/objects") / second.sha256).rename("outside-2")
    (Path("store/objects") / second.sha256).symlink_to("../../outside-2")
    with pytest.raises(InputError, match="link"):
        store.folder(second)
    assert len(store.verify().problems) == 2
    assert entry.sha256 != second.sha256


@pytest.mark.parametrize("name", ["entry.json", "removed.json"])
@pytest.mark.parametrize("kind", ["pipe", "device", "outside"])
def test_an_entry_that_is_no_file_is_never_opened(store, name, kind):
    place = Path("store/names/emotion/2") / name
    place.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(place)
    else:
        place.symlink_to("/dev/zero" if kind == "device" else "../../../../outside/thesis.doc")
    with pytest.raises(InputError, match=name):
        store.resolve("emotion@2")
    with pytest.raises(InputError):
        store.remove("emotion@2")
    assert untouched()
    assert store.resolve("emotion@1").version == 1


@pytest.mark.parametrize(
    "change",
    [{"version": "1"}, {"version": True}, {"added": 5}, {"added": "yesterday"}, {"sha256": "x"}, {"sha256": None}, {"name": []}],
)
def test_an_entry_of_other_types_is_a_problem(store, change):
    file = Path("store/names/emotion/2/entry.json")
    document = json.loads(file.read_bytes()) | change
    file.write_bytes(manifests.sealed(document, "entry_sha256"))
    with pytest.raises(InputError, match=r"entry\.json"):
        store.resolve("emotion@2")
