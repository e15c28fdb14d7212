"""Adapter folders: the same answers bit for bit, or a refusal that names every mismatch."""

import dataclasses
import errno
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import peft
import pytest
import torch
from packaging.version import Version
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification

import tiny
from adapted import LABELS, of_schema_1, saved, trained
from lorabert.config import METHODS, ModelConfig
from lorabert.engine.prediction import Classifier
from lorabert.errors import InputError, MismatchError
from lorabert.models import bases
from lorabert.shipping import adapters, manifests, tokenizer_files

TEXTS = [*tiny.reviews(12, 3)[0], "", "映画"]


@pytest.fixture(scope="module")
def original(tiny_base, tmp_path_factory) -> Path:
    """A good adapter; read, never change."""
    return saved(tmp_path_factory.mktemp("original") / "adapter", trained(tiny_base))


@pytest.fixture
def adapter(original) -> Path:
    return Path(shutil.copytree(original, "adapter"))


@pytest.fixture
def only_verified(monkeypatch):
    """Loading stops before any model is read."""

    def refuse(*_: object) -> None:
        raise AssertionError("a model was read before the folder was verified")

    monkeypatch.setattr(adapters.bases, "load", refuse)


# ---- round trips


def test_files_that_do_not_hold_what_was_trained_become_no_adapter(tiny_base, monkeypatch):
    write = adapters._write_weights

    def forget(folder: Path, classifier: Classifier, base: bases.Base) -> None:
        write(folder, classifier, base)
        file = folder / adapters.WEIGHTS
        weights = load_file(file)
        save_file({name: torch.zeros_like(tensor) for name, tensor in weights.items()}, file, {"format": "pt"})

    monkeypatch.setattr(adapters, "_write_weights", forget)
    with pytest.raises(RuntimeError, match="do not hold what was trained"):
        saved(Path("a"), trained(tiny_base))
    assert not list(Path().iterdir())


def test_what_is_said_of_an_adapter_is_said_of_a_fresh_load(tiny_base):
    made = trained(tiny_base)
    described = []

    def describe(shipped: Classifier) -> tuple[dict, str]:
        described.append(shipped)
        return {}, ""

    adapters.save(Path("a"), *made, describe)
    assert described[0].model is not made[0].model
    assert np.array_equal(described[0].logits(TEXTS), made[0].logits(TEXTS))


def round_trip(folder: Path, method: str = "lora", **lora: object) -> None:
    made = trained(folder, method, **lora)
    wanted = made[0].logits(TEXTS)
    plain = Classifier(bases.load(made[1], LABELS).model, made[0].tokenizer, LABELS, 32)
    assert not np.allclose(plain.logits(TEXTS), wanted, atol=1e-4)  # the base alone gives other answers
    place = saved(Path("a"), made)
    torch.manual_seed(99)
    classifier, manifest = adapters.load(place)
    assert np.array_equal(classifier.logits(TEXTS), wanted)
    assert manifest["fingerprint"]["largest_difference"] == 0.0
    by_peft = peft.PeftModel.from_pretrained(
        AutoModelForSequenceClassification.from_pretrained(folder, num_labels=len(LABELS)), str(place)
    )
    assert np.array_equal(Classifier(by_peft, classifier.tokenizer, LABELS, 32).logits(TEXTS), wanted)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert", "electra"])
def test_an_adapter_gives_the_same_logits_bit_for_bit_here_and_in_plain_peft(base_folder, family, method):
    round_trip(base_folder(family), method)


@pytest.mark.parametrize("family", ["albert", "deberta-v2", "mpnet", "modernbert"])
def test_lora_on_other_families_comes_back_too(base_folder, family):
    round_trip(base_folder(family))


def test_full_on_modernbert_comes_back_too(base_folder):
    round_trip(base_folder("modernbert"), "full")


@pytest.mark.parametrize(
    "lora",
    [
        {"use_rslora": True, "r": 3},
        {"use_dora": True},
        {"bias": "all"},
        {"bias": "lora_only"},
        {"target_modules": "all-linear"},
        {"modules_to_save": ["word_embeddings"]},
        {"modules_to_save": ["layer.1.output", "pooler"], "target_modules": ["query"]},
        {"init_lora_weights": "gaussian"},
        {"init_lora_weights": "orthogonal"},
        {"init_lora_weights": False},
    ],
    ids=str,
)
def test_every_kind_of_lora_comes_back(tiny_base, lora):
    if lora == {"bias": "lora_only"} and Version(peft.__version__) < Version("0.19"):
        with pytest.raises(InputError, match="would not save all that is trained"):
            round_trip(tiny_base, **lora)
    else:
        round_trip(tiny_base, **lora)


