"""A folder of named, versioned adapters: what goes in comes out, what changes is found, what was said stays so."""

import errno
import json
import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

import handmade
from lorabert.errors import InputError, MismatchError
from lorabert.shipping import manifests
from lorabert.shipping.store import Store, ground, keeping


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def store() -> Store:
    """emotion@1 and @2, topic@1 with the adapter of emotion@1."""
    store = Store(Path("store"))
    for name, seed in (("emotion", 1), ("emotion", 2), ("topic", 1)):
        store.add(handmade.adapter(f"made-{seed}", seed), name)
    return store


def objects(store: Store) -> list[str]:
    return sorted(path.name for path in (store.root / "objects").iterdir())


def only_whole(store: Store) -> list[str]:
    """The references of a store in which nothing is wrong, half done or left over."""
    check = store.verify()
    assert check.problems == check.notes == []
    assert not list((store.root / "partial").glob("*"))
    return [entry.reference for entry in check.entries]


# ---- adding and finding


def test_versions_count_up_by_name_and_the_bare_name_is_the_newest(store):
    assert [entry.reference for entry in store.entries()] == ["emotion@1", "emotion@2", "topic@1"]
    assert store.resolve("emotion") == store.resolve("emotion@2") == store.entries()[1]
    assert store.resolve("emotion@1").sha256 != store.resolve("emotion@2").sha256
    assert only_whole(store) == ["emotion@1", "emotion@2", "topic@1"]


def test_version_ten_is_newer_than_version_nine(store):
    for seed in range(3, 11):
        store.add(handmade.adapter("other", seed), "emotion")
    assert store.resolve("emotion").version == 10
    assert [entry.version for entry in store.entries() if entry.name == "emotion"] == list(range(1, 11))


def test_the_stored_folder_is_the_adapter_byte_for_byte(store):
    assert files(store.folder(store.resolve("emotion@2"))) == files(Path("made-2"))


def test_the_address_is_the_sha256_of_the_manifest(store):
    entry = store.resolve("emotion")
    assert entry.sha256 == manifests.sha256_of(Path("made-2/lorabert.json"))
    assert store.folder(entry) == Path("store/objects") / entry.sha256


def test_the_same_adapter_lies_there_once_under_all_its_names(store):
    assert store.resolve("topic").sha256 == store.resolve("emotion@1").sha256
    assert len(objects(store)) == 2
    assert store.add(Path("made-1"), "emotion").reference == "emotion@3"  # and each add is a version
    assert len(objects(store)) == 2


def test_a_version_is_found_by_the_beginning_of_its_sha256(store):
    entry = store.resolve("emotion@1")
    assert store.resolve(f"emotion@sha256:{entry.sha256}") == store.resolve(f"emotion@sha256:{entry.sha256[:8]}") == entry
    with pytest.raises(InputError, match="has no"):
        store.resolve(f"topic@sha256:{store.resolve('emotion@2').sha256}")


def test_files_that_the_manifest_does_not_name_are_not_taken(store):
    adapter = handmade.adapter("other", 5)
    (adapter / "optimizer.pt").write_bytes(b"x")
    (adapter / "logs").mkdir()
    assert set(files(store.folder(store.add(adapter, "emotion")))) == set(files(adapter)) - {"optimizer.pt"}


def test_adding_takes_content_and_follows_links_as_a_hub_cache_has_them(store):
    adapter = Path("models--someone--emotion/snapshots/0123")
    adapter.mkdir(parents=True)
    for path in handmade.adapter("models--someone--emotion/blobs", 5).iterdir():
        (adapter / path.name).symlink_to(Path("../../blobs") / path.name)
    folder = store.folder(store.add(adapter, "emotion"))
    shutil.rmtree("models--someone--emotion/blobs")
    assert not any(path.is_symlink() for path in folder.iterdir())
    assert "emotion@3" in only_whole(store)


