"""A head that starts from a probe answers as the probe: in plain Transformers' forward, and from what PEFT saved."""

import numpy as np
import peft
import pytest
import torch
from transformers import AutoModelForSequenceClassification

from classifiers import PACKED_FAMILIES
from lorabert.config import LoraConfig, ModelConfig
from lorabert.evidence import probes
from lorabert.models import bases, heads, methods

LABELS = ["a", "b", "c"]
WORDS = ["a", "about", "after", "again", "film", "great", "awful", "boring", "cast", "scene", "script", "story"]


def inputs(tokenizer):
    generator = np.random.default_rng(0)
    texts = [" ".join(generator.choice(WORDS, 1 + row % 9)) for row in range(40)]
    return tokenizer(texts, padding=True, truncation=True, max_length=32, return_tensors="pt"), np.arange(40) % 3


def logits(model, batch):
    with torch.inference_mode():
        return model.eval()(**batch).logits.numpy()


@pytest.mark.parametrize("with_pooler", [True, False])
@pytest.mark.parametrize("family", PACKED_FAMILIES)
def test_training_begins_where_the_probe_ends(base_folder, tmp_path, family, with_pooler):
    if not with_pooler and family not in ("bert", "albert"):
        pytest.skip("this family has no pooler")
    base = bases.find(ModelConfig(name=str(base_folder(family, with_pooler=with_pooler))))
    torch.manual_seed(0)
    loaded = bases.load(base, LABELS)
    assert heads.can_start_from_probe(loaded.model, loaded.new_tensors)
    batch, labels = inputs(bases.load_tokenizer(base.folder))
    with torch.inference_mode():
        first = loaded.model.eval().base_model(**batch)[0][:, 0].numpy()
    model = methods.apply(loaded, "lora", LoraConfig(target_modules="all-linear"))
    before = logits(model, batch)
    reached = heads.reached(model, first)
    probe = probes.fit(reached, labels, 3)
    heads.start_from_probe(model, probe)
    found = logits(model, batch)
    wanted = probe.logits(reached)
    np.testing.assert_allclose(found, wanted, atol=1e-4 * np.abs(wanted).max())
    assert np.abs(found - before).max() > 0.01  # a random head answers otherwise

    model.save_pretrained(tmp_path / "adapter", save_embedding_layers=False)
    torch.manual_seed(9)
    plain = AutoModelForSequenceClassification.from_pretrained(base.folder, num_labels=3)
    again = peft.PeftModel.from_pretrained(plain, tmp_path / "adapter")
    np.testing.assert_allclose(logits(again, batch), found, atol=1e-6)


def test_a_head_that_was_trained_already_is_not_thrown_away(tiny_base):
    loaded = bases.load(bases.find(ModelConfig(name=str(tiny_base))), LABELS)
    assert not heads.can_start_from_probe(loaded.model, [name for name in loaded.new_tensors if "classifier" not in name])


def test_a_family_whose_head_is_not_known_has_no_layers(base_folder):
    loaded = bases.load(bases.find(ModelConfig(name=str(base_folder("mpnet")))), LABELS)
    assert heads.layers(loaded.model) == []
    assert not heads.can_start_from_probe(loaded.model, loaded.new_tensors)
