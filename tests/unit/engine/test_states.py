import numpy as np
import pytest
import torch

import tiny
from lorabert.config import ModelConfig
from lorabert.data.encoding import encode_split
from lorabert.data.sources import Split
from lorabert.engine.states import states
from lorabert.hardware import Placement
from lorabert.models import attention, bases

TEXTS, LABELS = tiny.reviews(23, 2, longest=40)
CPU = Placement("cpu", "fp32", "")


def loaded(folder):
    return bases.load(bases.find(ModelConfig(name=str(folder))), ["neg", "pos"]).model.eval(), bases.load_tokenizer(folder)


def read(model, tokenizer, evenly=True):
    split = encode_split(Split(TEXTS, None, np.array(LABELS)), tokenizer, 32)
    return states(model, split, pad_id=tokenizer.pad_token_id, batch_size=7, placement=CPU, evenly=evenly)


def alone(model, tokenizer):
    """The last layer's states of each text by the plain encoder, one by one."""
    with torch.inference_mode():
        rows = [tokenizer(text, truncation=True, max_length=32, return_tensors="pt") for text in TEXTS]
        return [model.base_model(**row).last_hidden_state[0].numpy() for row in rows]


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert", "electra", "albert", "mpnet"])
def test_states_are_those_of_the_first_token_and_the_mean_without_the_padding(base_folder, family):
    model, tokenizer = loaded(base_folder(family))
    found = read(model, tokenizer)
    for row, wanted in enumerate(alone(model, tokenizer)):
        np.testing.assert_allclose(found.first[row], wanted[0], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(found.mean[row], wanted.mean(0), rtol=1e-4, atol=1e-5)
    assert (found.even is None) == (family in ("albert", "mpnet"))


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert", "electra"])
def test_the_even_state_is_that_of_an_encoder_whose_last_queries_are_zero(base_folder, family):
    model, tokenizer = loaded(base_folder(family))
    _, query = attention.last_layer(model)
    with torch.no_grad():
        for parameter in model.base_model.parameters():  # small random weights look evenly as they are
            parameter.mul_(5.0)
    found = read(model, tokenizer)
    with torch.no_grad():
        query.weight.zero_()
        query.bias.zero_()
    wanted = np.stack([states[0] for states in alone(model, tokenizer)])
    np.testing.assert_allclose(found.even, wanted, rtol=1e-3, atol=1e-4)
    assert np.abs(found.even - found.first).max() > 0.1


def test_no_more_is_read_than_was_asked_for(tiny_base):
    model, tokenizer = loaded(tiny_base)
    layer, _ = attention.last_layer(model)
    calls = []
    layer.register_forward_hook(lambda *_: calls.append(1))
    plain = read(model, tokenizer, evenly=False)
    once, more = len(calls), read(model, tokenizer)
    assert plain.even is plain.entering is None
    assert len(calls) == 3 * once
    assert np.array_equal(plain.mean, more.mean)


def test_what_enters_the_last_layer_is_what_the_layer_before_it_gave(tiny_base):
    model, tokenizer = loaded(tiny_base)
    found = read(model, tokenizer)
    with torch.inference_mode():
        row = tokenizer(TEXTS[3], truncation=True, max_length=32, return_tensors="pt")
        hidden = model.bert(**row, output_hidden_states=True).hidden_states[-2][0, 0]
    np.testing.assert_allclose(found.entering[3], hidden, rtol=1e-4, atol=1e-5)
