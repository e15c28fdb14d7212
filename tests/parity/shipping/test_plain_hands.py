"""An adapter folder in plain hands: Transformers' and PEFT's own ways to load one give its answers, with its labels."""

import json
import re
from pathlib import Path

import numpy as np
import peft
import pytest
import transformers
from transformers import AutoModelForSequenceClassification, pipeline

import tiny
import tolerances
from adapted import saved, trained
from lorabert.config import METHODS, DataConfig, ModelConfig, RunConfig, TrainConfig
from lorabert.engine.prediction import Classifier
from lorabert.evidence.metrics import softmax
from lorabert.shipping import loading
from lorabert.studies import experiment
from plain import changed, plain_batches

TEXTS = [*tiny.reviews(12, 3, longest=30)[0], "", "ok", "映画", "word " * 100]
EACH_TIME = ("bert", "roberta", "distilbert", "mpnet")
FAMILIES = [pytest.param(family, marks=() if family in EACH_TIME else pytest.mark.slow) for family in sorted(tiny.FAMILIES)]
NAMES = ["zebra", "apple", "mango", "kiwi"]


def assert_agrees(folder: Path, *, told: bool) -> None:
    """Every plain way to load the folder gives our answers; `told` passes the number of labels, which no tool can read there."""
    assert_answers(folder, loading.load(folder)[0], told=told)


def assert_answers(folder: Path, classifier: Classifier, *, told: bool = False) -> None:
    wanted = classifier.logits(TEXTS)
    number = {"num_labels": len(classifier.label_names), "ignore_mismatched_sizes": True} if told else {}
    base = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))["base_model_name_or_path"]
    by_hand = peft.PeftModel.from_pretrained(AutoModelForSequenceClassification.from_pretrained(base, **number), str(folder))
    for model in (
        AutoModelForSequenceClassification.from_pretrained(folder, **number),
        AutoModelForSequenceClassification.from_pretrained(str(folder), **number),
        peft.AutoPeftModelForSequenceClassification.from_pretrained(str(folder), **number),
        by_hand,
    ):
        assert np.allclose(plain_batches(model, folder, TEXTS), wanted, atol=tolerances.FP32_LOGITS)
    classify = pipeline("text-classification", str(folder), model_kwargs=number)
    scores = [[{answer["label"]: answer["score"] for answer in answers}[f"LABEL_{index}"] for index in range(len(wanted[0]))]
              for answers in classify(TEXTS, top_k=None, truncation=True, max_length=classifier.max_length)]  # fmt: skip
    assert np.allclose(scores, softmax(wanted), atol=tolerances.FP32_LOGITS)


@pytest.mark.parametrize("family", FAMILIES)
def test_two_classes_need_no_word(base_folder, family):
    other = trained(base_folder(family), labels=NAMES[:2], seed=1)[0]
    folder = saved(Path("a"), trained(base_folder(family), labels=NAMES[:2]))
    assert not np.allclose(other.logits(TEXTS), loading.load(folder)[0].logits(TEXTS), atol=1e-3)
    assert_agrees(folder, told=False)


@pytest.mark.parametrize("method", METHODS)
def test_more_classes_need_their_number(tiny_base, method):
    assert_agrees(saved(Path("a"), trained(tiny_base, method, labels=NAMES)), told=True)


def test_a_base_with_a_head_of_its_own_size_needs_it_too(base_folder):
    for family in ("bert", "distilbert"):
        assert_agrees(saved(Path(family), trained(base_folder(family, head=True), labels=NAMES)), told=True)


