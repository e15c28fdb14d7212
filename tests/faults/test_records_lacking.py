"""Manifests that are sealed and whole, and do not say what evaluate and export would ask of them: refused in words."""

import json
import os

import pytest

import adapted
import tiny
from lorabert.config import DataConfig, RunConfig
from lorabert.data import sources
from lorabert.errors import InputError
from lorabert.evidence.baselines import TFIDF
from lorabert.shipping import exporting, loading, manifests
from lorabert.shipping.documents import manifest as kinds
from lorabert.studies.experiment import evaluate

CONFIG = RunConfig(data=DataConfig(train="d.csv")).resolved().to_dict()
FAR = CONFIG | {"data": CONFIG["data"] | {"train": "x" * 5000}}


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({}, "no 'config'"),
        ({"config": CONFIG}, "no 'data'"),
        ({"config": CONFIG, "data": {}}, "no fingerprint"),
        (
            {"config": CONFIG | {"data": CONFIG["data"] | {"train": "x" * 5000}}, "data": {"fingerprint": "a"}},
            "not where they were",
        ),
    ],
)
def test_evaluate_says_what_a_manifest_lacks(tiny_base, tmp_path, facts, said):
    folder = adapted.saved(tmp_path / "adapter", adapted.trained(tiny_base), **facts)
    with pytest.raises(InputError) as refused:
        evaluate(folder, say=lambda _: None)
    assert said in str(refused.value)
    assert len(str(refused.value)) < 12_000


@pytest.mark.parametrize("labels", [3, -1e308, [1, 2], [[1], [2]], [{}], []])
def test_labels_of_the_data_are_a_list_of_texts(tiny_base, tmp_path, labels):
    folder = adapted.saved(tmp_path / "adapter", adapted.trained(tiny_base))
    manifest = manifests.manifest_of(folder)
    assert not kinds.problems(manifest | {"data": {"labels": ["a", "b"]}}, "adapter")
    assert any("labels" in problem for problem in kinds.problems(manifest | {"data": {"labels": labels}}, "adapter"))


@pytest.mark.parametrize("max_length", [-5, 0, 1, 2])
def test_a_length_that_holds_no_word_is_refused(tiny_base, tmp_path, max_length):
    folder = adapted.saved(tmp_path / "adapter", adapted.trained(tiny_base))
    problems = kinds.problems(manifests.manifest_of(folder) | {"max_length": max_length}, "adapter")
    assert any("max_length" in problem for problem in problems)


def test_what_is_too_long_for_a_path_is_not_there():
    data = DataConfig(train="x" * 5000)
    with pytest.raises(InputError, match="not where they were"):
        sources.recorded(data, {"fingerprint": "a", "labels": ["a"]}, lambda _: [])


def test_a_graph_that_cannot_read_so_far_is_refused_in_words(tiny_base, tmp_path):
    pytest.importorskip("onnxruntime")
    folder = adapted.saved(tmp_path / "adapter", adapted.trained(tiny_base))
    exporting.export(folder, tmp_path / "onnx", "onnx", say=lambda _: None)
    far = json.loads((tmp_path / "onnx" / manifests.MANIFEST).read_bytes()) | {"max_length": 1_000_000}
    (tmp_path / "onnx" / manifests.MANIFEST).write_bytes(manifests.sealed(far))
    with pytest.raises(InputError):
        loading.load(tmp_path / "onnx")[0].logits(["word " * 5000])


@pytest.mark.skipif(os.name == "nt", reason="pipes")
@pytest.mark.timeout(60)
def test_settings_that_are_a_pipe_are_not_waited_for(tiny_base, tmp_path):
    folder = adapted.saved(tmp_path / "adapter", adapted.trained(tiny_base))
    (folder / "adapter_config.json").unlink()
    os.mkfifo(folder / "adapter_config.json")
    with pytest.raises(InputError, match="a pipe"):
        loading.load(folder)


def test_a_place_too_long_for_a_path_is_not_where_the_base_lies(tiny_base, tmp_path):
    folder = adapted.saved(tmp_path / "adapter", adapted.trained(tiny_base))
    settings = json.loads((folder / "adapter_config.json").read_bytes())
    for long in ("x" * 5000, "x\0y"):
        (folder / "adapter_config.json").write_text(json.dumps(settings | {"base_model_name_or_path": long}))
        manifest = manifests.manifest_of(folder)
        manifest["base"]["name"] = str(tmp_path / "gone")
        manifest["files"] = manifests.file_entries(folder)
        (folder / "lorabert.json").write_bytes(manifests.sealed(manifest))
        with pytest.raises(InputError, match="was the folder"):
            loading.load(folder)


@pytest.mark.parametrize("place", ["metrics", "baselines", "validation_baselines"])
@pytest.mark.parametrize("key", ["mcc", "high"])
def test_a_finished_run_without_a_score_is_refused(shell, here, tiny_base, place, key):
    texts, labels = tiny.reviews(40, classes=2)
    tiny.write_csv(shell.folder / "scored.csv", texts, ["ab"[label] for label in labels])
    words = ["train", "--data.train", "scored.csv", "--model.name", str(tiny_base), "--train.method", "head",
             "--train.num_train_epochs", "1", "--out", f"{place}-{key}"]  # fmt: skip
    assert here(*words).code == 0
    file = shell.folder / f"{place}-{key}/run.json"
    record = json.loads(file.read_text(encoding="utf-8"))
    scores = record[place] if place == "metrics" else record[place][TFIDF]
    del (scores if key == "mcc" else scores["accuracy"])[key]
    file.write_text(json.dumps(record), encoding="utf-8")
    done = here(*words, "--resume")
    assert done.code == 2, done.err
    assert key in done.err