@pytest.mark.skipif(os.name == "nt", reason="no pipes, and links need a right")
@pytest.mark.parametrize("kind", ["link", "device", "pipe", "folder"])
@pytest.mark.parametrize("name", ["adapter_model.safetensors", "README.md", "lorabert.json"])
def test_what_is_no_file_of_the_adapters_own_folder_is_not_added(store, name, kind):
    adapter = handmade.adapter("other", 5)
    (adapter / name).rename("elsewhere")
    if kind == "link":
        (adapter / name).symlink_to(Path("elsewhere").resolve())
    elif kind == "device":
        (adapter / name).symlink_to("/dev/zero")
    elif kind == "pipe":
        os.mkfifo(adapter / name)
    else:
        (adapter / name).mkdir()
    before = only_whole(store)
    with pytest.raises(InputError, match=f"{name} is a"):
        store.add(adapter, "emotion")
    assert only_whole(store) == before


@pytest.mark.parametrize("reference", ["emoton", "emotion@3", "emotion@9", "topics", "emotion@sha256:00000000", "zzz"])
def test_an_unknown_reference_says_what_there_is(store, reference):
    with pytest.raises(InputError) as refused:
        store.resolve(reference)
    assert f"'{reference}'" in str(refused.value)
    assert "emotion" in str(refused.value).replace(reference, "")


def test_the_nearest_name_is_offered(store):
    with pytest.raises(InputError, match=r"Did you mean 'emotion'\?"):
        store.resolve("emotoin@1")


@pytest.mark.parametrize(
    "name", ["..", "../../x", "/etc", "a\\b", "%2e%2e", "x.", "Emotion", "con", "еmotion", "a" * 300, "a\0b"]
)
def test_nothing_is_written_for_a_hostile_name(store, name):
    before = files(Path())
    for attempt in (lambda: store.add(Path("made-1"), name), lambda: store.remove(name), lambda: store.resolve(name)):
        with pytest.raises(InputError):
            attempt()
    assert files(Path()) == before


# ---- refusals


def test_an_adapter_that_is_not_what_its_manifest_says_is_refused_with_every_mismatch(store):
    adapter = handmade.adapter("other", 5)
    (adapter / "README.md").unlink()
    (adapter / "tokenizer.json").write_bytes(b"")
    with pytest.raises(MismatchError) as refused:
        store.add(adapter, "emotion")
    assert len(refused.value.problems) == 2
    assert only_whole(store) == ["emotion@1", "emotion@2", "topic@1"]


@pytest.mark.parametrize("name", ["../made-1/README.md", "/etc/hostname", "..\\x", "c:x", "..", "sub/file"])
def test_a_manifest_that_names_files_elsewhere_is_refused(store, name):
    adapter = handmade.adapter("other", 5)
    manifest = manifests.manifest_of(adapter)
    manifest["files"][name] = {"sha256": manifests.sha256_of(Path("made-1/README.md")), "bytes": 9}
    (adapter / "lorabert.json").write_bytes(manifests.sealed(manifest))
    with pytest.raises(MismatchError, match="no file of its folder"):
        store.add(adapter, "emotion")
    assert only_whole(store) == ["emotion@1", "emotion@2", "topic@1"]


@pytest.mark.parametrize("entry", [None, 3, "x", {}, {"bytes": 4096}, {"sha256": "0" * 64}, {"bytes": "4096", "sha256": 1}])
def test_a_manifest_that_says_nonsense_of_a_file_is_refused(store, entry):
    adapter = handmade.adapter("other", 5)
    manifest = manifests.manifest_of(adapter)
    manifest["files"]["README.md"] = entry
    (adapter / "lorabert.json").write_bytes(manifests.sealed(manifest))
    with pytest.raises(MismatchError, match=r"README\.md"):
        store.add(adapter, "emotion")


def test_what_is_no_adapter_is_refused_and_makes_no_store():
    Path("empty").mkdir()
    for target in ("empty", "nowhere"):
        with pytest.raises(InputError, match="is not an adapter"):
            Store(Path("store")).add(Path(target), "emotion")
    assert not Path("store").exists()


