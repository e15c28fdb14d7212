"""A run that trains the word embeddings trains the rows of its own words alone; nothing else may differ."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

import tolerances
from classifiers import PACKED_FAMILIES, VOCAB, classifier
from lorabert.engine import reference
from lorabert.engine.training import fit
from lorabert.engine.training.vocabulary import Vocabulary
from trainings import BASE, STOPPING, TRAIN, VALIDATION, Killed, furthest, kill_at, losses, same_events, train

# Train knows words below 100, and validation some that train does not know: most of them above.
FEW = (
    dataclasses.replace(TRAIN, ids=np.where(TRAIN.ids < 100, TRAIN.ids, TRAIN.ids - 60)),
    dataclasses.replace(VALIDATION, ids=np.where(VALIDATION.ids < 80, VALIDATION.ids, VALIDATION.ids - 10)),
)
WORDS = "word_embeddings.modules_to_save.default.weight"


def words_of(weights):
    (found,) = (value for name, value in weights.items() if name.endswith("word_embeddings.weight") or name.endswith(WORDS))
    return found


@pytest.mark.parametrize("family", PACKED_FAMILIES)
def test_every_loss_and_every_weight_as_the_reference_and_unknown_words_untouched(family, tmp_path):
    before = words_of({name: p.detach().clone() for name, p in classifier(family, "full").named_parameters() if p.requires_grad})
    expected, expected_weights, _ = train(reference.fit, tmp_path / "reference", model=classifier(family, "full"), data=FEW)
    got, weights, _ = train(fit, tmp_path / "fast", model=classifier(family, "full"), data=FEW)
    same_events(got, expected)
    assert furthest(weights, expected_weights, but=("key.bias", "k_lin.bias")) < tolerances.FP32_FINAL_WEIGHTS
    known = np.unique(FEW[0].ids)
    unknown = np.setdiff1d(np.arange(VOCAB), known)
    assert len(unknown) > 40
    assert torch.equal(words_of(weights)[unknown], before[unknown])
    assert not torch.equal(words_of(weights)[known], before[known])


def test_weight_decay_moves_every_row(tmp_path):
    settings = dataclasses.replace(BASE, weight_decay=0.3)
    _, expected, _ = train(reference.fit, tmp_path / "reference", settings, model=classifier(method="full"), data=FEW)
    _, weights, _ = train(fit, tmp_path / "fast", settings, model=classifier(method="full"), data=FEW)
    assert furthest(weights, expected, but=("key.bias",)) < tolerances.FP32_FINAL_WEIGHTS


def test_negative_control_without_its_rows_of_decay_it_would_end_elsewhere(tmp_path, monkeypatch):
    settings = dataclasses.replace(BASE, weight_decay=0.3)
    _, expected, _ = train(fit, tmp_path / "whole", settings, model=classifier(method="full"), data=FEW)
    begin = Vocabulary.__init__
    monkeypatch.setattr(Vocabulary, "__init__", lambda self, words, splits, _: begin(self, words, splits, BASE))
    _, weights, _ = train(fit, tmp_path / "few", settings, model=classifier(method="full"), data=FEW)
    assert furthest(weights, expected, but=("key.bias",)) > 2 * tolerances.FP32_FINAL_WEIGHTS


def test_killed_and_resumed_ends_bit_for_bit_the_same(tmp_path):
    settings = dataclasses.replace(BASE, num_train_epochs=3, save_strategy="epoch")
    _, weights, _ = train(fit, tmp_path / "straight", settings, model=classifier(method="full", dropout=0.1), data=FEW)
    model = classifier(method="full", dropout=0.1)
    with pytest.raises(Killed):
        train(fit, tmp_path / "killed", settings, model=model, data=FEW, log=kill_at(30))
    model = classifier(method="full", dropout=0.1)
    _, resumed, _ = train(fit, tmp_path / "killed", settings, model=model, data=FEW, resume=True)
    assert furthest(resumed, weights) == 0


def test_the_best_epoch_is_put_back_whole(tmp_path):
    expected, expected_weights, _ = train(
        reference.fit, tmp_path / "reference", STOPPING, model=classifier(method="full"), data=FEW
    )
    got, weights, _ = train(fit, tmp_path / "fast", STOPPING, model=classifier(method="full"), data=FEW)
    assert len(losses(got, "validation")) == len(losses(expected, "validation")) < 8
    assert words_of(weights).shape == words_of(expected_weights).shape
    assert furthest(weights, expected_weights, but=("key.bias",)) < 10 * tolerances.FP32_FINAL_WEIGHTS


def test_the_matrix_is_the_same_parameter_before_and_after_and_smaller_between(tmp_path):
    model = classifier(method="full")
    named = dict(model.named_parameters())
    seen = []
    train(fit, tmp_path, model=model, data=FEW, log=lambda _: seen.append(len(words_of(dict(model.named_parameters())))))
    assert all(parameter is named[name] for name, parameter in model.named_parameters())
    assert set(seen) == {len(np.union1d([0], np.concatenate([split.ids for split in FEW])))}  # 0 is padding


def test_frozen_words_stay_what_and_where_they_are():
    words = torch.nn.Embedding(VOCAB, 4)
    words.weight.requires_grad_(False)
    vocabulary = Vocabulary(words, list(FEW), BASE)
    assert words.weight is vocabulary.whole
    assert vocabulary.renumber(FEW[0]) is FEW[0]
    vocabulary.put_back()
    assert words.weight is vocabulary.whole
