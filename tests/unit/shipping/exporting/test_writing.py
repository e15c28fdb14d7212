"""Exports are checked before they are there, refused when they differ, and verified like adapters ever after."""

import errno
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import tiny
from adapted import LABELS, saved, trained
from lorabert.engine.prediction import Classifier
from lorabert.errors import InputError, MismatchError
from lorabert.models import bases
from lorabert.shipping import adapters, exporting, loading, manifests, tokenizer_files
from lorabert.shipping.exporting import graphs, parity, running, writing

TEXTS = [*tiny.reviews(12, 3)[0], "", "映画"]
FORMATS = ("merged", "onnx", "onnx-int8")


def silent(_: str) -> None:
    """Say nothing."""


@pytest.fixture(scope="module")
def adapter(tiny_base, tmp_path_factory) -> Path:
    """Read, never change."""
    return saved(tmp_path_factory.mktemp("original") / "adapter", trained(tiny_base))


@pytest.fixture(scope="module")
def exported(adapter, tmp_path_factory):
    """An export in each format and what export() returned."""
    place = tmp_path_factory.mktemp("exports")
    return {name: (place / name, exporting.export(adapter, place / name, name, say=silent)) for name in FORMATS}


@pytest.mark.parametrize("name", FORMATS)
def test_an_export_answers_as_its_adapter_does_and_another_adapters_does_not(exported, adapter, tiny_base, name):
    classifier, manifest = loading.load(exported[name][0])
    ours = adapters.load(adapter)[0]
    tolerance = 1e-5 if name != "onnx-int8" else 0.02
    wanted = ours.logits(TEXTS)
    other = trained(tiny_base, seed=1)[0].logits(TEXTS)
    assert np.abs(other - wanted).max() > 0.05 * np.abs(wanted).max()
    assert np.abs(classifier.logits(TEXTS) - wanted).max() <= tolerance * np.abs(wanted).max()
    assert classifier.label_names == manifest["labels"] == LABELS
    assert classifier.max_length == 32
    assert manifest["fingerprint"]["largest_difference"] == 0.0
    assert [answer.label for answer in classifier.predict(TEXTS)] == [answer.label for answer in ours.predict(TEXTS)]
    assert classifier.predict([]) == []
    assert classifier.logits([]).shape == (0, 3)


@pytest.mark.parametrize("name", FORMATS)
def test_an_export_folder_holds_its_manifest_its_figures_and_its_card(exported, adapter, name):
    folder, document = exported[name]
    manifest = manifests.manifest_of(folder, (manifests.EXPORT,))
    figures = json.loads((folder / "parity.json").read_text(encoding="utf-8"))
    assert document == {
        "export": str(folder), "format": name, "adapter": str(adapter), "files": sorted([*manifest["files"], "lorabert.json"]),
        "bytes": sum(entry["bytes"] for entry in manifest["files"].values()), "drift": False, "parity": figures,
    }  # fmt: skip
    model = "model.safetensors" if name == "merged" else "model.onnx"
    assert {path.name for path in folder.iterdir()} == {
        model, "config.json", "tokenizer.json", "tokenizer_config.json", "README.md", "parity.json", "lorabert.json",
    }  # fmt: skip
    assert (manifest["kind"], manifest["format"], manifest["drift"]) == ("export", name, False)
    assert manifest["adapter"]["manifest_sha256"] == manifests.manifest_of(adapter)["manifest_sha256"]
    assert manifest["base"] == manifests.manifest_of(adapter)["base"]
    assert figures["within_tolerance"]
    assert figures["texts"]["shortest_tokens"] == 2
    assert figures["texts"]["longest_tokens"] == 32
    assert "does not say" in figures["validation"]["missing"]
    assert {"torch", "transformers", *(["onnxruntime"] if name != "merged" else [])} <= set(figures["versions"])


