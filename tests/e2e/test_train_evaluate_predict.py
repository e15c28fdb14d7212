"""A CSV of labelled texts, from training to prediction, by the commands of the README."""

import json
import shutil
from pathlib import Path

import pytest

import tiny
from lorabert.errors import InputError
from lorabert.shipping import adapters


@pytest.fixture(scope="module")
def run(shell, workplace):
    done = shell("train", *workplace, "--train.num_train_epochs", "15", "--out", "run", "--json")
    assert done.code == 0, done.err
    return done.json


def test_train_prints_one_json_document_with_the_promised_keys(run):
    assert run["run"] == "run"
    assert run["adapter"] == "run/adapter"
    assert run["status"] == "done"
    assert set(run["metrics"]) == {"accuracy", "f1_macro", "mcc"}
    for estimate in run["metrics"].values():
        assert set(estimate) == {"value", "low", "high", "n"}
        assert estimate["low"] <= estimate["value"] <= estimate["high"]
    assert {name.split(" (")[0] for name in run["baselines"]} == {
        "majority class",
        "TF-IDF + logistic regression",
        "embedding_linear",
        "static_linear",
    }


def test_training_learned_what_is_there_to_learn(run):
    assert run["metrics"]["accuracy"]["value"] > run["baselines"]["majority class"]["accuracy"]["value"] + 0.2


def test_training_that_ended_too_early_says_how_to_go_on(here, workplace):
    done = here("train", *workplace, "--train.num_train_epochs", "2", "--train.baselines", "false", "--out", "early")
    assert done.code == 0, done.err
    assert "still falling when training ended" in done.out
    assert "--train.early_stopping_patience 3" in done.out


def test_no_more_epochs_are_advised_where_every_answer_is_right(shell, here, workplace):
    words = ["awful", "wonderful"] * 120
    tiny.write_csv(shell.folder / "easy.csv", [f"{word} film {number}" for number, word in enumerate(words)], words)
    options = ("--data.train", "easy.csv", "--train.num_train_epochs", "4", "--train.baselines", "false", "--out", "right")
    done = here("train", *workplace, *options)
    losses = [json.loads(line)["loss"] for line in (shell.folder / "right/metrics.jsonl").read_text().splitlines()
              if '"validation"' in line]  # fmt: skip
    assert losses[-1] < min(losses[:-1])  # it was falling
    assert "100.0 [" in done.out
    assert "still falling" not in done.out


def test_run_folder_holds_what_the_design_promises(shell, run):
    folder = shell.folder / run["run"]
    assert {path.name for path in folder.iterdir()} == {
        "config.yaml", "run.json", "metrics.jsonl", "predictions.parquet", "adapter",
    }  # fmt: skip
    record = json.loads((folder / "run.json").read_text())
    for key in ("schema_version", "config", "config_sha256", "data", "base", "seed", "engine", "precision", "precision_reason",
                "attention", "versions", "git", "hardware", "seconds", "fit", "metrics", "status"):  # fmt: skip
        assert key in record, key
    assert {"tokens", "padding_share", "peak_bytes", "train_seconds"} <= set(record["fit"])


def test_predictions_hold_every_example_once(shell, run):
    import pyarrow.parquet as pq

    rows = pq.read_table(shell.folder / "run" / "predictions.parquet").to_pylist()
    for split in ("validation", "test"):
        indices = [row["index"] for row in rows if row["split"] == split]
        assert indices == list(range(run["data"]["examples"][split]))
    assert all(len(row["logits"]) == 3 for row in rows)


def test_evaluate_repeats_the_recorded_metrics_in_a_fresh_process(shell, run):
    for target in ("run", "run/adapter"):
        done = shell("evaluate", target, "--json")
        assert done.code == 0, done.err
        assert done.json["metrics"] == run["metrics"]
        assert done.json["fingerprint_difference"] == 0.0


def test_evaluate_prints_tables_for_people(shell, here, run):
    done = here("evaluate", "run")
    assert done.code == 0
    for words in ("Verified", "accuracy", "macro-F1", "MCC", "Per class", "Confusion", "bad", "fair", "good"):
        assert words in done.out


