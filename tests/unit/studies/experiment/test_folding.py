"""Folds: every text answered by a classifier that has not seen it, on either engine, and refused where there are too few."""

import dataclasses

import numpy as np
import pytest

import tiny
from lorabert import config
from lorabert.data import splitting
from lorabert.errors import InputError
from lorabert.studies.experiment import folding
from lorabert.studies.experiment.preparing import prepare

PARTS = [np.arange(0, 20), np.arange(20, 40), np.arange(40, 60)]


def prepared(folder, monkeypatch, labels=None, **train):
    """A run of sixty texts up to its folds, and some labels other than they were."""
    monkeypatch.chdir(folder)
    if not (folder / "base").exists():
        tiny.build_base("base")
    texts, true = tiny.reviews(75, classes=2)
    tiny.write_csv("data.csv", texts, true)
    values = {"model.name": "base", "data.train": "data.csv", "train.folds": 3, "train.num_train_epochs": 2,
              "train.precision": "fp32", **{f"train.{key}": value for key, value in train.items()}}  # fmt: skip
    ready = prepare(config.RunConfig().with_values(values).resolved(), lambda _: None, None)
    for row, label in (labels or {}).items():
        ready.splits.train.labels[row] = label
        ready.encoded.train.labels[row] = label
    return ready


def answered(ready, folder, monkeypatch):
    n = len(ready.splits.train)
    monkeypatch.setattr(folding, "parts", lambda _: [part[part < n] for part in (*PARTS[:2], np.arange(40, n))])
    return folding.out_of_fold(ready, folder / "checkpoints", lambda _: None)


@pytest.mark.parametrize("head_init", ["probe", "random"])
@pytest.mark.parametrize("engine", ["fast", "reference"])
def test_an_answer_does_not_know_its_text_s_label_and_the_others_do(tmp_path, monkeypatch, engine, head_init):
    first = prepared(tmp_path, monkeypatch, engine=engine, head_init=head_init)
    row = 7
    found = answered(first, tmp_path, monkeypatch)
    flipped = {row: 1 - int(first.splits.train.labels[row])}
    second = answered(prepared(tmp_path, monkeypatch, flipped, engine=engine, head_init=head_init), tmp_path, monkeypatch)
    assert found.labels[row] != second.labels[row]
    np.testing.assert_array_equal(found.logits[PARTS[0]], second.logits[PARTS[0]])
    assert (found.logits[PARTS[1]] != second.logits[PARTS[1]]).any()


def test_folds_leave_the_run_s_own_weights_alone(tmp_path, monkeypatch):
    for method in ("lora", "full"):
        ready = prepared(tmp_path, monkeypatch, method=method)
        before = {name: tensor.clone() for name, tensor in ready.model.state_dict().items()}
        answered(ready, tmp_path, monkeypatch)
        assert all((tensor == before[name]).all() for name, tensor in ready.model.state_dict().items())


def test_engines_agree_out_of_fold(tmp_path, monkeypatch):
    """Without dropout both engines train the same folds, to the last digits of fp32."""
    from transformers import BertConfig

    tiny.build_base(tmp_path / "base")
    settings = BertConfig.from_pretrained(tmp_path / "base")
    settings.hidden_dropout_prob = settings.attention_probs_dropout_prob = 0.0
    settings.save_pretrained(tmp_path / "base")
    answers = []
    for engine in ("fast", "reference"):
        ready = prepared(tmp_path, monkeypatch, engine=engine)
        lora = dataclasses.replace(ready.settings.lora, lora_dropout=0.0)
        ready.recipe = dataclasses.replace(ready.recipe, settings=dataclasses.replace(ready.settings, lora=lora))
        answers.append(answered(ready, tmp_path, monkeypatch).logits)
    np.testing.assert_allclose(*answers, rtol=2e-3, atol=2e-3 * np.abs(answers[0]).max())


def test_a_family_that_the_fast_engine_does_not_know(tmp_path, monkeypatch):
    tiny.build_base(tmp_path / "base", family="mpnet")
    said = []
    ready = prepared(tmp_path, monkeypatch)
    found = folding.out_of_fold(ready, tmp_path / "checkpoints", said.append)
    assert np.isfinite(found.logits).all()
    assert any("Engine of the folds: reference" in line for line in said)


def test_equal_texts_share_a_fold_and_labels_are_spread():
    labels, groups = [0, 0, 1, 1] * 15, [number // 2 for number in range(60)]
    parts = splitting.folds(labels, groups, 5, seed=1)
    assert sorted(np.concatenate(parts).tolist()) == list(range(60))
    for held in parts:
        assert {groups[row] for row in held}.isdisjoint({groups[row] for row in set(range(60)) - set(held.tolist())})
        assert np.array(labels)[held].mean() == pytest.approx(0.5, abs=0.1)
    assert [part.tolist() for part in splitting.folds(labels, groups, 5, seed=1)] == [part.tolist() for part in parts]
    assert [part.tolist() for part in splitting.folds(labels, groups, 5, seed=2)] != [part.tolist() for part in parts]


def test_every_label_rarer_than_there_are_folds():
    parts = splitting.folds([0, 0, 1, 1, 2, 2], list(range(6)), 5, seed=0)
    assert sorted(np.concatenate(parts).tolist()) == list(range(6))


def test_fewer_texts_than_folds_are_refused(tmp_path, monkeypatch):
    ready = prepared(tmp_path, monkeypatch)
    ready.splits.groups[:] = ["one", "two"] * (len(ready.splits.groups) // 2) + ["one"] * (len(ready.splits.groups) % 2)
    with pytest.raises(InputError, match="too few texts for 3 folds"):
        folding.parts(ready)


def test_a_fold_that_leaves_one_class_is_refused(tmp_path, monkeypatch):
    ready = prepared(tmp_path, monkeypatch)
    ready.splits.train.labels[:] = 0
    ready.splits.train.labels[3] = 1
    with pytest.raises(InputError, match="a single class to learn"):
        folding.parts(ready)


def test_equal_texts_of_different_groups_share_a_fold(tmp_path, monkeypatch):
    """`data.group` adds to what stays together; a text that two authors have in common is still one text."""
    ready = prepared(tmp_path, monkeypatch)
    texts = ready.splits.train.texts
    texts[1::2] = texts[0 : len(texts) - 1 : 2]
    ready.splits.groups[:] = range(len(texts))
    for held in folding.parts(ready):
        assert {texts[row] for row in held}.isdisjoint({text for row, text in enumerate(texts) if row not in set(held.tolist())})