def test_a_merged_folder_is_one_for_a_pipeline(exported, adapter):
    from transformers import pipeline

    classify = pipeline("text-classification", model=str(exported["merged"][0]), truncation=True, max_length=32)
    for answer, ours in zip(classify(TEXTS), adapters.load(adapter)[0].predict(TEXTS), strict=True):
        assert answer["label"] == ours.label
        assert answer["score"] == pytest.approx(ours.score, abs=1e-6)


@pytest.mark.parametrize("name", FORMATS)
def test_the_cards_code_runs_and_names_the_adapters_labels(exported, adapter, name, capsys):
    folder = exported[name][0]
    code = (folder / "README.md").read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    exec(compile(code.replace("THIS_FOLDER", str(folder)), "card", "exec"), {})
    labels = [answer.label for answer in adapters.load(adapter)[0].predict(["a text", "another"])]
    printed = capsys.readouterr().out
    assert all(repr(label) in printed for label in labels)


# ---- other adapters


@pytest.mark.parametrize("name", ["merged", "onnx"])
def test_labels_of_any_alphabet_come_through(tiny_base, name):
    labels = ["très bien", "плохо", '映画 "x"', "100 %\n"]
    place = saved(Path("a"), trained(tiny_base, labels=labels))
    exporting.export(place, Path("out"), name, say=silent)
    assert loading.load(Path("out"))[0].label_names == labels
    config = json.loads(Path("out/config.json").read_text(encoding="utf-8"))
    assert [config["id2label"][str(index)] for index in range(4)] == labels


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_pairs_are_compared_as_pairs_and_the_cards_code_takes_them(base_folder, family, capsys):
    data = {"columns": {"text": "a", "text_pair": "b", "label": "c"}, "origin": "pairs", "fingerprint": "0"}
    place = saved(Path("a"), trained(base_folder(family)), data=data)
    exporting.export(place, Path("out"), "onnx", say=silent)
    ours, theirs = adapters.load(place)[0], loading.load(Path("out"))[0]
    first, second = TEXTS[:5], TEXTS[5:10]
    wanted = ours.logits(first, second)
    assert np.abs(ours.logits(first) - wanted).max() > 1e-3 * np.abs(wanted).max()  # the second text matters
    assert np.abs(theirs.logits(first, second) - wanted).max() < 1e-5 * np.abs(wanted).max()
    code = Path("out/README.md").read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    exec(compile(code.replace("THIS_FOLDER", "out"), "card", "exec"), {})
    label = ours.predict(["a text"], ["its second text"])[0].label
    assert repr(label) in capsys.readouterr().out


@pytest.mark.slow
def test_a_graph_beyond_one_file_keeps_its_weights_beside_it(adapter, monkeypatch):
    monkeypatch.setattr(graphs, "_LARGEST_FILE", 1000)
    wanted = adapters.load(adapter)[0].logits(TEXTS)
    for name in ("onnx", "onnx-int8"):
        document = exporting.export(adapter, Path(name), name, say=silent)
        assert "model.onnx.data" in document["files"]
        assert np.abs(loading.load(Path(name))[0].logits(TEXTS) - wanted).max() < 0.02 * np.abs(wanted).max()


# ---- drift


@pytest.fixture
def drifting(monkeypatch):
    """Merging goes wrong by a little in one weight."""
    good = writing.merged

    def bad(classifier: Classifier) -> Classifier:
        plain = good(classifier)
        with torch.no_grad():
            plain.model.get_parameter("classifier.weight")[0] += 0.05
        return plain

    monkeypatch.setattr(writing, "merged", bad)


@pytest.mark.parametrize("name", ["merged", "onnx"])
def test_an_export_that_drifts_is_refused_and_nothing_is_left(adapter, drifting, name):
    with pytest.raises(MismatchError, match=r"logits differ by up to .* --allow-drift"):
        exporting.export(adapter, Path("out"), name, say=silent)
    assert {path.name for path in Path().iterdir()} - {".cache"} == set()


