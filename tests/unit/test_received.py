"""What came from somebody else is read as files of its folder, as JSON within limits, or not at all."""

import json
import os
import threading
from pathlib import Path

import pytest

from lorabert import received
from lorabert.errors import InputError

pytestmark = pytest.mark.skipif(os.name == "nt", reason="links need a right")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"a": 1, "a": 2}', "'a' twice"),
        (b'{"a": NaN}', "not finite"),
        (b'{"a": -Infinity}', "not finite"),
        (b'{"a": 1e999}', "not finite"),
        (b'{"a": ' + b"1" * 5000 + b"}", "5,000 digits"),
        (b'{"a": "\\ud800"}', "surrogates"),
        (b'{"\\ud800": 1}', "surrogates"),
        (b'{"a": "\xff"}', "can't decode"),
        ('{"a": 1}'.encode("utf-16"), "can't decode"),
        (b'{"a": ' + b"[" * 70 + b"]" * 70 + b"}", "64 levels"),
        (b'{"a": ' + b"[" * 100_000, "64 levels"),
        (b" " * 1_000_000, "Expecting value"),
        (b"[]", "a JSON list"),
        (b"", "Expecting value"),
    ],
)
def test_a_record_is_the_json_that_lorabert_writes(content, said):
    Path("run.json").write_bytes(content)
    with pytest.raises(InputError) as refused:
        received.record_of(Path("run.json"))
    assert said in str(refused.value)
    assert len(str(refused.value)) < 600


def test_a_record_that_is_whole_is_read():
    document = {"a": [1, -2.5, None, True, "\U0001f600 \x1b"], "b": {"c": {}}}
    Path("run.json").write_text(json.dumps(document), encoding="utf-8")
    assert received.record_of(Path("run.json")) == document
    assert received.json_of(Path("run.json")) == document


@pytest.mark.parametrize("kind", ["pipe", "/dev/zero", "outside/file", "folder", "nowhere"])
def test_what_is_no_file_of_its_folder_is_not_opened(kind):
    Path("outside").mkdir()
    Path("outside/file").write_text("{}", encoding="utf-8")
    folder = Path("run")
    folder.mkdir()
    file = folder / "run.json"
    if kind == "pipe":
        os.mkfifo(file)
    elif kind == "folder":
        file.mkdir()
    else:
        file.symlink_to(kind if kind.startswith("/") else f"../{kind}")
    with pytest.raises(InputError, match=r"run\.json"):
        received.record_of(file)


def test_a_file_that_is_too_large_is_not_read(monkeypatch):
    monkeypatch.setattr(received, "RECORD_BYTES", 10)
    Path("run.json").write_text(json.dumps({"a": "x" * 20}), encoding="utf-8")
    with pytest.raises(InputError, match="too large"):
        received.record_of(Path("run.json"))


@pytest.mark.parametrize("part", ["study/runs", "study/runs/task", "study/runs/task/seed-1"])
@pytest.mark.parametrize("kind", ["outside", "nowhere", "/dev/zero", "file"])
def test_a_folder_that_leads_elsewhere_on_the_way_is_refused(part, kind):
    Path("outside").mkdir()
    place, wanted = Path(part), Path("study/runs/task/seed-1")
    place.parent.mkdir(parents=True)
    received.refuse_links_on_the_way(wanted, Path("study"), "a comparison")
    if kind == "file":
        place.write_text("", encoding="utf-8")
    else:
        place.symlink_to(Path(kind).absolute())
    with pytest.raises(InputError, match="no part of a comparison"):
        received.refuse_links_on_the_way(wanted, Path("study"), "a comparison")


def test_a_part_that_comes_and_goes_is_no_link(tmp_path):
    """As the folder that writers of a store work in, to whoever reads it meanwhile."""
    part, ended = tmp_path / "partial", threading.Event()

    def come_and_go():
        while not ended.is_set():
            part.mkdir()
            part.rmdir()

    thread = threading.Thread(target=come_and_go)
    thread.start()
    try:
        for _ in range(20_000):
            received.refuse_link(part, "a store")
    finally:
        ended.set()
        thread.join()
