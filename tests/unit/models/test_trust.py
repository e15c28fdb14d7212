"""A base from anybody: read from its own folder, never run, and never larger than its weights."""

import json
import os
import shutil
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import transformers

from lorabert.config import ModelConfig
from lorabert.errors import InputError
from lorabert.models import bases

CODE = "from pathlib import Path\nPath('ran').touch()\n\n\nclass Evil:\n    pass\n"
ADDED = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}


@pytest.fixture
def base(tiny_base) -> Path:
    return Path(shutil.copytree(tiny_base, "base"))


def changed(file: Path, change: Callable[[dict[str, Any]], object]) -> None:
    document = json.loads(file.read_text(encoding="utf-8"))
    change(document)
    file.write_text(json.dumps(document), encoding="utf-8")


def opened(folder: Path) -> None:
    """Everything that training does with a base before it begins."""
    base = bases.find(ModelConfig(name=str(folder)))
    model = bases.load(base, ["neg", "pos"]).model
    bases.check_fit(bases.load_tokenizer(base.folder), model, 32, pairs=True)


def refused(folder: Path, message: str) -> None:
    begun = time.monotonic()
    with pytest.raises(InputError, match=message):
        opened(folder)
    assert time.monotonic() - begun < 30


def test_the_base_of_these_tests_is_taken(base):
    opened(base)


# ---- code


@pytest.mark.parametrize("model_type", ["bert", "evil"])
def test_code_beside_a_base_is_never_run_and_nobody_is_asked(base, monkeypatch, model_type):
    (base / "evil.py").write_text(CODE, encoding="utf-8")
    names = {"AutoConfig": "evil.Evil", "AutoModelForSequenceClassification": "evil.Evil", "AutoTokenizer": ["evil.Evil"] * 2}
    changed(base / "config.json", lambda config: config.update(auto_map=names, model_type=model_type))
    changed(base / "tokenizer_config.json", lambda config: config.update(auto_map=names, tokenizer_class="EvilTokenizer"))
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("a question was asked"))
    if model_type == "bert":  # Transformers has code of its own for it; version 4 refuses such a tokenizer all the same
        with nullcontext() if transformers.__version__ >= "5" else pytest.raises(InputError, match="custom code"):
            opened(base)
    else:
        refused(base, "cannot classify texts")
    assert not Path("ran").exists()


@pytest.mark.parametrize(
    "settings",
    [
        {"attn_implementation": "kernels-community/flash-attn"},
        {"_attn_implementation": "someone/kernel"},
        {"_attn_implementation": {"": "someone/kernel"}},
        {"quantization_config": {"quant_method": "bitsandbytes"}},
        {"transformers_weights": "../../elsewhere.safetensors"},
        {"tokenizer_class": "AutoModel"},
        {"model_type": ["bert"]},
    ],
    ids=str,
)
def test_settings_that_lead_elsewhere_are_refused_by_name(base, settings):
    changed(base / "config.json", lambda config: config.update(settings))
    refused(base, next(iter(settings)))


def test_a_tokenizer_that_is_none_is_refused(base):
    for name in ("AutoModel", "pipeline", 5, "RagTokenizer"):
        changed(base / "tokenizer_config.json", lambda config, name=name: config.update(tokenizer_class=name))
        refused(base, "no usable tokenizer")


def test_a_folder_that_holds_an_adapter_is_no_base(base):
    (base / "adapter_config.json").write_text('{"base_model_name_or_path": "someone/else"}', encoding="utf-8")
    refused(base, "not a base.*adapter")


# ---- files


def no_file(path: Path, kind: str) -> None:
    path.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(
            {"loop": path.name, "device": "/dev/zero", "elsewhere": "/etc/hostname", "nowhere": "no_such_place"}[kind]
        )


@pytest.mark.skipif(os.name == "nt", reason="no pipes, and links need a right")
@pytest.mark.parametrize("kind", ["pipe", "folder", "loop", "device", "elsewhere", "nowhere"])
@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json", "vocab.txt", "chat_template.jinja"])
def test_what_is_no_file_of_the_folder_is_never_opened(base, name, kind):
    no_file(base / name, kind)
    if (name, kind) == ("chat_template.jinja", "folder"):
        opened(base)  # a folder that nobody reads
    else:
        refused(base, rf"{name.split('.')[0]}|not a base")


@pytest.mark.skipif(os.name == "nt", reason="links need a right")
def test_links_inside_the_folder_and_those_of_the_hubs_cache_are_followed(base):
    (base / "model.safetensors").rename(base / "first.bin")
    (base / "model.safetensors").symlink_to("first.bin")
    opened(base)
    cache = Path("models--someone--base")
    (cache / "blobs").mkdir(parents=True)
    snapshot = cache / "snapshots" / "0123"
    snapshot.mkdir(parents=True)
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "first.bin"):
        shutil.copy(base / name, cache / "blobs" / name)
        (snapshot / name.replace("first.bin", "model.safetensors")).symlink_to(f"../../blobs/{name}")
    opened(snapshot)
    (cache / "blobs" / "first.bin").unlink()
    (cache / "blobs" / "first.bin").symlink_to("/dev/zero")
    refused(snapshot, "model.safetensors.*device")