def test_drift_that_is_allowed_is_said_everywhere(adapter, drifting):
    said: list[str] = []
    document = exporting.export(adapter, Path("out"), "merged", allow_drift=True, say=said.append)
    assert document["drift"]
    assert any(line.startswith("DRIFT") and "--allow-drift" in line for line in said)
    figures = json.loads(Path("out/parity.json").read_text(encoding="utf-8"))
    assert not figures["within_tolerance"]
    assert "logits differ by up to" in figures["beyond"][0]
    assert "**DRIFT" in Path("out/README.md").read_text(encoding="utf-8")
    assert loading.load(Path("out"))[1]["drift"]


def test_an_export_that_is_no_number_is_refused_whatever_is_allowed(adapter, monkeypatch):
    good = writing.merged

    def bad(classifier: Classifier) -> Classifier:
        plain = good(classifier)
        with torch.no_grad():
            plain.model.get_parameter("classifier.bias").fill_(float("nan"))
        return plain

    monkeypatch.setattr(writing, "merged", bad)
    with pytest.raises(InputError, match="not finite"):
        exporting.export(adapter, Path("out"), "merged", allow_drift=True, say=silent)
    assert not Path("out").exists()


# ---- refusals before and while writing


def test_wrong_inputs_are_refused_before_anything_is_read(adapter, monkeypatch):
    monkeypatch.setattr(adapters, "load", None)
    with pytest.raises(InputError, match=r"'tflite'.*merged, onnx, onnx-int8"):
        exporting.export(adapter, Path("out"), "tflite")
    Path("full").mkdir()
    Path("full/thesis.txt").write_text("years of work", encoding="utf-8")
    for place in ("full", "full/thesis.txt"):
        with pytest.raises(InputError, match="already holds something"):
            exporting.export(adapter, Path(place), "merged")
    assert Path("full/thesis.txt").read_text(encoding="utf-8") == "years of work"
    with pytest.raises(InputError, match="--out"):
        exporting.export(adapter, Path("full/thesis.txt/out"), "merged")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc is Linux's")
def test_a_place_where_no_folder_can_be_is_refused_before_anything_is_read(adapter, monkeypatch):
    monkeypatch.setattr(adapters, "load", None)
    with pytest.raises(InputError, match="cannot be made"):
        exporting.export(adapter, Path("/proc/none/out"), "merged")


def test_a_full_disk_is_told_and_leaves_nothing(adapter, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tokenizer_files.shutil, "copyfile", full)
    with pytest.raises(InputError, match="disk is full"):
        exporting.export(adapter, Path("out"), "merged", say=silent)
    assert {path.name for path in Path().iterdir()} - {".cache"} == set()


@pytest.mark.parametrize("library", ["onnx", "onnxruntime", "onnxscript"])
def test_a_missing_library_is_named_with_its_command(adapter, monkeypatch, library):
    monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == library else object())
    with pytest.raises(InputError, match=f"pip install {library}"):
        exporting.export(adapter, Path("out"), "onnx", say=silent)


def test_an_empty_folder_is_taken_and_an_export_is_no_adapter(exported, adapter):
    Path("empty").mkdir()
    exporting.export(adapter, Path("empty"), "merged", say=silent)
    loading.load(Path("empty"))
    with pytest.raises(InputError, match="is an export, not an adapter"):
        exporting.export(exported["merged"][0], Path("out"), "merged", say=silent)
    with pytest.raises(InputError, match="is an export, not an adapter"):
        adapters.verify(exported["onnx"][0])


def test_a_base_that_is_gone_is_refused_by_name(tiny_base):
    shutil.copytree(tiny_base, "base")
    place = saved(Path("a"), trained(Path("base")))
    Path("base").rename("moved")
    with pytest.raises(InputError, match="'base'"):
        exporting.export(place, Path("out"), "merged", say=silent)
    exporting.export(place, Path("out"), "merged", base_name="moved", say=silent)


