"""An export used the documented way gives its adapter's answers, whatever the base's tokenizer was set to."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer
from transformers import AutoModelForSequenceClassification, pipeline

import tiny
import tolerances
from adapted import LABELS, saved, trained
from lorabert.errors import MismatchError
from lorabert.shipping import adapters, exporting, loading, tokenizer_files
from plain import changed, plain_batches

DOCS = Path(__file__).parents[3] / "docs" / "exporting.md"
TEXTS = [*tiny.reviews(76, 3, longest=40)[0], "", "ok", "映画", "word " * 100]
FORMATS = ("merged", "onnx", "onnx-int8")


def silent(_: str) -> None:
    """Say nothing."""


def snippet(folder: Path, texts: list[str]) -> np.ndarray:
    """What the code in docs/exporting.md answers."""
    code = next(block for block in re.findall(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL))
    code = code.replace("reviews-onnx", str(folder)).replace('["a text", "another"]', "texts")
    seen: dict = {"texts": texts}
    exec(compile(code, "docs", "exec"), seen)
    assert [seen["labels"][str(index)] for index in range(len(LABELS))] == LABELS
    return seen["logits"]


def by_the_docs(folder: Path, format_name: str) -> np.ndarray:
    if format_name != "merged":
        return np.concatenate([snippet(folder, TEXTS[start : start + 16]) for start in range(0, len(TEXTS), 16)])
    return plain_batches(AutoModelForSequenceClassification.from_pretrained(folder), folder, TEXTS)


def assert_agrees(base: Path, format_name: str, *, max_length: int = 32) -> None:
    adapter = saved(Path("a"), trained(base, max_length=max_length))
    wanted = adapters.load(adapter)[0].logits(TEXTS)
    exporting.export(adapter, Path("out"), format_name, say=silent)
    tolerance = tolerances.INT8_LOGITS if format_name == "onnx-int8" else tolerances.EXPORTED_LOGITS
    assert np.abs(by_the_docs(Path("out"), format_name) - wanted).max() <= tolerance * np.abs(wanted).max()
    assert np.abs(loading.load(Path("out"))[0].logits(TEXTS) - wanted).max() <= tolerance * np.abs(wanted).max()
    if format_name == "merged":
        labels = [answer["label"] for answer in pipeline("text-classification", "out", batch_size=16)(TEXTS, truncation=True)]
        assert labels == [LABELS[best] for best in wanted.argmax(1)]


@pytest.mark.parametrize("format_name", FORMATS)
def test_a_base_whose_tokenizer_pads_on_the_left(format_name):
    assert_agrees(changed(tiny.build_base("base"), padding_side="left"), format_name)


ODD = {
    "cuts on the left": {"truncation_side": "left"},
    "short": {"model_max_length": 5},
    "endless": {"model_max_length": 10**30},
    "one input": {"model_input_names": ["input_ids"]},
    "token types first": {"model_input_names": ["token_type_ids", "attention_mask", "input_ids"]},
    "another pad token": {"pad_token": "[MASK]"},
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
@pytest.mark.parametrize("format_name", ["merged", pytest.param("onnx", marks=pytest.mark.slow)])
def test_a_base_whose_tokenizer_is_set_otherwise(odd, format_name):
    assert_agrees(changed(tiny.build_base("base"), **odd), format_name)


@pytest.mark.parametrize("family", ["roberta", "mpnet", "distilbert", pytest.param("modernbert", marks=pytest.mark.slow)])
@pytest.mark.parametrize("format_name", ["merged", pytest.param("onnx", marks=pytest.mark.slow)])
def test_a_family_that_counts_positions_its_own_way(family, format_name):
    odd = {"padding_side": "left", "model_max_length": 7, "model_input_names": ["input_ids", "token_type_ids"]}
    assert_agrees(changed(tiny.build_base("base", family=family), **odd), format_name, max_length=64)


def test_settings_inside_tokenizer_json_are_the_exports_too():
    base = tiny.build_base("base")
    file = Tokenizer.from_file(str(base / "tokenizer.json"))
    file.enable_padding(direction="left", length=40)
    file.enable_truncation(9)
    file.save(str(base / "tokenizer.json"))
    assert_agrees(base, "onnx")
    read = Tokenizer.from_file("out/tokenizer.json").encode_batch(TEXTS)  # what a program in another language has
    tokenizer = loading.load(Path("out"))[0].tokenizer
    assert [encoding.ids for encoding in read] == tokenizer(TEXTS, truncation=True, padding=True)["input_ids"]


def test_pairs_are_padded_and_cut_together():
    base = changed(tiny.build_base("base"), padding_side="left", truncation_side="left")
    data = {"columns": {"text": "a", "text_pair": "b", "label": "c"}, "origin": "pairs", "fingerprint": "0"}
    adapter = saved(Path("a"), trained(base), data=data)
    seconds = TEXTS[::-1]
    wanted = adapters.load(adapter)[0].logits(TEXTS, seconds)
    exporting.export(adapter, Path("out"), "merged", say=silent)
    found = plain_batches(AutoModelForSequenceClassification.from_pretrained("out"), Path("out"), TEXTS, seconds)
    assert np.abs(found - wanted).max() <= tolerances.EXPORTED_LOGITS * np.abs(wanted).max()


def test_parity_sees_what_the_documented_way_gives(monkeypatch):
    """The negative control: with the base's own settings the export is refused, though lorabert reads it as it should."""
    adapter = saved(Path("a"), trained(changed(tiny.build_base("base"), padding_side="left")))

    def as_they_are(folder: Path, *_: object, **__: object) -> None:
        for name in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copyfile(Path("base") / name, folder / name)

    with monkeypatch.context() as patch:
        patch.setattr(tokenizer_files, "write", as_they_are)
        with pytest.raises(MismatchError, match="logits differ by up to"):
            exporting.export(adapter, Path("out"), "merged", say=silent)
    figures = exporting.export(adapter, Path("out"), "merged", say=silent)["parity"]
    assert figures["logits"]["relative_max_difference"] < tolerances.EXPORTED_LOGITS