def test_a_folder_that_holds_something_else_is_left_alone():
    Path("store").mkdir()
    Path("store/thesis.doc").write_bytes(b"x")
    with pytest.raises(InputError, match=r"thesis\.doc"):
        Store(Path("store")).add(handmade.adapter("made"), "emotion")
    assert list(files(Path("store"))) == ["thesis.doc"]


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_store_in_place_of_a_file_is_refused_in_words(place):
    Path("file").write_bytes(b"x")
    with pytest.raises(InputError):
        Store(Path(place)).add(handmade.adapter("made"), "emotion")
    with pytest.raises(InputError, match="no store"):
        Store(Path(place)).entries()
    assert Path("file").read_bytes() == b"x"


def test_reading_where_there_is_no_store_makes_none():
    store = Store(Path("store"))
    assert not store.exists()
    for attempt in (store.entries, store.verify, lambda: store.resolve("emotion"), lambda: store.remove("emotion")):
        with pytest.raises(InputError, match="no store at 'store'"):
            attempt()
    assert not Path("store").exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{}", "was changed"),
        (b"", "was changed"),
        (b"\xff", "was changed"),
        (b'{"schema_version": 99}', "newer"),
        (b"[1]", "was changed"),
    ],
)
def test_a_mark_that_this_version_does_not_know_is_refused(store, content, said):
    Path("store/store.json").write_bytes(content)
    for attempt in (store.entries, store.verify, lambda: store.add(Path("made-1"), "x"), lambda: store.remove("topic")):
        with pytest.raises(InputError, match=said):
            attempt()


# ---- removing


def test_a_removed_version_is_gone_and_its_number_is_never_given_again(store):
    assert store.remove("emotion@2").references == ["emotion@2"]
    with pytest.raises(InputError, match="which was removed 20"):
        store.resolve("emotion@2")
    assert store.resolve("emotion").version == 1
    assert store.add(Path("made-2"), "emotion").reference == "emotion@3"
    assert only_whole(store) == ["emotion@1", "emotion@3", "topic@1"]


def test_a_bare_name_removes_every_version_and_the_next_add_goes_on_counting(store):
    assert store.remove("emotion").references == ["emotion@1", "emotion@2"]
    assert [entry.reference for entry in store.entries()] == ["topic@1"]
    with pytest.raises(InputError, match="removed"):
        store.resolve("emotion")
    assert store.add(Path("made-1"), "emotion").reference == "emotion@3"


def test_an_adapter_is_deleted_with_the_last_name_that_means_it(store):
    kept = store.resolve("topic").sha256
    assert store.remove("emotion@1").freed_bytes == 0
    assert kept in objects(store)
    assert store.remove("topic").freed_bytes == sum(map(len, files(Path("made-1")).values()))
    assert objects(store) == [store.resolve("emotion").sha256]


def test_removing_what_is_not_there_changes_nothing(store):
    before = files(store.root)
    for reference in ("emotion@3", "nothing", "nothing@1", "emotion@sha256:00000000"):
        with pytest.raises(InputError, match="has no"):
            store.remove(reference)
    assert files(store.root) == before


def test_an_adapter_that_no_name_means_is_told_of_and_goes_with_the_next_removal(store):
    handmade.adapter("stray", 9)
    address = manifests.sha256_of(Path("stray/lorabert.json"))
    shutil.copytree("stray", store.root / "objects" / address)
    check = store.verify()
    assert check.problems == []
    assert [address in note for note in check.notes] == [True]
    store.add(Path("made-1"), "topic")
    assert address in objects(store)  # adding deletes nothing
    store.remove("topic@2")
    assert address not in objects(store)
    only_whole(store)


def test_while_an_entry_cannot_be_read_no_adapter_is_deleted(store):
    path = Path("store/names/emotion/2/entry.json")
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    before = objects(store)
    assert store.remove("topic").freed_bytes == 0
    assert objects(store) == before
    path.write_bytes(whole)
    assert only_whole(store) == ["emotion@1", "emotion@2"]


# ---- finding what has changed

STORED = ["adapter_model.safetensors", "adapter_config.json", "tokenizer.json", "README.md", "lorabert.json"]


