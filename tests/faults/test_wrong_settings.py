"""Settings of a base, an adapter or an export that are of a wrong kind and sealed all the same: refused in words.

Each was found by the long suite of test_hostile.py.
"""

import json

import pytest

import adapted
from lorabert.errors import InputError
from lorabert.shipping import exporting, loading, manifests

SETTINGS, TOKENIZER = "tokenizer_config.json", "tokenizer.json"


def changed(folder, name, **values):
    file = folder / name
    file.write_text(json.dumps(json.loads(file.read_bytes()) | values), encoding="utf-8")
    manifest = manifests.manifest_of(folder, (manifests.ADAPTER, manifests.EXPORT))
    manifest["files"] = {file: entry for file, entry in manifests.file_entries(folder).items() if file != manifests.MANIFEST}
    (folder / manifests.MANIFEST).write_bytes(manifests.sealed(manifest))


@pytest.mark.parametrize("value", ["/dev/zero", "", [0], {}, [[1]]])
def test_a_longest_length_that_is_no_number(tiny_base, tmp_path, value):
    folder = adapted.saved(tmp_path / "adapter", adapted.trained(tiny_base))
    changed(folder, SETTINGS, model_max_length=value)
    with pytest.raises(InputError, match=r"tokenizer"):
        loading.load(folder)


@pytest.mark.parametrize("place", [0, 2])
def test_a_special_token_that_the_tokenizer_does_not_know(tiny_base, tmp_path, place):
    folder = adapted.saved(tmp_path / "adapter", adapted.trained(tiny_base))
    after = json.loads((folder / TOKENIZER).read_bytes())["post_processor"]
    after["single"][place]["SpecialToken"]["id"] = "word"
    changed(folder, TOKENIZER, post_processor=after)
    with pytest.raises(InputError, match="fails on a plain text"):
        loading.load(folder)


@pytest.mark.parametrize("token", ["pad_token", "sep_token", "cls_token"])
def test_an_export_whose_tokenizer_has_a_token_too_many(tiny_base, tmp_path, token):
    adapter = adapted.saved(tmp_path / "adapter", adapted.trained(tiny_base),
                            data={"columns": {"text": "text", "text_pair": None, "label": "label"}})  # fmt: skip
    folder = tmp_path / "merged"
    exporting.export(adapter, folder, "merged", say=lambda _: None)
    changed(folder, SETTINGS, **{token: "no word of it"})
    with pytest.raises(InputError, match="345 tokens"):
        loading.load(folder)


@pytest.mark.parametrize("heads", [-1, 0])
def test_a_base_without_attention_heads(tiny_base, tmp_path, heads):
    folder = adapted.saved(tmp_path / "adapter", adapted.trained(tiny_base))
    base = tmp_path / "base"
    base.mkdir()
    for file in tiny_base.iterdir():
        (base / file.name).write_bytes(file.read_bytes())
    settings = json.loads((base / "config.json").read_bytes()) | {"num_attention_heads": heads}
    (base / "config.json").write_text(json.dumps(settings), encoding="utf-8")
    with pytest.raises(InputError):
        loading.load(folder, str(base))
    manifest = manifests.manifest_of(folder)
    manifest["base"]["settings"] = {}
    (folder / manifests.MANIFEST).write_bytes(manifests.sealed(manifest))
    with pytest.raises(InputError, match="num_attention_heads"):
        loading.load(folder, str(base))