@pytest.mark.parametrize("init", ["pissa", "olora"])
def test_inits_that_change_the_base_come_back(tiny_base, init):
    round_trip(tiny_base, init_lora_weights=init)


@pytest.mark.parametrize("method", METHODS)
def test_a_newly_initialised_pooler_comes_back(base_folder, method):
    folder = base_folder("bert", with_pooler=False)
    round_trip(folder, method)
    places = adapters.manifest_of(Path("a"))["new_tensors"]
    assert set(places) == {f"{name}.{kind}" for name in ("bert.pooler.dense", "classifier") for kind in ("weight", "bias")}
    assert {place["file"] for place in places.values()} == {"adapter_model.safetensors"}


def test_a_folder_of_the_first_version_still_loads(adapter, tiny_base):
    wanted = adapters.load(adapter)[0].logits(TEXTS)
    classifier, manifest = adapters.load(of_schema_1(adapter, tiny_base))
    assert "config.json" in manifest["files"]
    assert np.array_equal(classifier.logits(TEXTS), wanted)


# ---- what a folder holds


def test_the_manifest_says_all_that_the_design_lists(original, tiny_base):
    manifest = json.loads((original / "lorabert.json").read_text(encoding="utf-8"))
    assert manifest["schema_version"] == 1
    assert manifest["base"]["name"] == str(tiny_base)
    assert manifest["base"]["sha256"] == bases.find(ModelConfig(name=str(tiny_base))).sha256
    assert manifest["labels"] == LABELS
    assert manifest["problem_type"] == "single_label_classification"
    assert (manifest["max_length"], manifest["method"], manifest["seed"]) == (32, "lora", 0)
    assert np.array(manifest["fingerprint"]["logits"]).shape == (len(manifest["fingerprint"]["texts"]), 3)
    assert set(manifest["files"]) == {path.name for path in original.iterdir()} - {"lorabert.json"}
    assert {"adapter_config.json", "adapter_model.safetensors", "README.md", "tokenizer.json"} <= set(manifest["files"])
    assert not [path for path in original.iterdir() if path.suffix in (".bin", ".pt", ".pkl")]
    assert json.loads((original / "adapter_config.json").read_text())["base_model_name_or_path"] == str(tiny_base)


def test_labels_keep_their_order_and_predict_by_name(adapter):
    classifier, manifest = adapters.load(adapter)
    assert classifier.label_names == manifest["labels"] == LABELS
    best = classifier.logits(TEXTS).argmax(1)
    assert [prediction.label for prediction in classifier.predict(TEXTS)] == [LABELS[index] for index in best]


def test_saving_again_replaces_the_older_adapter_whole(adapter, tiny_base):
    before = adapters.manifest_of(adapter)["fingerprint"]
    saved(adapter, trained(tiny_base, "head"))
    assert adapters.manifest_of(adapter)["fingerprint"] != before
    assert {path.name for path in Path().iterdir()} - {".cache"} == {"adapter"}


@pytest.mark.parametrize("name", ["stray", "README.md", "a folder"])
def test_saving_again_removes_nothing_that_somebody_else_put_there(adapter, tiny_base, name):
    before = (adapter / "lorabert.json").read_bytes()
    if name == "a folder":
        (adapter / name).mkdir()
    else:
        (adapter / name).write_text("mine", encoding="utf-8")
    with pytest.raises(InputError, match=name):
        saved(adapter, trained(tiny_base, "head"))
    assert (adapter / name).is_dir() if name == "a folder" else (adapter / name).read_text(encoding="utf-8") == "mine"
    assert (adapter / "lorabert.json").read_bytes() == before
    assert {path.name for path in Path().iterdir()} - {".cache"} == {"adapter"}


