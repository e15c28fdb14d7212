"""An adapter whose hashes all fit and whose claims do not: refused by name, before anything of that size is built."""

import json
import math
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file, save_file

from adapted import saved, trained
from lorabert.errors import InputError
from lorabert.shipping import adapters, manifests

REPEATED = "((.+)+)+!"


@pytest.fixture(scope="module")
def original(tiny_base, tmp_path_factory) -> Path:
    """A good adapter; read, never change."""
    return saved(tmp_path_factory.mktemp("original") / "adapter", trained(tiny_base, labels=["no", "yes"]))


@pytest.fixture
def adapter(original) -> Path:
    return Path(shutil.copytree(original, "adapter"))


def resealed(folder: Path, change: Callable[[dict[str, Any]], object] = lambda _: None) -> None:
    """Make a manifest that fits what lies there, as an attacker would."""
    manifest = json.loads((folder / "lorabert.json").read_bytes())
    (folder / "lorabert.json").unlink()
    manifest["files"] = manifests.file_entries(folder)
    change(manifest)
    (folder / "lorabert.json").write_bytes(manifests.sealed(manifest))


def with_settings(folder: Path, **settings: object) -> None:
    file = folder / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_bytes()) | settings), encoding="utf-8")
    resealed(folder)


def refused(folder: Path, message: str) -> None:
    begun = time.monotonic()
    with pytest.raises(InputError, match=message):
        adapters.load(folder)
    assert time.monotonic() - begun < 30


def test_an_adapter_that_was_sealed_again_unchanged_is_taken(adapter):
    resealed(adapter)
    adapters.load(adapter)


# ---- adapter_config.json


@pytest.mark.parametrize(
    "setting",
    [
        {"target_modules": REPEATED},
        {"target_modules": [REPEATED]},
        {"target_modules": "all-linear"},
        {"target_modules": ["query", "key"]},
        {"target_modules": ["query"]},
        {"target_modules": []},
        {"exclude_modules": REPEATED},
        {"exclude_modules": ["query"]},
        {"rank_pattern": {REPEATED: 4}},
        {"alpha_pattern": {REPEATED: 4}},
        {"layers_to_transform": [0]},
        {"layers_pattern": REPEATED},
        {"layer_replication": [[0, 2]] * 50},
        {"r": 2_000_000},
        {"r": 9},
        {"r": 0},
        {"r": "8"},
        {"r": True},
        {"lora_alpha": math.inf},
        {"lora_alpha": None},
        {"lora_alpha": -1},
        {"lora_dropout": 7},
        {"modules_to_save": [REPEATED]},
        {"modules_to_save": ["classifier", "r"]},
        {"modules_to_save": []},
        {"modules_to_save": ["classifier", "bert"]},
        {"auto_mapping": {"base_model_class": "Evil", "parent_library": "evil"}},
        {"megatron_config": {}, "megatron_core": "evil"},
        {"peft_type": "PROMPT_TUNING"},
        {"peft_type": ["LORA"]},
        {"task_type": None},
        {"task_type": "CAUSAL_LM"},
        {"eva_config": {"rho": 2}},
        {"corda_config": {"cache_file": "/etc/passwd"}},
        {"loftq_config": {"loftq_bits": 4}},
        {"init_lora_weights": "eva"},
        {"init_lora_weights": "pissa_niter_1000000000"},
        {"trainable_token_indices": [0]},
        {"target_parameters": [REPEATED]},
        {"lora_bias": True},
        {"use_qalora": True},
        {"arrow_config": {"arrow_top_k": 3}},
        {"bias": "some"},
        {"fan_in_fan_out": True},
        {"base_model_name_or_path": 7},
        {"something_new": "on"},
    ],
    ids=lambda setting: json.dumps(setting)[:60],
)
def test_a_setting_that_no_adapter_of_ours_has_is_refused_by_name(adapter, setting):
    with_settings(adapter, **setting)
    refused(
        adapter,
        rf"in adapter_config\.json {next(reversed(setting))}|adapter_config\.json names|adapter_config\.json does not|r is 9",
    )