def test_an_architecture_that_cannot_be_traced_is_refused_in_words(tiny_base, monkeypatch):
    place = saved(Path("a"), trained(tiny_base))

    def untraceable(self: object, *inputs: torch.Tensor) -> torch.Tensor:
        return inputs[0].float() * (1 if inputs[0].sum().item() > 3 else 2)

    monkeypatch.setattr(graphs._Logits, "forward", untraceable)
    with pytest.raises(InputError, match=r"bert cannot be exported to ONNX.*--format merged"):
        exporting.export(place, Path("out"), "onnx", say=silent)
    assert {path.name for path in Path().iterdir()} - {".cache"} == {"a"}


# ---- verification


@pytest.fixture
def copy(exported) -> Path:
    return Path(shutil.copytree(exported["onnx"][0], "copy"))


@pytest.mark.parametrize("name", ["model.onnx", "config.json", "tokenizer.json", "README.md", "parity.json"])
def test_a_changed_or_lost_file_is_refused_by_name_before_a_model_is_read(copy, monkeypatch, name):
    monkeypatch.setattr(running, "opened", None)
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / name).write_bytes(content)
    with pytest.raises(MismatchError, match=f"{name} was changed"):
        loading.load(copy)
    (copy / name).unlink()
    with pytest.raises(MismatchError, match=f"{name} is missing"):
        loading.load(copy)


def reseal(folder: Path, **changes: object) -> None:
    """Write a manifest that is whole, but says something else."""
    manifest = manifests.manifest_of(folder, (manifests.EXPORT,))
    (folder / "lorabert.json").write_bytes(manifests.sealed({**manifest, **changes}))


def test_other_answers_than_the_recorded_are_refused(copy):
    recorded = manifests.manifest_of(copy, (manifests.EXPORT,))["fingerprint"]
    logits = np.array(recorded["logits"])
    logits[0, 0] += 0.01 * np.abs(logits).max()
    reseal(copy, fingerprint=recorded | {"logits": logits.tolist()})
    with pytest.raises(MismatchError, match="logits differ from the recorded"):
        loading.load(copy)


def test_a_folder_that_is_no_export_is_refused(copy, adapter):
    with pytest.raises(InputError, match="needs no base"):
        loading.load(copy, "somewhere")
    with pytest.raises(InputError, match="is an adapter, not an export"):
        running.load(adapter)
    reseal(copy, format="tflite")
    with pytest.raises(InputError, match="'tflite'"):
        loading.load(copy)
    (copy / "lorabert.json").unlink()
    with pytest.raises(InputError, match="is not an adapter or an export"):
        loading.load(copy)


@pytest.mark.parametrize(
    ("content", "said"), [(b"no graph at all", "no ONNX graph"), (b"\x08\x0a", r"ONNX Runtime .* cannot read")]
)
def test_a_graph_that_cannot_be_read_is_refused_in_words(copy, content, said):
    (copy / "model.onnx").write_bytes(content)
    entry = manifests.file_entries(copy)["model.onnx"]
    files = manifests.manifest_of(copy, (manifests.EXPORT,))["files"]
    reseal(copy, files=files | {"model.onnx": entry})
    with pytest.raises(InputError, match=said):
        loading.load(copy)


def test_a_missing_onnx_runtime_is_named_with_its_command(copy, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match="pip install onnxruntime"):
        loading.load(copy)


def test_an_adapter_is_loaded_as_ever(adapter):
    classifier, manifest = loading.load(adapter)
    assert manifests.kind_of(manifest) == "adapter"
    assert np.array_equal(classifier.logits(TEXTS), adapters.load(adapter)[0].logits(TEXTS))
    assert bases.tokenizer_files(adapter)


def test_the_tolerances_are_one_a_format():
    assert tuple(parity.TOLERANCES) == exporting.FORMATS == FORMATS
