"""What a temperature leaves in a head: any family's logits divided, as plain PEFT reads them back, and nothing else."""

import numpy as np
import peft
import pytest
import torch
from transformers import AutoModelForSequenceClassification

import adapted
import tiny
from lorabert.models import heads
from lorabert.shipping import adapters

TEXTS = ["a wonderful film", "two hours that never come back", "ok"]


@pytest.mark.parametrize("method", ["lora", "full", "bitfit", "head"])
@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_logits_are_divided_in_every_family(tmp_path, family, method):
    made = adapted.trained(tiny.build_base(tmp_path / "base", family=family), method)
    classifier = made[0]
    split = classifier.encode(_texts())
    before = classifier.plain_logits(split, batch_size=3)
    assert heads.divide_logits(classifier.model, 2.5)
    after = classifier.plain_logits(split, batch_size=3)
    np.testing.assert_allclose(2.5 * after, before, rtol=1e-4, atol=1e-5 * np.abs(before).max())
    assert np.abs(after - before).max() > 0.1 * np.abs(before).max()


def test_plain_peft_reads_the_divided_logits(tmp_path):
    base = tiny.build_base(tmp_path / "base")
    made = adapted.trained(base, target_modules="all-linear")
    classifier = made[0]
    before = classifier.plain_logits(classifier.encode(_texts()), batch_size=3)
    heads.divide_logits(classifier.model, 4.0)
    adapters.save(tmp_path / "adapter", *made, lambda _: ({}, ""))
    plain = AutoModelForSequenceClassification.from_pretrained(base, num_labels=len(adapted.LABELS), ignore_mismatched_sizes=True)
    plain = peft.PeftModel.from_pretrained(plain, str(tmp_path / "adapter")).eval()
    batch = classifier.tokenizer(TEXTS, padding=True, return_tensors="pt")
    with torch.inference_mode():
        np.testing.assert_allclose(4 * plain(**batch).logits.numpy(), before, rtol=1e-4, atol=1e-5 * np.abs(before).max())


def test_a_head_that_is_not_trained_is_left_alone(tmp_path):
    classifier = adapted.trained(tiny.build_base(tmp_path / "base"))[0]
    weights = {name: tensor.clone() for name, tensor in classifier.model.state_dict().items()}
    classifier.model.requires_grad_(False)
    assert not heads.divide_logits(classifier.model, 2.0)
    assert all(torch.equal(tensor, weights[name]) for name, tensor in classifier.model.state_dict().items())


def _texts():
    from lorabert.data.sources import Split

    return Split(TEXTS, None, np.zeros(len(TEXTS), np.int64))