def test_a_setting_of_a_later_peft_that_is_off_is_taken(adapter):
    with_settings(adapter, something_new=None, another=False, third={})
    adapters.load(adapter)


@pytest.mark.parametrize("name", ["peft_type", "r", "lora_alpha", "target_modules", "task_type"])
def test_a_setting_that_is_missing_is_named(adapter, name):
    file = adapter / "adapter_config.json"
    settings = json.loads(file.read_bytes())
    del settings[name]
    file.write_text(json.dumps(settings), encoding="utf-8")
    resealed(adapter)
    refused(adapter, f"{name} is missing")


@pytest.mark.parametrize("content", ["", "[]", "{", "[" * 100_000, '{"r": ' + "9" * 5000 + "}"])
def test_settings_that_are_no_object_are_refused(adapter, content):
    (adapter / "adapter_config.json").write_text(content, encoding="utf-8")
    resealed(adapter)
    refused(adapter, r"adapter_config\.json")


# ---- tensors


def with_tensors(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    tensors = load_file(folder / "adapter_model.safetensors")
    change(tensors)
    save_file(tensors, folder / "adapter_model.safetensors")
    resealed(folder)


LAYER = "base_model.model.bert.encoder.layer.0.attention.self.query"
HEAD = "base_model.model.classifier"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda found: found.pop(f"{HEAD}.weight"), "no head for 2 labels"),
        (lambda found: found.update({f"{HEAD}.weight": found[f"{HEAD}.weight"].repeat(2, 0)}), "no head for 2 labels"),
        (lambda found: found.update({f"{HEAD}.weight": found[f"{HEAD}.weight"].repeat(2, 1)}), "does not fit the base"),
        (lambda found: found.update({f"{LAYER}.lora_A.weight": found[f"{LAYER}.lora_A.weight"][:4].copy()}), "r is 8"),
        (lambda found: found.update({f"{LAYER}.lora_B.weight": found[f"{LAYER}.lora_B.weight"].repeat(3, 0)}), "does not fit"),
        (lambda found: found.update({"base_model.model.bert.pooler.dense.weight": found[f"{HEAD}.weight"]}), "does not name"),
        (lambda found: found.update({f"{LAYER}.lora_A.other": found[f"{LAYER}.lora_A.weight"]}), "does not name"),
        (lambda found: found.update({LAYER.replace(".0.", ".7.") + ".lora_A.weight": found[f"{LAYER}.lora_A.weight"]}), "query"),
    ],
)
def test_tensors_that_do_not_fit_the_settings_or_the_base_are_named(adapter, change, message):
    with_tensors(adapter, change)
    refused(adapter, message)


@pytest.mark.parametrize("damage", [lambda content: content[:-7], lambda content: b"\xff" * 8 + content[8:], lambda content: b"",
                                    lambda content: content[:8] + b"}" + content[9:]])  # fmt: skip
def test_damaged_weights_are_refused(adapter, damage):
    file = adapter / "adapter_model.safetensors"
    file.write_bytes(damage(file.read_bytes()))
    resealed(adapter)
    refused(adapter, "is damaged")


@pytest.mark.parametrize("instead", [["adapter_model.bin"], []])
def test_pickled_weights_are_never_opened(adapter, instead):
    for name in instead:
        shutil.copy(adapter / "adapter_model.safetensors", adapter / name)
    (adapter / "adapter_model.safetensors").unlink()
    resealed(adapter)
    refused(adapter, r"lack adapter_model\.safetensors")


def test_pickled_files_are_named_wherever_they_are(adapter):
    (adapter / "pytorch_model.bin").write_bytes(b"cos\nsystem\n")
    resealed(adapter)
    refused(adapter, "pickled objects")


# ---- the manifest


def into(place: list[Any], value: object) -> Callable[[dict[str, Any]], None]:
    def change(manifest: dict[str, Any]) -> None:
        inner: Any = manifest
        for key in place[:-1]:
            inner = inner[key]
        if value is DELETED:
            del inner[place[-1]]
        else:
            inner[place[-1]] = value

    return change


