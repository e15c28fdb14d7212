"""Every method through the whole command, and the choice between the two engines."""

import json

import pytest

import tiny


@pytest.mark.parametrize("method", ["lora", "full", "bitfit", "head"])
def test_every_method_ends_in_an_adapter_that_plain_peft_reads_alike(shell, here, workplace, method, monkeypatch):
    done = here("train", *workplace, "--train.method", method, "--out", method, "--train.baselines", "false", "--json")
    assert done.code == 0, done.err
    assert done.json["method"] == method
    assert done.json["trainable"]["head_parameters"] < done.json["trainable"]["parameters"] or method == "head"

    monkeypatch.chdir(shell.folder)
    import peft
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    manifest = json.loads((shell.folder / method / "adapter" / "lorabert.json").read_text())
    base = AutoModelForSequenceClassification.from_pretrained("base", num_labels=3)
    model = peft.PeftModel.from_pretrained(base, f"{method}/adapter").eval()
    tokenizer = AutoTokenizer.from_pretrained(f"{method}/adapter")
    for text, logits in zip(manifest["fingerprint"]["texts"], manifest["fingerprint"]["logits"], strict=True):
        with torch.inference_mode():
            batch = tokenizer(text, truncation=True, max_length=64, return_tensors="pt")
            found = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
        assert found[0].tolist() == logits


def test_auto_takes_the_fast_engine_where_it_knows_the_way(here, workplace):
    done = here("train", *workplace, "--out", "auto", "--train.num_train_epochs", "1", "--json")
    assert (done.json["engine"], done.json["attention"]) == ("fast", "packed")


def test_auto_falls_back_to_the_reference_and_says_why(here, workplace, base_folder):
    unknown = [*workplace, "--model.name", base_folder("mpnet")]
    done = here("train", *unknown, "--out", "mpnet", "--train.num_train_epochs", "1", "--json")
    assert done.code == 0, done.err
    assert done.json["engine"] == "reference"
    assert "mpnet" in done.json["engine_reason"]
    refused = here("train", *unknown, "--train.engine", "fast", "--out", "refused")
    assert refused.code == 2
    assert "mpnet" in refused.err


@pytest.mark.parametrize("engine", ["fast", "reference"])
def test_early_stopping_keeps_the_best_epoch(shell, here, workplace, engine):
    options = [*workplace, "--train.engine", engine, "--train.learning_rate", "3e-2", "--train.num_train_epochs", "12"]
    done = here("train", *options, "--train.early_stopping_patience", "1", "--out", f"early-{engine}", "--json")
    assert done.code == 0, done.err
    assert done.json["fit"]["epochs"] < 12


def test_a_pooler_that_the_base_lacks_is_trained_saved_and_used(shell, here, workplace):
    tiny.build_base(shell.folder / "no-pooler", with_pooler=False)
    done = here("train", *workplace, "--model.name", "no-pooler", "--out", "pooler", "--train.num_train_epochs", "1", "--json")
    assert done.code == 0, done.err
    new = {"bert.pooler.dense.weight", "bert.pooler.dense.bias", "classifier.weight", "classifier.bias"}
    assert set(done.json["base"]["new_tensors"]) == new
    manifest = json.loads((shell.folder / "pooler" / "adapter" / "lorabert.json").read_text())
    assert set(manifest["new_tensors"]) == new
    again = shell("evaluate", "pooler", "--json")
    assert again.json["metrics"] == done.json["metrics"]
