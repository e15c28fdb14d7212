"""What a run records is what its shipped files answer in another process: every family, engine and precision."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

import tiny
import tolerances
from classifiers import PACKED_FAMILIES

WAYS = [("reference", "bf16"), ("reference", "fp32"), ("fast", "bf16"), ("fast", "fp32")]
EACH_TIME = {
    *((family, "reference", "bf16") for family in ("bert", "mpnet", "deberta-v2", "modernbert")),
    ("roberta", "fast", "bf16"),
}
CASES = [
    pytest.param(family, engine, precision, marks=() if (family, engine, precision) in EACH_TIME else pytest.mark.slow)
    for family in tiny.FAMILIES
    for engine, precision in WAYS
    if engine == "reference" or family in PACKED_FAMILIES
]


def options(base, engine, precision, *more):
    return ["--data.train", "reviews.csv", "--model.name", base, "--model.max_length", "64", "--train.learning_rate", "5e-3",
            "--train.engine", engine, "--train.precision", precision, "--train.num_train_epochs", "1",
            "--train.baselines", "false", *more]  # fmt: skip


def plain_logits(base, adapter, texts, classes):
    """Of PEFT and Transformers alone, each text by itself."""
    import peft
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(base, num_labels=classes)
    model = peft.PeftModel.from_pretrained(model, adapter).eval()
    tokenizer = AutoTokenizer.from_pretrained(adapter)
    rows = []
    with torch.inference_mode():
        for text in texts:
            batch = tokenizer(text, truncation=True, max_length=64, return_tensors="pt")
            rows.append(model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits[0].numpy())
    return np.stack(rows)


def assert_shipped(shell, out, base):
    """The record, the predictions and the fingerprint are what plain PEFT and another process make of the adapter folder."""
    adapter = shell.folder / out / "adapter"
    fingerprint = json.loads((adapter / "lorabert.json").read_text())["fingerprint"]
    plain = plain_logits(base, adapter, fingerprint["texts"], 3)
    assert plain.tolist() == fingerprint["logits"]
    record = json.loads((shell.folder / out / "run.json").read_text())
    rows = pq.read_table(shell.folder / out / "predictions.parquet").to_pylist()
    assert {row["split"] for row in rows} == {"validation", "test"}
    elsewhere = shell("evaluate", out, "--json")
    assert elsewhere.code == 0, elsewhere.err
    assert elsewhere.json["fingerprint_difference"] == 0
    assert elsewhere.json["metrics"] == record["metrics"]
    assert elsewhere.json["confusion"] == record["confusion"]
    assert elsewhere.json["n"] == sum(row["split"] == "test" for row in rows)


@pytest.mark.parametrize(("family", "engine", "precision"), CASES)
def test_what_is_recorded_is_what_another_process_gets(shell, here, workplace, base_folder, family, engine, precision):
    out = f"{family}-{engine}-{precision}"
    done = here("train", *options(base_folder(family), engine, precision, "--out", out, "--json"))
    assert done.code == 0, done.err
    assert (done.json["engine"], done.json["precision"]) == (engine, precision)
    assert_shipped(shell, out, base_folder(family))


@pytest.mark.parametrize("method", ["full", "bitfit", "head"])
@pytest.mark.parametrize("family", ["bert", pytest.param("deberta-v2", marks=pytest.mark.slow)])
def test_so_it_is_of_every_method_in_half_precision(shell, here, workplace, base_folder, family, method):
    out = f"{family}-{method}"
    options_of = options(base_folder(family), "reference", "bf16", "--train.method", method, "--out", out, "--json")
    done = here("train", *options_of)
    assert done.code == 0, done.err
    assert_shipped(shell, out, base_folder(family))


def test_predictions_are_the_logits_of_the_shipped_files(shell, here, workplace, base_folder):
    """By Transformers' own forward, on the very texts of the test split."""
    tiny.write_csv(shell.folder / "asked.csv", *tiny.reviews(20, classes=3, seed=5))
    asked = [*options(base_folder("modernbert"), "reference", "bf16"), "--data.test", "asked.csv"]
    tiny.write_csv(shell.folder / "taught.csv", *tiny.reviews(60, classes=3, seed=6))
    asked[asked.index("reviews.csv")] = "taught.csv"
    done = here("train", *asked, "--out", "answers", "--json")
    assert done.code == 0, done.err
    rows = pq.read_table(shell.folder / "answers" / "predictions.parquet").to_pylist()
    recorded = np.array([row["logits"] for row in rows if row["split"] == "test"])
    texts, _ = tiny.reviews(20, classes=3, seed=5)
    plain = plain_logits(base_folder("modernbert"), shell.folder / "answers" / "adapter", texts, 3)
    assert np.abs(recorded - plain).max() < tolerances.FP32_LOGITS_OF_FRESH_BASES
