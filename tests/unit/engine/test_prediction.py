"""Every example once, in the original order; a classifier that takes texts."""

import numpy as np
import pytest
import torch

import tiny
from lorabert.config import ModelConfig
from lorabert.data.encoding import encode_split
from lorabert.data.sources import Split
from lorabert.engine.prediction import Classifier
from lorabert.hardware import Placement
from lorabert.models import bases

TEXTS, LABELS = tiny.reviews(23, 2, longest=40)
CPU = Placement("cpu", "fp32", "")


@pytest.fixture
def classifier(tiny_base) -> Classifier:
    base = bases.find(ModelConfig(name=str(tiny_base)))
    return Classifier(bases.load(base, ["neg", "pos"]).model.eval(), bases.load_tokenizer(tiny_base), ["neg", "pos"], 32)


@pytest.fixture
def alone(classifier) -> np.ndarray:
    """Logits of each text by the plain model, one by one."""
    with torch.inference_mode():
        rows = [classifier.tokenizer(text, truncation=True, max_length=32, return_tensors="pt") for text in TEXTS]
        return np.concatenate([classifier.model(**row).logits.numpy() for row in rows])


def encoded(classifier: Classifier, n: int = 23):
    return encode_split(Split(TEXTS[:n], None, np.array(LABELS[:n])), classifier.tokenizer, 32)


@pytest.mark.parametrize("batch_size", [1, 2, 5, 22, 23, 64])
def test_every_example_once_in_the_original_order_whatever_the_batch(classifier, alone, batch_size):
    assert len(np.unique(alone, axis=0)) == 23  # a row out of place would be noticed
    assert len(set(alone.argmax(1))) == 2 or np.ptp(alone) > 0
    found = classifier.logits_of(encoded(classifier), batch_size=batch_size)
    assert found.dtype == np.float32
    assert found.shape == (23, 2)
    np.testing.assert_allclose(found, alone, rtol=1e-5, atol=1e-6)
    assert found.argmax(1).tolist() == alone.argmax(1).tolist()


def test_rows_of_the_batches_cover_each_index_once(classifier, monkeypatch):
    from lorabert.engine import prediction

    seen: list[int] = []
    gather = prediction.padded_batch

    def spy(split, rows, pad_id):
        seen.extend(rows.tolist())
        return gather(split, rows, pad_id)

    monkeypatch.setattr(prediction, "padded_batch", spy)
    prediction.predict_padded(classifier.model, encoded(classifier), pad_id=0, batch_size=5)
    assert sorted(seen) == list(range(23))
    assert seen != sorted(seen)  # computed in another order than returned


def test_predicting_changes_no_weight_and_no_random_state(classifier):
    before = {name: tensor.clone() for name, tensor in classifier.model.state_dict().items()}
    state = torch.get_rng_state()
    first = classifier.logits(TEXTS)
    classifier.model.train()  # left so by a training: dropout must not reach the answers
    assert np.array_equal(classifier.logits(TEXTS), first)
    assert np.allclose(classifier.plain_logits(encoded(classifier), batch_size=5), first, atol=1e-5)
    assert torch.equal(torch.get_rng_state(), state)
    after = classifier.model.state_dict()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in classifier.model.parameters())


def test_bf16_differs_a_little_and_comes_back_as_fp32(classifier, alone):
    found = classifier.logits_of(encoded(classifier), batch_size=8, placement=Placement("cpu", "bf16", ""))
    assert found.dtype == np.float32
    assert 0 < np.abs(found - alone).max() < 0.05


def test_a_classifier_answers_in_bf16_when_asked_to(classifier, alone):
    half = classifier.logits(TEXTS, placement=Placement("cpu", "bf16", ""))
    assert 0 < np.abs(half - alone).max() < 0.05
    assert np.abs(classifier.logits(TEXTS) - alone).max() < 1e-5  # what was made for bf16 does not answer for fp32


def test_a_prediction_is_the_softmax_of_the_logits(classifier, alone):
    predictions = classifier.predict(TEXTS)
    for row, prediction in enumerate(predictions):
        wanted = torch.softmax(torch.tensor(alone[row]), 0).tolist()
        assert list(prediction.scores) == ["neg", "pos"]
        assert list(prediction.scores.values()) == pytest.approx(wanted, abs=1e-6)
        assert prediction.label == ["neg", "pos"][int(alone[row].argmax())]
        assert prediction.score == max(prediction.scores.values())
    assert classifier.predict([]) == []


def test_second_texts_count(classifier):
    one, two = classifier.logits(TEXTS[:3], TEXTS[3:6]), classifier.logits(TEXTS[:3], TEXTS[6:9])
    assert not np.allclose(one, two, atol=1e-6)


def test_no_examples_give_no_logits(classifier):
    assert classifier.logits([]).shape == (0, 2)


def test_one_string_gets_one_answer_and_a_list_as_many_as_it_has(classifier):
    (alone,) = classifier.predict("good film")
    (listed,) = classifier.predict(["good film"])
    assert alone == listed
    assert classifier.logits("good film").shape == (1, 2)
    assert classifier.predict(np.array(TEXTS)) == classifier.predict(text for text in TEXTS)
    assert classifier.predict([]) == classifier.predict(np.array([])) == []
    assert classifier.logits([]).shape == (0, 2)
    assert classifier.logits("a", "b").shape == (1, 2)
    for call in (classifier.predict, classifier.logits):
        with pytest.raises(TypeError, match="not None"):
            call(None)
        with pytest.raises(ValueError, match="there are 2 texts and 1 pairs"):
            call(["a", "b"], ["c"])
