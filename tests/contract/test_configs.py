"""Every shipped configuration is a test case, and an unknown key fails."""

import re
from pathlib import Path

import pytest
import yaml

from lorabert import config
from lorabert.cli import VERBS
from lorabert.cli.verbs.compare import asked
from lorabert.errors import InputError

ROOT = Path(__file__).parents[2]
RUNS = sorted((ROOT / "configs").glob("*.yaml"))
STUDIES = sorted((ROOT / "configs" / "studies").glob("*.yaml"))
SHIPPED = [*RUNS, *STUDIES]


@pytest.mark.parametrize("path", RUNS, ids=lambda path: path.stem)
def test_shipped_configuration_loads_and_survives_a_round_trip(path, tmp_path):
    settings = config.load(path)
    (tmp_path / "copy.yaml").write_text(config.dump(settings))
    assert config.load(tmp_path / "copy.yaml") == settings
    assert config.from_dict(settings.to_dict()) == settings


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_configuration_opens_with_its_command(path):
    command = re.search(r"lorabert (\w+) .*", path.read_text().splitlines()[0])
    assert command
    assert command[1] in VERBS


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_shipped_study_is_a_plan_and_its_first_line_is_the_command(path, monkeypatch):
    monkeypatch.chdir(ROOT)
    words = path.read_text(encoding="utf-8").splitlines()[0].partition("lorabert compare ")[2].split()
    plan, _ = asked(words)
    assert plan.to_dict() == asked(["--config", str(path)])[0].to_dict()
    assert plan.systems
    assert plan.tasks
    assert all(plan.run_config(task, system, plan.seeds[-1]) for task in plan.tasks for system in plan.systems)


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_one_unknown_key_in_a_task_or_a_system_is_refused(path, tmp_path):
    for part in ("tasks", "methods"):
        content = yaml.safe_load(path.read_text())
        content[part] = {name: {**(options or {}), "train.sead": 1} for name, options in content[part].items()}
        (tmp_path / "typo.yaml").write_text(yaml.safe_dump(content))
        with pytest.raises(InputError, match="sead"):
            asked(["--config", str(tmp_path / "typo.yaml")])


@pytest.mark.parametrize("path", RUNS, ids=lambda path: path.stem)
def test_one_unknown_key_in_any_section_is_refused(path, tmp_path):
    for section in ("model", "data", "lora", "train"):
        content = yaml.safe_load(path.read_text())
        content.setdefault(section, {})["sead"] = 1
        (tmp_path / "typo.yaml").write_text(yaml.safe_dump(content))
        with pytest.raises(InputError, match="sead"):
            config.load(tmp_path / "typo.yaml")


def test_the_two_presets_differ_only_where_they_must():
    course, quickstart = (config.load(config.preset_path(name)) for name in ("course", "quickstart"))
    assert course.lora == quickstart.lora
    assert course.lora.lora_dropout == 0.1
    assert (course.lora.r, course.lora.lora_alpha, course.lora.target_modules) == (8, 32, ["query", "value"])
    assert course.train.learning_rate == 5e-5 < quickstart.train.learning_rate
    for name in ("num_train_epochs", "per_device_train_batch_size", "logging_steps", "save_strategy"):
        assert getattr(course.train, name) == getattr(quickstart.train, name)


def test_unknown_preset_lists_those_there_are():
    with pytest.raises(InputError, match=r"course, .*quickstart"):
        config.preset_path("nope")
