"""What of a base a classifier would leave out: refused where it changes the base's states, else named."""

import json
import shutil
from pathlib import Path

import pytest
import torch
import transformers
from packaging.version import Version
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoModelForMaskedLM, AutoModelForTokenClassification

import tiny
from lorabert.config import ModelConfig
from lorabert.errors import InputError
from lorabert.models import bases

V5 = Version(transformers.__version__).major >= 5


def changed(folder: Path, tensors: dict[str, torch.Tensor] | None = None, **settings: object) -> bases.LoadedBase:
    """A copy of a base with more tensors and settings, loaded."""
    copy = Path(shutil.copytree(folder, "base"))
    file = copy / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text(encoding="utf-8")) | settings), encoding="utf-8")
    if tensors:
        weights = load_file(copy / "model.safetensors") | tensors
        save_file(weights, copy / "model.safetensors", {"format": "pt"})
    return bases.load(bases.find(ModelConfig(name=str(copy))), ["neg", "pos"])


@pytest.mark.parametrize("kind", [AutoModel, AutoModelForMaskedLM, AutoModelForTokenClassification])
@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_what_every_base_brings_along_is_no_matter(family, kind, base_folder):
    """Heads of pretraining, poolers that a family's classifier does without, heads of another size."""
    known = tiny.FAMILIES[family]
    config = transformers.AutoConfig.for_model(family, vocab_size=300, **known.special.ids(), **known.config)
    kind.from_config(config).save_pretrained("model")
    for file in bases.tokenizer_files(base_folder(family)):
        shutil.copy(file, "model")
    loaded = bases.load(bases.find(ModelConfig(name="model")), ["neg", "pos", "so-so"])
    assert loaded.unread_settings == []
    expected = ["classifier.bias", "classifier.weight"]  # of a token classifier, where ours has layers by other names
    assert loaded.unused_tensors in ([], expected if kind is AutoModelForTokenClassification else [])


@pytest.mark.parametrize("prefix", ["", "bert."])
@pytest.mark.parametrize(
    "name",
    [
        "encoder.layer.2.output.dense.weight",
        "encoder.layer.0.attention.self.distance_embedding.weight",
        "encoder.layer.1.crossattention.self.query.weight",
        "embeddings.line_embeddings.weight",
    ],
)
def test_a_weight_of_the_encoder_without_a_place_is_refused(tiny_base, prefix, name):
    if prefix:  # as a checkpoint of a whole model names them
        copy = Path(shutil.copytree(tiny_base, "whole"))
        weights = {f"{prefix}{key}": tensor for key, tensor in load_file(copy / "model.safetensors").items()}
        save_file(weights, copy / "model.safetensors", {"format": "pt"})
        tiny_base = copy
    with pytest.raises(InputError, match=r"A part of the base .* would be thrown away.*1 tensors"):
        changed(tiny_base, {prefix + name: torch.zeros(32, 32)})


def test_a_weight_beside_the_encoder_is_named(tiny_base):
    assert changed(tiny_base, {"sentiment_probe.weight": torch.zeros(3, 32)}).unused_tensors == ["sentiment_probe.weight"]


@pytest.mark.parametrize("buffer", ["embeddings.position_ids", "embeddings.token_type_ids"])
def test_buffers_of_older_checkpoints_are_no_matter(tiny_base, buffer):
    assert changed(tiny_base, {buffer: torch.arange(64)[None]}).unused_tensors == []


@pytest.mark.skipif(not V5, reason="transformers 4 knows relative positions")
@pytest.mark.parametrize("kind", ["relative_key", "relative_key_query", "rotary"])
@pytest.mark.parametrize("family", ["bert", "roberta", "electra", "albert"])
def test_positions_that_are_not_computed_are_refused(base_folder, family, kind):
    with pytest.raises(InputError, match=f"position_embedding_type: {kind}.*absolute positions"):
        changed(base_folder(family), position_embedding_type=kind)


@pytest.mark.parametrize("key", ["is_decoder", "add_cross_attention"])
def test_a_decoder_is_refused(tiny_base, key):
    with pytest.raises(InputError, match=f"{key}: True.*both directions"):
        changed(tiny_base, **{key: True})


def test_a_setting_that_nobody_reads_is_named(tiny_base):
    loaded = changed(tiny_base, rotary_percentage=0.25, gradient_checkpointing=False, position_embedding_type="absolute",
                     pruned_heads={}, finetuning_task="mnli", torch_dtype="float32", num_beams=4)  # fmt: skip
    assert loaded.unread_settings == ["rotary_percentage"]


def test_the_settings_of_published_modernberts_are_read(base_folder):
    published = {"global_rope_theta": 160000.0, "local_rope_theta": 10000.0, "global_attn_every_n_layers": 3,
                 "classifier_pooling": "mean", "position_embedding_type": "absolute"}  # fmt: skip
    assert changed(base_folder("modernbert"), **published).unread_settings == []


@pytest.mark.parametrize(
    "settings",
    [
        {"return_dict": False},
        {"output_hidden_states": True},
        {"output_attentions": True},
        {"chunk_size_feed_forward": 3},
        {"torchscript": True},
        {"use_cache": True},
        {"num_labels": 5},
        {"problem_type": "regression"},
    ],
    ids=str,
)
@pytest.mark.parametrize("family", ["bert", "mpnet", "modernbert", "distilbert"])
def test_how_answers_are_handed_over_is_ours_to_say(base_folder, family, settings):
    ids = torch.tensor([[5, 6, 7, 8, 9]])
    torch.manual_seed(0)
    plain = bases.load(bases.find(ModelConfig(name=str(base_folder(family)))), ["neg", "pos"]).model.eval()
    torch.manual_seed(0)
    model = changed(base_folder(family), **settings).model.eval()
    with torch.inference_mode():
        answers = model(input_ids=ids, labels=torch.tensor([1]))
        expected = plain(input_ids=ids, labels=torch.tensor([1]))
    assert torch.allclose(answers.logits, expected.logits, atol=1e-6)
    assert torch.allclose(answers.loss, expected.loss, atol=1e-6)
    assert answers.hidden_states is answers.attentions is None
