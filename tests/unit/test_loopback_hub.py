"""The loopback hub serves the libraries that this project stands on, in processes that know nothing of it."""

import json
import subprocess
import sys
from typing import Any
from urllib.request import Request, urlopen

import pytest

import tiny
from loopback_hub import DATASETS, LoopbackHub, environment

pytestmark = pytest.mark.hub

LOAD = """
from datasets import load_dataset
from transformers import AutoModelForSequenceClassification, AutoTokenizer

found = {}
for model_id in ("tiny/bert", "tiny-bert"):
    tokens = AutoTokenizer.from_pretrained(model_id)("a good film")["input_ids"]
    model = AutoModelForSequenceClassification.from_pretrained(model_id, num_labels=3)
    found[model_id] = [len(tokens), model.config.vocab_size]
for subset in ("sentiment", "topics"):
    loaded = load_dataset("tiny/reviews", subset)
    found[subset] = [loaded.num_rows, loaded["train"].features["label"].names]
"""

ASK = """
from huggingface_hub import HfApi

api = HfApi()
model, data = api.model_info("tiny/bert"), api.dataset_info("tiny/reviews")
found = {
    "commits": [model.sha, data.sha],
    "license": data.card_data.license,
    "today": api.dataset_info("reviews").id,
    "exist": [api.repo_exists("tiny/bert"), api.repo_exists("tiny/nothing")],
    "topics": [file.path for file in api.list_repo_tree("tiny/reviews", "topics", repo_type="dataset")],
}
"""

MISS = """
from huggingface_hub import HfApi
from huggingface_hub.errors import EntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError

api = HfApi()
found = []
for ask, wanted in (
    (lambda: api.model_info("tiny/nothing"), RepositoryNotFoundError),
    (lambda: api.dataset_info("nothing"), RepositoryNotFoundError),
    (lambda: api.hf_hub_download("tiny/nothing", "config.json"), RepositoryNotFoundError),
    (lambda: api.model_info("tiny/bert", revision="nowhere"), RevisionNotFoundError),
    (lambda: api.hf_hub_download("tiny/bert", "nothing.json"), EntryNotFoundError),
):
    try:
        ask()
    except wanted as error:
        found.append(error.response.status_code)
"""


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    base = tiny.build_base(tmp_path_factory.mktemp("bert"))
    reviews = tiny.build_dataset(tmp_path_factory.mktemp("reviews"))
    served = LoopbackHub(
        {"tiny/bert": base, "tiny-bert": base}, datasets={"tiny/reviews": reviews}, aliases={"reviews": "tiny/reviews"}
    )
    with served:
        yield served


def found_by(code: str, env: dict[str, str]) -> Any:
    """What the code calls `found`, run in a process of its own."""
    command = [sys.executable, "-c", f"{code}\nimport json\nprint(json.dumps(found))"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_a_process_loads_everything_from_the_hub_and_then_from_its_cache(hub, tmp_path):
    env = environment(hub, tmp_path)
    loaded = found_by(LOAD, env)
    rows = {"train": 48, "validation": 16, "test": 16}
    assert loaded["tiny/bert"] == loaded["tiny-bert"] == [5, tiny.build_tokenizer("bert").get_vocab_size()]
    assert loaded["sentiment"] == [rows, ["negative", "positive"]]
    assert loaded["topics"] == [rows, ["negative", "positive", "sport", "business"]]

    seen = list(hub.requests)
    assert found_by(LOAD, {**env, "HF_HUB_OFFLINE": "1"}) == loaded
    assert hub.requests == seen


def test_repositories_describe_themselves(hub, tmp_path):
    found = found_by(ASK, environment(hub, tmp_path))
    assert found["commits"] == [hub.commit("tiny/bert"), hub.commit("tiny/reviews", kind=DATASETS)]
    assert found["license"] == "apache-2.0"
    assert found["today"] == "tiny/reviews"
    assert found["exist"] == [True, False]
    assert found["topics"] == ["topics/test.parquet", "topics/train.parquet", "topics/validation.parquet"]


def test_what_is_not_there_is_told_apart(hub, tmp_path):
    assert found_by(MISS, environment(hub, tmp_path)) == [401, 401, 401, 404, 404]
    assert hub.requests[-1] == "HEAD /tiny/bert/resolve/main/nothing.json"


def test_an_earlier_commit_outlives_the_next(hub, tmp_path):
    (tmp_path / "config.json").write_text("before")
    before = hub.publish("tiny/moving", tmp_path)
    (tmp_path / "config.json").write_text("after")
    after = hub.publish("tiny/moving", tmp_path)
    read = {revision: fetch(hub, f"tiny/moving/resolve/{revision}/config.json") for revision in (before, after, "main")}
    assert read == {before: b"before", after: b"after", "main": b"after"}


@pytest.mark.parametrize(("asked", "given"), [("bytes=2-4", b"234"), ("bytes=7-", b"789"), ("bytes=-2", b"89")])
def test_a_part_of_a_file(hub, tmp_path, asked, given):
    (tmp_path / "digits").write_bytes(b"0123456789")
    hub.publish("tiny/digits", tmp_path)
    assert fetch(hub, "tiny/digits/resolve/main/digits", Range=asked) == given


def fetch(hub: LoopbackHub, path: str, **headers: str) -> bytes:
    with urlopen(Request(f"{hub.endpoint}/{path}", headers=headers), timeout=10) as answer:
        return answer.read()