@pytest.mark.parametrize("place", ["../base/model.safetensors", "/etc/hostname", "pytorch_model.bin", 3, "gone.safetensors"])
def test_an_index_names_weights_of_its_folder_only(base, place):
    shutil.copytree(base, "other")
    (base / "model.safetensors").rename(base / "model-1.safetensors")
    index = {"metadata": {}, "weight_map": {"embeddings.LayerNorm.weight": place}}
    (base / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    refused(base, r"model\.safetensors\.index\.json")


# ---- claims


@pytest.mark.parametrize(
    "claim",
    [
        {"num_hidden_layers": 1_000_000},
        {"num_hidden_layers": 1000},
        {"num_hidden_layers": 0},
        {"num_hidden_layers": -1},
        {"num_hidden_layers": float("inf")},
        {"hidden_size": 1_000_000, "num_attention_heads": 1},
        {"vocab_size": 10**9},
        {"vocab_size": 130_000, "hidden_size": 130_000},
        {"max_position_embeddings": 10**12},
        {"type_vocab_size": 10**9},
        {"hidden_size": "32"},
        {"hidden_size": [32]},
        {"num_attention_heads": 0},
        {"hidden_act": "os.system"},
    ],
    ids=str,
)
def test_a_claim_beyond_the_weights_is_refused_before_anything_is_built(base, claim):
    changed(base / "config.json", lambda config: config.update(claim))
    refused(base, r"do not fit its config\.json|cannot classify texts|cannot be read")


@pytest.mark.parametrize("content", ["[" * 100_000, '{"a":' * 100_000, "[]", "3", "", "{", '{"vocab_size": ' + "9" * 5000 + "}"])
def test_a_configuration_that_is_no_object_is_refused(base, content):
    (base / "config.json").write_text(content, encoding="utf-8")
    refused(base, r"config\.json")


@pytest.mark.parametrize("damage", [lambda content: content[:-7], lambda content: b"\xff" * 8 + content[8:], lambda content: b"",
                                    lambda content: content[:8] + b"}" + content[9:]])  # fmt: skip
def test_damaged_weights_are_refused(base, damage):
    file = base / "model.safetensors"
    file.write_bytes(damage(file.read_bytes()))
    refused(base, "is damaged")


# ---- tokenizers


def replaced(pattern: dict[str, str], content: str) -> dict[str, Any]:
    return {"type": "Replace", "pattern": pattern, "content": content}


@pytest.mark.parametrize(
    "normalizer",
    [
        replaced({"Regex": "((.+)+)+!"}, "x"),
        replaced({"Regex": "(a+)+!"}, "x"),
        replaced({"Regex": "(?:a|aa)*" * 300}, "x"),
        {"type": "Sequence", "normalizers": [replaced({"String": "a"}, "a" * 8)] * 9},
        {"type": "Prepend", "prepend": "a" * 1_000_000},
    ],
    ids=["nested", "nested once", "long", "growing", "prepended"],
)
def test_a_tokenizer_in_which_texts_grow_without_measure_is_refused(base, normalizer):
    changed(base / "tokenizer.json", lambda tokenizer: tokenizer.update(normalizer=normalizer))
    refused(base, "would take any time or memory")


def test_plain_normalizers_and_patterns_are_taken(base):
    usual = [replaced({"Regex": " {2,}"}, " "), {"type": "Prepend", "prepend": "a"}, {"type": "BertNormalizer", "lowercase": True,
             "clean_text": True, "handle_chinese_chars": True, "strip_accents": None}]  # fmt: skip
    split = r"(?i:'s|'t|'re|'ve)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    steps = {"type": "Split", "pattern": {"Regex": split}, "behavior": "Isolated", "invert": False}
    changed(base / "tokenizer.json", lambda found: found.update(normalizer={"type": "Sequence", "normalizers": usual},
                                                               pre_tokenizer=steps))  # fmt: skip
    opened(base)


@pytest.mark.parametrize(
    "change",
    [
        lambda found: found["post_processor"]["special_tokens"]["[CLS]"].update(ids=[99_999]),
        lambda found: found["post_processor"]["pair"][0]["SpecialToken"].update(type_id=7),
        lambda found: found["added_tokens"].append({"id": 5000, "content": "zz", **ADDED}),
        lambda found: found["model"]["vocab"].update(word=77_777),
        lambda found: found["model"].update(type="Nothing"),
        lambda found: found.clear(),
        lambda found: found.update(pre_tokenizer=7),
    ],
)
def test_a_tokenizer_whose_ids_the_base_has_not_or_that_is_damaged_is_refused(base, change):
    changed(base / "tokenizer.json", change)
    refused(base, "tokenizer")
