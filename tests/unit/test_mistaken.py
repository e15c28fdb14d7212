"""What is named instead of what was wanted is recognised, and the right thing is advised."""

import os
from pathlib import Path

import pytest

from lorabert import mistaken
from lorabert.mistaken import ADAPTER, RUN


@pytest.fixture(autouse=True)
def things(tmp_path):
    for name in (
        "runs/one/run.json", "runs/one/adapter/lorabert.json", "runs/two/run.json", "store/store.json", "plain/x",
        "study/comparison.json", "sweep/sweep.json", "base/config.json", "base/model.safetensors", "reviews.csv",
    ):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to("nothing")
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "pipe")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("runs/one", "a run"), ("runs/one/adapter", "an adapter or an export"), ("store", "a store"), ("study", "a comparison"),
        ("sweep", "a sweep"), ("base", "a base"), ("plain", "a folder"), ("empty", "an empty folder"), ("reviews.csv", "a file"),
        ("link", "a link that leads nowhere"), ("loop", "a link that leads nowhere"), ("pipe", "a pipe"),
        ("/dev/null", "a device"), ("nothing", "nothing of that name"), ("no/thing", "no such folder as no"),
        ("reviews.csv/x", "reviews.csv, which is no folder"), ("http://localhost/x", "a URL"),
        ("x" * 5000, "nothing of that name"),
    ],
)  # fmt: skip
def test_what_lies_at_a_path_is_told(name, kind):
    assert mistaken.kind_of(Path(name)) == kind


@pytest.mark.parametrize(
    ("name", "marks", "advice"),
    [
        ("runs", (RUN,), "Name one of runs/one, runs/two"),
        ("runs/one", (ADAPTER,), "Name runs/one/adapter"),
        ("runs/one/run.json", (RUN, ADAPTER), "Name runs/one"),
        ("runs/one/adapter/lorabert.json", (RUN, ADAPTER), "Name runs/one/adapter"),
        ("store", (RUN,), ""),
        ("reviws.csv", (), "Did you mean reviews.csv?"),
        ("Reviews.CSV", (), "Did you mean reviews.csv?"),
        ("bsae", (), ""),
        ("bsae", (RUN,), "Did you mean base?"),
        ("reviws.csv", (RUN,), ""),
        ("runs/one/adapter", (RUN,), "Name runs/one"),
        ('"reviews.csv"', (), "Did you mean reviews.csv?"),
        ("rnus/one", (RUN,), "Did you mean runs/one?"),
        ("runs/oen/adapter", (ADAPTER,), "Did you mean runs/one/adapter?"),
        ("quite/another", (), ""),
        ("x" * 5000, (), ""),
    ],
)
def test_what_to_name_instead(name, marks, advice):
    assert mistaken.instead(Path(name), marks) == advice


def test_what_the_shell_was_meant_to_do_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert f"name {tmp_path}/reviews.csv" in mistaken.instead(Path("~/reviews.csv"))
    assert mistaken.instead(Path("file:///etc/hostname")) == "Name the path alone, without file://: /etc/hostname"
    assert mistaken.instead(Path("file://reviews.csv")) == "Name the path alone, without file://: reviews.csv"
    assert "fetch it first" in mistaken.instead(Path("https://example.org/reviews.csv"))


@pytest.mark.parametrize(("name", "local"), [("reviews.csv", True), ("./base", True), ("~/base", True), ("https://x/y", True),
                                             ("owner/name", False), ("bert-base-uncased", False)])  # fmt: skip
def test_what_may_be_an_id_of_the_hub_is_told_from_what_cannot(name, local):
    assert mistaken.is_local(name) is local
