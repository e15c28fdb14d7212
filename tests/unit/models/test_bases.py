"""The base: found, identified by its weights, and what its checkpoint lacks told."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest
import torch

import tiny
from lorabert.config import ModelConfig
from lorabert.data import assets
from lorabert.data.assets import Asset, Wheel
from lorabert.errors import InputError
from lorabert.models import bases

LABELS = ["neg", "pos", "so-so"]


def copied(folder: Path) -> Path:
    return Path(shutil.copytree(folder, "base"))


def configured(folder: Path, **changes: object) -> Path:
    """Change a base's config.json; None removes a key."""
    file = folder / "config.json"
    settings = json.loads(file.read_text(encoding="utf-8")) | changes
    file.write_text(json.dumps({key: value for key, value in settings.items() if value is not None}), encoding="utf-8")
    return folder


def found(folder: Path) -> bases.Base:
    return bases.find(ModelConfig(name=str(folder)))


def loaded(folder: Path) -> bases.LoadedBase:
    return bases.load(found(folder), LABELS)


# ---- found and identified


def test_a_folder_is_a_base_known_by_the_hash_of_its_weights(tiny_base):
    base = found(tiny_base)
    assert (base.name, base.folder, base.revision) == (str(tiny_base), tiny_base, None)
    assert base.sha256 == hashlib.sha256((tiny_base / "model.safetensors").read_bytes()).hexdigest()


def test_a_base_in_several_files_is_known_by_all_of_them(tiny_base):
    folder = copied(tiny_base)
    (folder / "second.safetensors").write_bytes(b"a")
    first = found(folder).sha256
    (folder / "second.safetensors").write_bytes(b"b")
    assert found(folder).sha256 != first
    (folder / "second.safetensors").rename(folder / "third.safetensors")
    assert found(folder).sha256 != first


def test_an_asset_is_found_by_name_with_its_wheels_version(tiny_base, monkeypatch):
    asset = Asset("tiny", "model", Wheel("tiny", "1.0", "0"), "pkg/model/", "", "", "")
    monkeypatch.setitem(assets.ASSETS, "tiny", asset)
    monkeypatch.setattr(assets, "fetch", lambda name: Path("unpacked"))
    shutil.copytree(tiny_base, "unpacked/pkg/model")
    base = bases.find(ModelConfig(name="tiny"))
    assert base.revision == "tiny 1.0"
    assert base.sha256 == found(tiny_base).sha256


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors"])
def test_a_folder_without_configuration_or_weights_is_refused(tiny_base, missing):
    folder = copied(tiny_base)
    (folder / missing).unlink()
    with pytest.raises(InputError, match=r"not a base.*no (config\.json|\*\.safetensors)"):
        found(folder)


def test_pickled_weights_are_never_opened(tiny_base):
    folder = copied(tiny_base)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(InputError, match="never opened"):
        found(folder)


def test_a_base_that_is_neither_asset_nor_folder_nor_cached_is_refused_with_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    with pytest.raises(InputError, match=r"not in the cache and HF_HUB_OFFLINE is set.*HF_ENDPOINT"):
        bases.find(ModelConfig(name="nobody/nothing"))


@pytest.mark.parametrize("name", ["a b", "../nowhere/at/all", "C:\\models\\bert"])
def test_a_name_that_no_hub_takes_is_refused(name):
    with pytest.raises(InputError, match="no base"):
        bases.find(ModelConfig(name=name))


def test_a_data_set_is_no_base():
    with pytest.raises(InputError, match=r"data set, not a model.*--data\.name"):
        bases.find(ModelConfig(name="rotten-tomatoes"))


# ---- loaded

HEADS = {
    "bert": ["classifier.bias", "classifier.weight"],
    "albert": ["classifier.bias", "classifier.weight"],
    "distilbert": ["classifier.bias", "classifier.weight", "pre_classifier.bias", "pre_classifier.weight"],
    "deberta-v2": ["classifier.bias", "classifier.weight", "pooler.dense.bias", "pooler.dense.weight"],
    "modernbert": ["classifier.bias", "classifier.weight", "head.dense.weight", "head.norm.weight"],
}
DENSE = ["classifier.dense.bias", "classifier.dense.weight", "classifier.out_proj.bias", "classifier.out_proj.weight"]


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_what_the_checkpoint_lacks_is_told_and_the_rest_is_the_checkpoint(base_folder, family):
    from safetensors.torch import load_file

    base = loaded(base_folder(family))
    assert base.new_tensors == HEADS.get(family, DENSE)
    assert base.model.config.id2label == dict(enumerate(LABELS))
    assert base.model.config.problem_type == "single_label_classification"
    weights = load_file(base_folder(family) / "model.safetensors")
    state = base.model.state_dict()
    prefix = base.model.base_model_prefix
    known = {name: tensor for name, tensor in weights.items() if f"{prefix}.{name}" in state}
    assert len(known) > 10
    assert all(torch.equal(state[f"{prefix}.{name}"], tensor) for name, tensor in known.items())


def test_a_pooler_that_the_checkpoint_lacks_is_told(base_folder):
    assert loaded(base_folder("bert", with_pooler=False)).new_tensors == [
        "bert.pooler.dense.bias", "bert.pooler.dense.weight", *HEADS["bert"],
    ]  # fmt: skip


def test_a_head_of_other_size_is_new_and_one_of_the_right_size_is_kept(base_folder):
    base = found(base_folder("bert", head=True))
    assert bases.load(base, LABELS).new_tensors == HEADS["bert"]
    assert bases.load(base, LABELS[:2]).new_tensors == []