@pytest.mark.parametrize("step", ["copyfile", "write_atomically"])
def test_a_save_that_fails_leaves_the_older_adapter_whole_and_nothing_beside_it(adapter, tiny_base, step, monkeypatch):
    made = trained(tiny_base, "head")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tokenizer_files.shutil if step == "copyfile" else adapters, step, full)
    with pytest.raises(InputError, match="disk is full"):
        saved(adapter, made)
    adapters.verify(adapter)
    assert {path.name for path in Path().iterdir()} - {".cache"} == {"adapter"}


def test_predicting_changes_nothing_in_the_model_or_the_folder(adapter):
    files = {path.name: path.read_bytes() for path in adapter.iterdir()}
    classifier, _ = adapters.load(adapter)
    before = {name: tensor.clone() for name, tensor in classifier.model.state_dict().items()}
    first = classifier.logits(TEXTS)
    classifier.predict(TEXTS[:3])
    assert np.array_equal(classifier.logits(TEXTS), first)
    assert all(torch.equal(tensor, before[name]) for name, tensor in classifier.model.state_dict().items())
    assert {path.name: path.read_bytes() for path in adapter.iterdir()} == files


def test_a_classifier_that_diverged_is_refused_in_words(tiny_base):
    made = trained(tiny_base)
    with torch.no_grad():
        made[0].model.get_parameter("base_model.model.classifier.modules_to_save.default.bias").fill_(float("nan"))
    with pytest.raises(InputError):
        saved(Path("a"), made)


# ---- refusals

FILES = (
    "adapter_config.json",
    "adapter_model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "README.md",
)


def test_the_files_tested_are_all_the_files(original):
    assert {path.name for path in original.iterdir()} == {*FILES, "lorabert.json"}


@pytest.mark.parametrize("name", FILES)
def test_a_deleted_file_is_refused_by_name(adapter, only_verified, name):
    (adapter / name).unlink()
    with pytest.raises(MismatchError, match=f"{name} is missing"):
        adapters.load(adapter)


@pytest.mark.parametrize("where", [0.0, 0.3, 0.99])
@pytest.mark.parametrize("name", FILES)
def test_one_flipped_bit_is_refused_by_name(adapter, only_verified, name, where):
    content = bytearray((adapter / name).read_bytes())
    content[int(where * len(content))] ^= 1
    (adapter / name).write_bytes(content)
    with pytest.raises(MismatchError, match=f"{name} was changed"):
        adapters.load(adapter)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("change", [lambda content: content + b"\n", lambda content: content[:-1], lambda content: b""])
def test_another_size_is_refused_by_name(adapter, only_verified, name, change: Callable[[bytes], bytes]):
    (adapter / name).write_bytes(change((adapter / name).read_bytes()))
    with pytest.raises(MismatchError, match=f"{name} has .* bytes instead of"):
        adapters.load(adapter)


def test_the_manifest_is_refused_wherever_a_byte_of_it_changes(adapter):
    file = adapter / "lorabert.json"
    whole = file.read_bytes()
    adapters.manifest_of(adapter)
    let_through = []
    for place in [*range(0, len(whole), 67), *range(len(whole) - 90, len(whole))]:
        for flip in (1, 128):
            changed = bytearray(whole)
            changed[place] ^= flip
            file.write_bytes(changed)
            try:
                adapters.manifest_of(adapter)
                let_through.append((place, flip))
            except MismatchError:
                pass
    assert let_through == []


@pytest.mark.parametrize(
    "change",
    [
        lambda manifest: manifest | {"labels": sorted(manifest["labels"])},
        lambda manifest: manifest | {"max_length": 64},
        lambda manifest: manifest | {"base": manifest["base"] | {"sha256": "0" * 64}},
        lambda manifest: manifest | {"files": {}},
        lambda manifest: manifest | {"fingerprint": {"texts": [], "logits": []}},
        lambda manifest: manifest | {"schema_version": 99},
        lambda manifest: {},
        lambda manifest: [],
    ],
    ids=["labels", "max_length", "base", "files", "fingerprint", "schema", "empty", "list"],
)
def test_a_manifest_edited_by_hand_is_refused(adapter, only_verified, change):
    file = adapter / "lorabert.json"
    file.write_text(json.dumps(change(json.loads(file.read_text(encoding="utf-8"))), indent=2), encoding="utf-8")
    with pytest.raises(MismatchError, match=r"lorabert\.json was changed"):
        adapters.load(adapter)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"null"])
