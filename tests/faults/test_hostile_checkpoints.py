"""Checkpoints and records of a run cut short, as anybody may have left them: --resume refuses in words, or goes on."""

import contextlib
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import tiny
from lorabert import config
from lorabert.cli import main
from lorabert.studies import experiment

WORDS = ["--model.name", "base", "--model.max_length", "32", "--train.num_train_epochs", "2", "--train.recipe", "course",
         "--train.precision", "fp32", "--train.baselines", "false", "--data.train", "data.csv"]  # fmt: skip


@pytest.fixture
def cut() -> Path:
    """The newest checkpoint of a run that was cut short in its second epoch."""
    tiny.build_base(Path("base"))
    texts, labels = tiny.reviews(60, classes=2, seed=2)
    tiny.write_csv(Path("data.csv"), texts, [tiny.CLASS_NAMES[label] for label in labels])
    settings = config.run_config(config.parse(config.options_parser("lorabert train", "", with_config=True), WORDS))

    def watch(event):
        if event["epoch"] >= 2:
            raise experiment.Stopped("a kill")

    with contextlib.suppress(experiment.Stopped):
        experiment.train(settings, out=Path("run"), say=lambda _: None, watch=watch)
    (place,) = Path("run/checkpoints").iterdir()
    return place


def resumed(capsys) -> tuple[int, str]:
    code = main(["train", *WORDS, "--resume", "--out", "run"])
    err = capsys.readouterr().err
    assert "This is a bug" not in err
    return code, err


def test_tensors_of_another_training_are_refused(cut, capsys):
    whole = load_file(cut / "tensors.safetensors")
    weight = next(name for name in whole if name.startswith("weight/"))
    moment, step = weight.replace("weight", "exp_avg", 1), weight.replace("weight", "step", 1)
    changes = (
        {weight: None}, {weight: whole[weight].double()}, {weight: whole[weight].reshape(-1)[:1]}, {moment: None},
        {moment: whole[moment].double()}, {step: torch.zeros(3)}, {"bits": None}, {"bits": torch.full((1, 1), torch.nan)},
    )  # fmt: skip
    for change in changes:
        save_file({name: tensor for name, tensor in (whole | change).items() if tensor is not None}, cut / "tensors.safetensors")
        code, err = resumed(capsys)
        assert (code, "not of this training" in err) == (2, True), (list(change), err)
    save_file(whole, cut / "tensors.safetensors")
    assert resumed(capsys)[0] == 0


@pytest.mark.parametrize(
    "change", [{"step": -1}, {"epochs": "2"}, {"best_step": "../../x"}, {"seconds": None}, {"waited": 1e400}]
)
def test_progress_of_other_types_is_refused(cut, capsys, change):
    file = cut / "progress.json"
    file.write_text(json.dumps(json.loads(file.read_bytes()) | change), encoding="utf-8")
    code, err = resumed(capsys)
    assert code == 2
    assert "progress.json" in err


def test_what_a_recipe_chose_is_held_to_the_types_of_the_options(cut, capsys):
    record = json.loads(Path("run/run.json").read_bytes())
    for value in (10**18, ["x"] * 3, {"a": 1}, 1e300):
        record["recipe"]["chosen"]["lora.target_modules"] = value
        Path("run/run.json").write_text(json.dumps(record), encoding="utf-8")
        assert resumed(capsys)[0] == 2


def test_a_run_that_is_done_with_events_that_tell_nothing_is_no_bug(cut, capsys):
    assert resumed(capsys)[0] == 0
    with Path("run/metrics.jsonl").open("a", encoding="utf-8") as file:
        file.write('{}\n{"event": "validation"}\n')
    code, err = resumed(capsys)
    assert code == 2
    assert "metrics.jsonl is damaged" in err