def test_evaluate_takes_a_file_of_new_texts(shell, here, run):
    (shell.folder / "new.csv").write_text("text,label\na wonderful film,good\nawful and boring,bad\n")
    done = here("evaluate", "run/adapter", "--data", "new.csv", "--json")
    assert done.code == 0, done.err
    assert done.json["n"] == 2


def test_predict_prints_one_json_line_a_text(shell, run):
    done = shell("predict", "run/adapter", "a wonderful film", "awful and boring")
    assert done.code == 0, done.err
    lines = [json.loads(line) for line in done.out.splitlines()]
    assert len(lines) == 2
    for line in lines:
        assert set(line) == {"label", "score", "scores"}
        assert list(line["scores"]) == ["bad", "fair", "good"]
        assert line["scores"][line["label"]] == line["score"] == max(line["scores"].values())
        assert sum(line["scores"].values()) == pytest.approx(1)


def test_predict_and_evaluate_in_bf16_when_asked_to(here, run):
    exact, half = (here("predict", "run", "a wonderful film", "--precision", name, "--json").json for name in ("fp32", "bf16"))
    assert half["label"] == exact["label"]
    assert 0 < abs(half["score"] - exact["score"]) < 0.05
    document = here("evaluate", "run", "--precision", "bf16", "--json").json
    assert document["precision"] == "bf16"
    assert document["metrics"]["accuracy"]["value"] == pytest.approx(run["metrics"]["accuracy"]["value"], abs=0.1)


def test_predict_reads_a_file_and_gives_the_same_answers_as_words(shell, here, run):
    texts = ["a wonderful film", "awful and boring"]
    words = here("predict", "run", *texts, "--json").json
    (shell.folder / "texts.csv").write_text("text\n" + "\n".join(texts) + "\n")
    file = here("predict", "run", "--file", "texts.csv", "--json").json
    assert [line["label"] for line in words] == [line["label"] for line in file]


def test_one_flipped_byte_or_a_missing_file_is_refused(shell, run, monkeypatch):
    monkeypatch.chdir(shell.folder)
    whole, broken = shell.folder / "run" / "adapter", shell.folder / "broken"
    adapters.verify(whole)
    for name in sorted(path.name for path in whole.iterdir()):
        for damage in (_flip_a_byte, Path.unlink):
            shutil.rmtree(broken, ignore_errors=True)
            shutil.copytree(whole, broken)
            damage(broken / name)
            with pytest.raises(InputError, match=name):
                adapters.verify(broken)


def _flip_a_byte(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(bytes(content))


def test_every_command_that_loads_a_broken_adapter_refuses_it(shell, run):
    broken = shell.folder / "flipped"
    shutil.copytree(shell.folder / "run" / "adapter", broken)
    _flip_a_byte(broken / "adapter_model.safetensors")
    for command in (("evaluate", "flipped"), ("predict", "flipped", "a text")):
        done = shell(*command)
        assert done.code == 2
        assert "adapter_model.safetensors was changed" in done.err
        assert "Traceback" not in done.err


def test_two_runs_of_one_seed_are_bit_identical_and_another_seed_differs(shell, here, workplace):
    weights = {}
    for name, seed in (("one", "42"), ("again", "42"), ("other", "43")):
        run_here = shell if name == "again" else here
        done = run_here("train", *workplace, "--out", name, "--train.seed", seed, "--data.split_seed", "42", "--json")
        assert done.code == 0, done.err
        weights[name] = (shell.folder / name / "adapter" / "adapter_model.safetensors").read_bytes()
    assert weights["again"] == weights["one"]
    assert weights["other"] != weights["one"]


def test_the_baselines_change_nothing_in_what_is_trained(shell, here, workplace):
    assert here("train", *workplace, "--out", "with", "--json").code == 0
    assert here("train", *workplace, "--out", "without", "--train.baselines", "false", "--json").code == 0
    weights = [(shell.folder / name / "adapter" / "adapter_model.safetensors").read_bytes() for name in ("with", "without")]
    assert weights[0] == weights[1]