def test_a_manifest_that_is_no_json_is_refused(adapter, content):
    (adapter / "lorabert.json").write_bytes(content)
    with pytest.raises(MismatchError):
        adapters.load(adapter)


def test_a_manifest_of_a_newer_version_says_so(adapter):
    manifest = adapters.manifest_of(adapter) | {"schema_version": 99}
    (adapter / "lorabert.json").write_bytes(manifests.sealed(manifest))
    with pytest.raises(InputError, match="newer lorabert"):
        adapters.load(adapter)


def test_a_folder_that_is_no_adapter_is_refused(adapter, tiny_base):
    (adapter / "lorabert.json").unlink()  # written last: without it, none
    for folder in (adapter, tiny_base, Path("nowhere"), Path()):
        with pytest.raises(InputError, match="is not an adapter"):
            adapters.load(folder)


def test_another_base_is_refused_and_a_copy_of_the_right_one_is_taken(adapter, base_folder, only_verified, tiny_base):
    other = tiny.build_base("other", seed=1)
    with pytest.raises(MismatchError, match=r"belongs to the base.*other"):
        adapters.load(adapter, str(other))
    shutil.copytree(tiny_base, "moved")
    assert adapters.verify(adapter, "moved")[1].name == "moved"


def test_a_base_that_is_gone_is_refused_by_name(tiny_base):
    shutil.copytree(tiny_base, "base")
    place = saved(Path("a"), trained(Path("base")))
    adapters.verify(place)
    shutil.rmtree("base")
    with pytest.raises(InputError, match="'base'"):
        adapters.load(place)


def test_every_mismatch_is_in_one_message(adapter, only_verified):
    (adapter / "README.md").unlink()
    (adapter / "tokenizer.json").write_text("{}", encoding="utf-8")
    weights = bytearray((adapter / "adapter_model.safetensors").read_bytes())
    weights[-1] ^= 1
    (adapter / "adapter_model.safetensors").write_bytes(weights)
    with pytest.raises(MismatchError) as refused:
        adapters.load(adapter, str(tiny.build_base("other", seed=1)))
    for part in (
        "README.md is missing",
        "tokenizer.json has 2 bytes",
        "adapter_model.safetensors was changed",
        "belongs to the base",
    ):
        assert part in str(refused.value)
    assert len(refused.value.problems) == 4
    with pytest.raises(MismatchError, match=r"README\.md is missing.*no base"):
        adapters.load(adapter, "../nowhere/at/all")


def test_a_base_whose_configuration_was_changed_is_refused_and_by_an_older_manifest_caught_by_its_answers(adapter, tiny_base):
    shutil.copytree(tiny_base, "base")
    assert adapters.load(adapter, "base")[1]["fingerprint"]["largest_difference"] == 0.0
    file = Path("base/config.json")
    settings = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps(settings | {"hidden_act": "relu"}), encoding="utf-8")
    with pytest.raises(MismatchError, match=r"config\.json of the base 'base' is not the one it was trained with"):
        adapters.load(adapter, "base")
    manifest = adapters.manifest_of(adapter)
    del manifest["base"]["settings"]
    (adapter / "lorabert.json").write_bytes(manifests.sealed(manifest))
    with pytest.raises(MismatchError, match="logits differ from the recorded ones"):
        adapters.load(adapter, "base")


def test_a_tokenizer_of_the_base_that_was_changed_is_refused_and_one_that_is_missing_is_not_needed(adapter, tiny_base):
    shutil.copytree(tiny_base, "base")
    (Path("base") / "tokenizer.json").unlink()
    adapters.verify(adapter, "base")
    (Path("base") / "tokenizer.json").write_text("{}", encoding="utf-8")
    with pytest.raises(MismatchError, match=r"tokenizer\.json of the base 'base' is not the one"):
        adapters.verify(adapter, "base")


def test_loading_does_not_depend_on_the_random_state(adapter):
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        found.append(adapters.load(adapter)[0].logits(TEXTS))
    assert np.array_equal(*found)


def test_a_tensor_that_was_not_saved_is_a_bug_and_leaves_no_folder(tiny_base):
    classifier, base, loaded = trained(tiny_base)
    with pytest.raises(RuntimeError, match="were not saved"):
        saved(Path("a"), (classifier, base, dataclasses.replace(loaded, new_tensors=[*loaded.new_tensors, "bert.lost"])))
    assert not Path("a").exists()