def test_a_relative_base_is_found_from_wherever_plain_tools_are_called(monkeypatch):
    tiny.build_base("base")
    made = trained(Path("base"), labels=NAMES[:2])
    folder = saved(Path("a"), made).resolve()
    Path("elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    assert_answers(folder, made[0])


@pytest.mark.parametrize(
    "settings",
    [
        {"padding_side": "left"},
        {"truncation_side": "left"},
        {"model_max_length": 8},
        {"model_max_length": 10**30},
        {"model_input_names": ["input_ids"]},
        {"tokenizer_class": None},
        {"tokenizer_class": "BertTokenizer"},
        {"tokenizer_class": "TokenizersBackend"},
    ],
    ids=str,
)
def test_odd_settings_of_the_bases_tokenizer_change_no_answer(settings):
    if settings.get("tokenizer_class") == "TokenizersBackend" and transformers.__version__ < "5":
        pytest.skip("transformers 4 knows no such class")
    base = changed(tiny.build_base("base"), **settings)
    folder = saved(Path("a"), trained(base, labels=NAMES[:2], max_length=16))
    classifier, _ = loading.load(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    assert np.allclose(plain_batches(model, folder, TEXTS), classifier.logits(TEXTS), atol=tolerances.FP32_LOGITS)


def test_a_tokenizer_known_by_its_vocabulary_alone_is_found_without_the_bases_configuration():
    base = tiny.build_base("base")
    words = json.loads((base / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    (base / "vocab.txt").write_text("\n".join(sorted(words, key=words.get)) + "\n", encoding="utf-8")
    (base / "tokenizer.json").unlink()
    (base / "tokenizer_config.json").unlink()
    made = trained(base, labels=NAMES[:2])
    assert_agrees(saved(Path("a"), made), told=False)
    assert np.array_equal(loading.load(Path("a"))[0].logits(TEXTS), made[0].logits(TEXTS))


def test_the_same_training_gives_the_same_bytes(tiny_base):
    contents = [{file.name: file.read_bytes() for file in saved(Path(name), trained(tiny_base)).iterdir()} for name in "ab"]
    assert contents[0] == contents[1]


# ---- the code of the model card


def printed(folder: Path) -> list[str]:
    """The Python blocks of an adapter's README.md."""
    card = (folder / "README.md").read_text(encoding="utf-8")
    return [code.replace("THIS_FOLDER", str(folder)) for code in re.findall(r"```python\n(.*?)```", card, re.DOTALL)]


def assert_the_cards_code_runs(folder: Path, texts: list[str], pairs: list[str] | None, capsys: pytest.CaptureFixture) -> None:
    wanted = [answer.label for answer in loading.load(folder)[0].predict(texts, pairs)]
    by_pipeline, by_peft = printed(folder)
    for code in (by_pipeline, by_peft):
        capsys.readouterr()
        exec(compile(code, "card", "exec"), {})
        found = eval(capsys.readouterr().out.strip().splitlines()[-1])
        assert [answer["label"] if isinstance(answer, dict) else answer for answer in found] == wanted


def run(base: Path, *, method: str = "lora", pairs: bool = False, classes: int = 3) -> Path:
    """A run's adapter: a few steps on a few texts."""
    texts, labels = tiny.reviews(48, classes)
    rows = [{"text": text, "other": text[::-1], "label": NAMES[label]} for text, label in zip(texts, labels, strict=True)]
    Path("d.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    settings = RunConfig(
        model=ModelConfig(name=str(base), max_length=32),
        data=DataConfig(train="d.jsonl", text="text", text_pair="other" if pairs else None),
        train=TrainConfig(method=method, num_train_epochs=4, learning_rate=1e-2, baselines=False, precision="fp32"),
    )
    return Path(experiment.train(settings.resolved(), out=Path(f"run-{method}"), say=lambda _: None)["adapter"])


@pytest.mark.parametrize("family", FAMILIES)
def test_the_cards_code_runs_on_every_family(base_folder, family, capsys):
    assert_the_cards_code_runs(run(base_folder(family)), ["a text", "another"], None, capsys)


@pytest.mark.parametrize("method", METHODS)
def test_the_cards_code_runs_after_every_method(base_folder, method, capsys):
    assert_the_cards_code_runs(run(base_folder("bert", head=True), method=method), ["a text", "another"], None, capsys)


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert"])
def test_the_cards_code_runs_on_pairs(base_folder, family, capsys):
    folder = run(base_folder(family), pairs=True, classes=2)
    assert_the_cards_code_runs(folder, ["a text"], ["its second text"], capsys)