@pytest.mark.parametrize("where", [0.0, 0.5, 0.99])
@pytest.mark.parametrize("name", STORED)
def test_a_flipped_bit_is_found_under_every_name_of_the_adapter(store, name, where):
    path = store.folder(store.resolve("topic")) / name
    content = bytearray(path.read_bytes())
    content[int(where * len(content))] ^= 4
    path.write_bytes(content)
    check = store.verify()
    assert sorted(problem.split(":")[0] for problem in check.problems) == ["emotion@1", "topic@1"]
    assert all(name in problem for problem in check.problems)
    assert [entry.reference for entry in check.entries] == ["emotion@2"]
    assert store.verify(["emotion@2"]).problems == []
    assert len(store.verify(["topic"]).problems) == 1


def test_the_files_flipped_are_all_the_files(store):
    assert set(files(store.folder(store.resolve("topic")))) == set(STORED)


def test_an_entry_is_refused_wherever_a_bit_of_it_changes(store):
    path = Path("store/names/emotion/2/entry.json")
    whole, let_through = path.read_bytes(), []
    for place in range(len(whole)):
        changed = bytearray(whole)
        changed[place] ^= 1
        path.write_bytes(changed)
        if not any(problem.startswith("emotion@2: ") for problem in store.verify().problems):
            let_through.append(place)
    assert let_through == []


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\0" * 300])
def test_a_damaged_newest_version_is_not_passed_over_for_an_older_one(store, content):
    Path("store/names/emotion/2/entry.json").write_bytes(content)
    with pytest.raises(MismatchError, match="emotion@2"):
        store.resolve("emotion")
    assert store.resolve("emotion@1").version == 1
    assert store.add(Path("made-2"), "emotion").version == 3
    assert store.remove("emotion@2").references == ["emotion@2"]
    assert only_whole(store) == ["emotion@1", "emotion@3", "topic@1"]


def test_an_entry_put_in_another_ones_place_is_refused(store):
    shutil.copyfile("store/names/emotion/1/entry.json", "store/names/emotion/2/entry.json")
    with pytest.raises(MismatchError, match="belongs to emotion@1"):
        store.resolve("emotion")


@pytest.mark.parametrize("sha256", ["../../made-1", "0" * 63, "0" * 64 + "/..", None, 5, ["0" * 64]])
def test_an_entry_that_points_elsewhere_is_refused(store, sha256):
    path = Path("store/names/emotion/2/entry.json")
    entry = json.loads(path.read_bytes()) | {"sha256": sha256}
    path.write_bytes(manifests.sealed(entry, "entry_sha256"))
    with pytest.raises(MismatchError):
        store.resolve("emotion")
    assert store.verify().problems


def test_another_whole_adapter_at_an_address_is_refused(store):
    one, two = (store.folder(store.resolve(f"emotion@{version}")) for version in (1, 2))
    shutil.rmtree(one)
    shutil.copytree(two, one)
    with pytest.raises(MismatchError, match="another adapter's"):
        store.folder(store.resolve("emotion@1"))
    assert {problem.split(":")[0] for problem in store.verify().problems} == {"emotion@1", "topic@1"}


def test_a_missing_adapter_is_named(store):
    shutil.rmtree(store.folder(store.resolve("emotion@2")))
    with pytest.raises(MismatchError, match="missing"):
        store.folder(store.resolve("emotion"))
    assert store.verify().problems[0].startswith("emotion@2: its adapter is missing")


def test_a_tokenizer_file_that_was_added_is_named(store):
    (store.folder(store.resolve("emotion@2")) / "vocab.txt").write_bytes(b"x")
    assert "vocab.txt" in store.verify().problems[0]


def test_adding_the_adapter_again_mends_a_damaged_one(store):
    (store.folder(store.resolve("emotion@2")) / "README.md").write_bytes(b"")
    assert store.verify().problems
    store.add(Path("made-2"), "emotion")
    assert only_whole(store) == ["emotion@1", "emotion@2", "emotion@3", "topic@1"]


def test_strange_things_beside_the_entries_are_told_and_passed_over(store):
    for strange in ("names/Emotion (copy)", "names/.stfolder", "names/emotion/1 (conflict)", "names/emotion/.tmp", "objects/x"):
        (store.root / strange).mkdir()
    (store.root / "names/notes.txt").write_bytes(b"x")
    check = store.verify()
    assert check.problems == []
    assert [entry.reference for entry in check.entries] == ["emotion@1", "emotion@2", "topic@1"]
    assert any("Emotion (copy)" in note for note in check.notes)


