"""A first token that starts by looking evenly does so in plain Transformers and PEFT, from what PEFT saved."""

import numpy as np
import peft
import pytest
import torch
from transformers import AutoModelForSequenceClassification

from lorabert.config import LoraConfig, ModelConfig
from lorabert.models import attention, bases, methods

LABELS = ["a", "b"]
LORAS = {
    "query and value": LoraConfig(target_modules="auto"),
    "all linear layers": LoraConfig(target_modules="all-linear", use_rslora=True),
    "DoRA": LoraConfig(target_modules="all-linear", use_dora=True),
}


def of(base_folder, family, method="lora", lora=None):
    base = bases.find(ModelConfig(name=str(base_folder(family))))
    torch.manual_seed(0)
    model = methods.apply(bases.load(base, LABELS), method, lora or LoraConfig(target_modules="all-linear"))
    texts = ["a film", "a great film about a cast", "awful script", "the story was boring but the cast was great"] * 5
    return base, model, bases.load_tokenizer(base.folder)(texts, padding=True, return_tensors="pt")


def queries(model, batch):
    """What the last layer is given for the first tokens, and its queries of them, in the model's own forward."""
    seen = {}
    _, query = attention.last_layer(model)
    hook = query.register_forward_hook(lambda _, args, output: seen.update(x=args[0][:, 0], q=output[:, 0]))
    with torch.inference_mode():
        logits = model.eval()(**batch).logits.numpy()
    hook.remove()
    return seen["x"].numpy(), seen["q"].norm(dim=1).mean().item(), logits


@pytest.mark.parametrize("family", ["bert", "roberta", "camembert", "distilbert", "electra"])
@pytest.mark.parametrize("lora", LORAS)
def test_a_lora_takes_the_first_tokens_query_away(base_folder, tmp_path, family, lora):
    base, model, batch = of(base_folder, family, lora=LORAS[lora])
    assert attention.can_attend_evenly(model)
    entering, before, _ = queries(model, batch)
    attention.attend_evenly(model, entering)
    _, after, answers = queries(model, batch)
    assert after < 0.2 * before

    model.save_pretrained(tmp_path / "adapter", save_embedding_layers=False)
    torch.manual_seed(9)
    plain = AutoModelForSequenceClassification.from_pretrained(base.folder, num_labels=2)
    again = peft.PeftModel.from_pretrained(plain, tmp_path / "adapter")
    np.testing.assert_allclose(queries(again, batch)[2], answers, atol=1e-5)
    assert not attention.can_attend_evenly(again)  # what was trained is not thrown away


@pytest.mark.parametrize("method", ["full", "bitfit"])
def test_a_trained_bias_takes_the_first_tokens_query_away(base_folder, method):
    _, model, batch = of(base_folder, "bert", method)
    entering, before, _ = queries(model, batch)
    attention.attend_evenly(model, entering)
    assert queries(model, batch)[1] < 0.2 * before


@pytest.mark.parametrize(
    ("family", "method", "lora"),
    [
        ("bert", "head", None),
        ("bert", "lora", LoraConfig(target_modules="value")),
        ("bert", "lora", LoraConfig(target_modules="all-linear", init_lora_weights="pissa")),
        ("albert", "lora", None),
        ("mpnet", "lora", LoraConfig(target_modules="auto")),
    ],
)
def test_what_is_not_trained_is_left_as_it_is(base_folder, family, method, lora):
    assert not attention.can_attend_evenly(of(base_folder, family, method, lora)[1])