def test_new_tensors_follow_the_random_state(tiny_base):
    def head(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return loaded(tiny_base).model.classifier.weight

    assert torch.equal(head(1), head(1))
    assert not torch.equal(head(1), head(2))


def test_half_precision_checkpoints_are_computed_in_fp32(tiny_base):
    from safetensors.torch import load_file, save_file

    folder = configured(copied(tiny_base), dtype="bfloat16")
    weights = load_file(folder / "model.safetensors")
    save_file({name: tensor.bfloat16() for name, tensor in weights.items()}, folder / "model.safetensors", {"format": "pt"})
    assert {parameter.dtype for parameter in loaded(folder).model.parameters()} == {torch.float32}


@pytest.mark.parametrize("kind", ["frobnicator", "vit", None])
def test_an_architecture_that_cannot_classify_texts_is_refused(tiny_base, kind):
    folder = configured(copied(tiny_base), model_type=kind, architectures=None)
    with pytest.raises(InputError, match=r"cannot classify texts.*BERT"):
        loaded(folder)


@pytest.mark.parametrize("damage", ["weights cut", "weights of another name", "configuration cut"])
def test_a_damaged_base_is_refused(tiny_base, damage):
    folder = copied(tiny_base)
    weights = folder / "model.safetensors"
    if damage == "weights cut":
        weights.write_bytes(weights.read_bytes()[:-100])
    elif damage == "configuration cut":
        (folder / "config.json").write_text("{", encoding="utf-8")
    else:
        weights.rename(folder / "other.safetensors")
    with pytest.raises(InputError):
        loaded(folder)


def test_an_encoder_whose_weights_do_not_fit_its_configuration_is_refused(tiny_base):
    with pytest.raises(InputError):
        loaded(configured(copied(tiny_base), hidden_size=64))


# ---- tokenizer


@pytest.mark.parametrize("file", ["tokenizer.json", "tokenizer_config.json"])
def test_a_broken_tokenizer_is_refused(tiny_base, file):
    folder = copied(tiny_base)
    (folder / file).write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match="no usable tokenizer"):
        bases.load_tokenizer(folder)


def test_a_base_without_a_tokenizer_is_refused(tiny_base):
    folder = copied(tiny_base)
    for file in ("tokenizer.json", "tokenizer_config.json"):
        (folder / file).unlink()
    with pytest.raises(InputError, match="tokenizer"):
        bases.load_tokenizer(folder)


def test_tokenizer_files_are_all_that_make_the_tokenizer(tiny_base):
    files = bases.tokenizer_files(tiny_base)
    assert {file.name for file in files} == {"tokenizer.json", "tokenizer_config.json"}
    for file in files:
        shutil.copy(file, file.name)
    shutil.copy(tiny_base / "config.json", "config.json")
    text = "a wonderful film"
    assert bases.load_tokenizer(Path())(text)["input_ids"] == bases.load_tokenizer(tiny_base)(text)["input_ids"]


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_the_longest_input_that_is_let_through_can_be_read_and_one_more_is_refused(base_folder, family):
    model = loaded(base_folder(family)).model.eval()
    tokenizer = bases.load_tokenizer(base_folder(family))
    longest = tiny.FAMILIES[family].max_length
    bases.check_fit(tokenizer, model, longest, pairs=True)
    ids = torch.full((1, longest), 7)
    assert model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits.isfinite().all()
    with pytest.raises(InputError, match=f"Got {longest + 1}.*at most {longest}"):
        bases.check_fit(tokenizer, model, longest + 1, pairs=True)


def test_the_tokenizer_of_a_larger_vocabulary_is_refused(tiny_base):
    other = tiny.build_base("other", vocab_words=[*tiny.WORDS, "onemore"])
    with pytest.raises(InputError, match="not the one that the base was trained with"):
        bases.check_fit(bases.load_tokenizer(other), loaded(tiny_base).model, 16, pairs=False)


def test_a_base_without_a_longest_input_is_let_through(tiny_base):
    from types import SimpleNamespace

    settings = SimpleNamespace(vocab_size=10**6, model_type="t5", pad_token_id=0)  # T5Config has none
    model = SimpleNamespace(config=settings, named_modules=dict)
    bases.check_fit(bases.load_tokenizer(tiny_base), model, 64, pairs=False)


@pytest.mark.parametrize(("family", "own"), [("bert", "[PAD]"), ("roberta", "<pad>")])
def test_a_base_without_a_padding_token_is_advised_one_of_its_own(base_folder, tmp_path, family, own):
    folder = shutil.copytree(base_folder(family), tmp_path / "base")
    file = folder / "tokenizer_config.json"
    file.write_text(json.dumps({key: value for key, value in json.loads(file.read_text()).items() if key != "pad_token"}))
    with pytest.raises(InputError) as refused:
        bases.check_fit(bases.load_tokenizer(folder), loaded(base_folder(family)).model, 16, pairs=False)
    assert f'"pad_token": "{own}"' in str(refused.value)


def test_a_vocabulary_without_any_padding_offers_what_it_has(base_folder, tmp_path):
    folder = shutil.copytree(base_folder("roberta"), tmp_path / "base")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        text = (folder / name).read_text().replace('"pad_token": "<pad>",', "").replace('"<pad>"', '"<filler>"')
        (folder / name).write_text(text)
    with pytest.raises(InputError, match='"pad_token": "</s>"'):
        bases.check_fit(bases.load_tokenizer(folder), loaded(base_folder("roberta")).model, 16, pairs=False)
