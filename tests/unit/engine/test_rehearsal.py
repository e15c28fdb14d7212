"""A classifier is tried on two texts before anything is written."""

import numpy as np
import pytest
import torch

import tiny
from lorabert.config import LoraConfig, ModelConfig
from lorabert.data.encoding import encode_split
from lorabert.data.sources import Split
from lorabert.engine import rehearsal
from lorabert.engine.prediction import Classifier
from lorabert.engine.rehearsal import rehearse
from lorabert.errors import InputError
from lorabert.models import bases, methods

TEXTS, _ = tiny.reviews(9, 2)


def made(folder, max_length=64):
    base = bases.find(ModelConfig(name=str(folder)))
    model = methods.apply(bases.load(base, ["neg", "pos"]), "lora", LoraConfig())
    classifier = Classifier(model, bases.load_tokenizer(folder), ["neg", "pos"], max_length)
    return classifier, encode_split(Split(TEXTS, None, np.zeros(9, np.int64)), classifier.tokenizer, max_length)


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_every_family_passes_and_no_random_number_is_drawn(base_folder, family):
    classifier, split = made(base_folder(family), tiny.FAMILIES[family].max_length)
    state = torch.get_rng_state()
    rehearse(classifier, split, "it", "bf16")
    assert torch.equal(torch.get_rng_state(), state)


def test_a_text_of_the_longest_length_is_among_them(tiny_base):
    classifier, split = made(tiny_base)
    texts = rehearsal._short_and_long(split, 64)
    assert texts.lengths.tolist() == [split.lengths.min(), 64]
    classifier.max_length = 65  # one position more than there is
    with pytest.raises(InputError, match=r"(Index|Runtime)Error.*up to 65 tokens"):
        rehearse(classifier, split, "it", "bf16")


def test_very_long_texts_are_not_tried_beyond_what_the_data_has(tiny_base):
    _, split = made(tiny_base)
    assert rehearsal._short_and_long(split, 8192).lengths.max() == 1024


def broken(classifier, change):
    """A classifier whose plain forward is another function."""
    forward = classifier.model.forward

    def other(**inputs):
        outputs = forward(**inputs)
        outputs.logits = change(outputs.logits, inputs)
        return outputs

    classifier.model.forward = other


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda logits, _: logits * float("nan"), "not finite"),
        (lambda logits, inputs: logits + inputs["input_ids"].shape[0], "what shares a text's batch changes its answer"),
        (lambda logits, inputs: logits + (inputs["attention_mask"] == 0).sum(), "what shares a text's batch"),
        (lambda logits, _: 1.01 * logits, "the engine's forward gives other answers"),
    ],
)
def test_what_is_wrong_is_told(tiny_base, change, why):
    classifier, split = made(tiny_base)
    broken(classifier, change)
    with pytest.raises(InputError, match=f"The base 'it' cannot be computed with.*{why}"):
        rehearse(classifier, split, "it", "bf16")


def test_a_training_that_fails_is_found_before_it_begins(base_folder):
    classifier, split = made(base_folder("mpnet"))
    linear = classifier.model.get_base_model().classifier.modules_to_save["default"].out_proj
    linear.register_forward_pre_hook(lambda module, inputs: inputs[0].numpy() if module.training else None)
    with pytest.raises(InputError, match=r"RuntimeError.*requires grad"):
        rehearse(classifier, split, "it", "fp32")