# ---- copies


def _copied(how: str, target: Path) -> None:
    if how == "copytree":
        shutil.copytree("store", target, copy_function=shutil.copyfile)  # time stamps and modes are new
    elif how == "zip":
        shutil.make_archive("packed", "zip", "store")
        with zipfile.ZipFile("packed.zip") as packed:
            packed.extractall(target, [name for name in packed.namelist() if not name.endswith("/")])
    else:
        program, *options = how.split()
        if not shutil.which(program):
            pytest.skip(f"no {program} on this machine")
        subprocess.run([program, *options, f"store{'/' if program == 'rsync' else ''}", str(target)], check=True)


@pytest.mark.parametrize("how", ["copytree", "zip", "cp -r", "rsync -a", "rsync -r --prune-empty-dirs --checksum"])
def test_a_copy_in_another_place_verifies_and_goes_on(store, how):
    store.remove("emotion@1")
    _copied(how, Path("elsewhere"))
    shutil.rmtree("store")
    copy = Store(Path("elsewhere"))
    assert only_whole(copy) == ["emotion@2", "topic@1"]
    assert copy.add(Path("made-1"), "emotion").reference == "emotion@3"


def test_nothing_in_a_store_says_where_it_lies_or_where_an_adapter_came_from(store):
    here = str(Path().resolve()).encode()
    assert not [name for name, content in files(store.root).items() if here in content or b"made-1" in content]
    assert not [path for path in store.root.rglob("*") if path.is_symlink() or (path.is_file() and path.stat().st_nlink > 1)]


def test_a_store_can_be_read_without_the_right_to_write(store, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    for name in ("mkdir", "rename", "replace", "unlink", "rmdir"):
        monkeypatch.setattr(os, name, refuse)
    assert only_whole(store) == ["emotion@1", "emotion@2", "topic@1"]
    assert store.folder(store.resolve("emotion@2")).is_dir()
    with pytest.raises(InputError, match="read-only"):
        store.add(Path("made-1"), "emotion")
    with pytest.raises(InputError, match="read-only"):
        store.remove("topic")


# ---- the ground


def test_a_folder_is_moved_to_a_free_place_only():
    for name in ("one", "two"):
        Path(name).mkdir()
        Path(name, "file").write_text(name, encoding="utf-8")
    assert ground.move(Path("one"), Path("place"))
    assert not ground.move(Path("two"), Path("place"))
    assert Path("place/file").read_text(encoding="utf-8") == "one"
    with pytest.raises(FileNotFoundError):
        ground.move(Path("nothing"), Path("free"))


def test_where_another_took_the_number_meanwhile_the_next_one_is_given(store, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(keeping.entries, "slots_of", lambda folder: [])  # as if the others came after the look
        assert store.add(Path("made-1"), "emotion").reference == "emotion@3"
    assert "emotion@3" in only_whole(store)


def test_a_store_that_another_process_makes_meanwhile_is_taken_as_it_is(store, monkeypatch):
    looks = iter([False])  # the first look finds no store, and then there is one
    monkeypatch.setattr(ground.Ground, "exists", lambda self: next(looks, True))
    assert store.add(Path("made-1"), "emotion").reference == "emotion@3"


def test_a_writer_that_never_ends_is_an_error_in_words(store, monkeypatch):
    import filelock

    monkeypatch.setattr(ground, "_WAIT_SECONDS", 0.2)
    with filelock.FileLock("store/.lock"), pytest.raises(InputError, match="Another process"):
        store.add(Path("made-1"), "emotion")
    assert only_whole(store) == ["emotion@1", "emotion@2", "topic@1"]


def test_a_file_system_without_locks_is_an_error_in_words(store, monkeypatch):
    import filelock

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(filelock.FileLock, "acquire", refuse)
    with pytest.raises(InputError, match="no file locks"):
        store.add(Path("made-1"), "emotion")


def test_a_store_opens_without_torch():
    code = "import sys, lorabert.shipping.store; assert not {'torch', 'transformers', 'peft'} & set(sys.modules), 'heavy'"
    subprocess.run([os.sys.executable, "-c", code], check=True)