DELETED = "taken away"
ANSWER = ["fingerprint", "logits"]


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (["base", "name"], DELETED),
        (["base", "name"], ""),
        (["base", "name"], "a\0b"),
        (["base", "sha256"], DELETED),
        (["base", "sha256"], 5),
        (["base", "settings"], {"../x": "0" * 64}),
        (["base"], None),
        (["base", "revision"], ["main"]),
        (["data"], None),
        (["data"], {"columns": None}),
        (["data"], {"columns": {"text": 5}}),
        (["config"], []),
        (["metrics"], {"accuracy": "high"}),
        (["max_length"], -5),
        (["max_length"], 0),
        (["max_length"], 10**9),
        (["max_length"], "32"),
        (["max_length"], True),
        (["max_length"], 32.0),
        (["labels"], []),
        (["labels"], ["yes", "yes"]),
        (["labels"], [0, 1]),
        (["labels"], "ny"),
        (["labels"], {"no": 0}),
        (["labels"], [["no"], ["yes"]]),
        (["labels"], ["no", "yes", "perhaps"]),
        (["labels"], [str(index) for index in range(1_000_000)]),
        (["problem_type"], "regression"),
        (["method"], "prompt"),
        (["kind"], 5),
        (["kind"], "export"),
        (["kind"], None),
        (["schema_version"], "1"),
        (["schema_version"], -1),
        (["schema_version"], True),
        (["seed"], "0"),
        (["versions"], 5),
        (["new_tensors"], []),
        (["files"], {}),
        (["files"], {"../README.md": {"sha256": "0" * 64, "bytes": 1}}),
        (["files", "README.md"], None),
        (["files", "README.md", "bytes"], -1),
        (["files", "README.md", "sha256"], "x"),
        (["fingerprint"], {}),
        (["fingerprint", "texts"], None),
        (["fingerprint", "texts"], ["a"] * 20_000),
        (["fingerprint", "texts"], ["a" * 1_000_000] * 5),
        (["fingerprint", "texts"], [1, 2, 3, 4, 5]),
        (["fingerprint", "texts"], ["ok"]),
        (["fingerprint"], {"texts": [], "logits": []}),
        (ANSWER, [[1e300, 1.0]] * 5),
        (ANSWER, [[1e39, 1.0]] * 5),
        (ANSWER, [[1.0]] * 5),
        (ANSWER, [["a", "b"]] * 5),
        (ANSWER, [[None, None]] * 5),
        (ANSWER, 5),
        (ANSWER, [[True, False]] * 5),
        (ANSWER, [[0.0, 0.0]] * 5),
    ],
    ids=lambda each: str(each)[:40],
)
def test_a_manifest_of_other_types_or_ranges_is_refused(adapter, place, value):
    resealed(adapter, into(place, value))
    refused(adapter, "refused|cannot be used|is an export")


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_answers_that_nothing_can_differ_from_are_none(adapter, value, monkeypatch):
    dumps = json.dumps
    monkeypatch.setattr(manifests.json, "dumps", lambda *given, **options: dumps(*given, **options | {"allow_nan": True}))
    resealed(adapter, into([*ANSWER, 0, 0], value))
    refused(adapter, "finite number|was changed")


def test_labels_in_another_order_than_a_config_beside_them_are_refused(adapter):
    (adapter / "config.json").write_text(
        json.dumps({"model_type": "bert", "id2label": {"0": "no", "1": "yes"}}), encoding="utf-8"
    )
    resealed(adapter)
    assert manifests.differences(adapter, manifests.manifest_of(adapter)) == []
    resealed(adapter, into(["labels"], ["yes", "no"]))
    refused(adapter, r"config\.json has other labels")


@pytest.mark.parametrize("name", ["config.json", "added_tokens.json", "chat_template.jinja", "model.safetensors"])
def test_a_file_that_a_library_would_read_unasked_must_be_in_the_manifest(adapter, name):
    (adapter / name).write_text("{}", encoding="utf-8")
    refused(adapter, f"{name} was added")
