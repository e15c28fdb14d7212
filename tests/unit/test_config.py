"""One truth for every knob: precedence, refusals that name the nearest key, hashes that notice every change."""

import dataclasses
import functools
import itertools
import json
import os
import re
import typing
from pathlib import Path

import pytest

from lorabert import config, ranges
from lorabert.config import DEFAULT_LEARNING_RATE, METHODS, LoraConfig, RunConfig, options_parser, parse, run_config
from lorabert.errors import InputError

SECTIONS = {section.name: section.default_factory for section in dataclasses.fields(RunConfig)}
KNOBS = [(section, knob.name) for section, kind in SECTIONS.items() for knob in dataclasses.fields(kind)]


@functools.cache
def parser() -> object:
    """One parser for all: building it takes most of the time."""
    return options_parser("lorabert train", "", with_config=True)


def configured(*words: str) -> RunConfig:
    return run_config(parse(parser(), list(words)))


def yaml_file(text: str, name: str = "c.yaml") -> str:
    Path(name).write_text(text, encoding="utf-8")
    return name


def another(section: str, name: str) -> object:
    """A value of the knob's type that is not its default and is within its range."""
    kind = typing.get_type_hints(SECTIONS[section])[name]
    default = getattr(getattr(RunConfig(), section), name)
    special = {"target_modules": ["query"], "modules_to_save": ["pooler"], "init_lora_weights": "gaussian", "lora_alpha": 7}
    special |= {"head_init": "probe", "calibration": "none"}
    if name in special:
        return special[name]
    choices = [value for value in typing.get_args(kind) if isinstance(value, str) and value != default]
    if choices:
        return choices[0]
    if isinstance(default, bool):
        return not default
    if isinstance(default, int) or kind == (int | None):
        return (default or 0) + 3
    if isinstance(default, float) or kind == (float | None):
        return (default or 0.0) + 0.25
    return "another"


# ---- precedence


@pytest.mark.parametrize("place", range(3))
def test_an_option_wins_over_the_file_wherever_the_file_stands_on_the_line(place):
    yaml_file("train: {seed: 1, num_train_epochs: 9}\n")
    words = [["--train.seed", "2"], ["--lora.r", "4"]]
    words.insert(place, ["--config", "c.yaml"])
    found = configured(*itertools.chain(*words))
    assert (found.train.seed, found.train.num_train_epochs, found.lora.r) == (2, 9, 4)
    assert configured("--config", "c.yaml").train.seed == 1  # the file does count when no option speaks
    assert configured().train.seed == 42


def test_the_equals_form_of_config_is_an_option_like_the_other():
    yaml_file("train: {seed: 1, logging_steps: 5}\n")
    found = configured("--train.seed=2", "--config=c.yaml")
    assert (found.train.seed, found.train.logging_steps) == (2, 5)


def test_the_later_of_two_files_wins_and_an_option_between_them_over_both():
    yaml_file("train: {seed: 1, logging_steps: 5}\n", "a.yaml")
    yaml_file("train: {seed: 3}\n", "b.yaml")
    found = configured("--config", "a.yaml", "--config", "b.yaml")
    assert (found.train.seed, found.train.logging_steps) == (3, 5)
    assert configured("--config", "a.yaml", "--train.seed", "2", "--config", "b.yaml").train.seed == 2


def test_load_takes_overrides():
    yaml_file("train: {seed: 1}\n")
    assert config.load("c.yaml", ["--train.seed", "2"]).train.seed == 2


# ---- refusals


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("train.learning_rat", "train.learning_rate"),
        ("train.sed", "train.seed"),
        ("lora.alpha", "lora.lora_alpha"),
        ("learning_rate", "train.learning_rate"),
        ("trian.seed", "train.seed"),
        ("data.lable", "data.label"),
        ("model.maxlength", "model.max_length"),
        ("train.lr", "train.learning_rate"),
        ("lr", "train.learning_rate"),
        ("train.batch_size", "train.per_device_train_batch_size"),
        ("train.batch-size", "train.per_device_train_batch_size"),
        ("train.epochs", "train.num_train_epochs"),
        ("epochs", "train.num_train_epochs"),
        ("lora.rank", "lora.r"),
        ("lora.alpha_", "lora.lora_alpha"),
        ("model.max_seq_length", "model.max_length"),
    ],
)
@pytest.mark.parametrize("where", ["line", "file"])
def test_an_unknown_key_is_refused_with_the_nearest_match(key, nearest, where):
    section, _, name = key.rpartition(".")
    text = f"{section}: {{{name}: 1}}\n" if section else f"{name}: 1\n"
    words = ["--config", yaml_file(text)] if where == "file" else [f"--{key}", "1"]
    with pytest.raises(InputError, match="Unknown option or key") as refused:
        configured(*words)
    assert refused.value.got == f"`{key}`" + (f" in {words[1]}" if where == "file" else "")
    assert refused.value.fix.startswith(f"Did you mean `{nearest}`?")


@pytest.mark.parametrize("key", ["tran", "modl", "lorra", "train.dat"])
def test_a_section_is_never_the_nearest_match(key):
    with pytest.raises(InputError) as refused:
        configured(f"--{key}", "1")
    assert [section for section in SECTIONS if f"`{section}`" in refused.value.fix] == []


def test_every_usual_name_of_an_option_leads_to_one_that_there_is():
    options = {".".join(knob) for knob in KNOBS}
    assert set(config.USUAL_NAMES.values()) <= options
    assert [name for name in config.USUAL_NAMES if any(option.endswith(f".{name}") for option in options)] == []


def test_an_option_of_another_command_is_not_advised():
    other = options_parser("lorabert serve", "")
    other.add_argument("--port", type=int)
    with pytest.raises(InputError) as refused:
        parse(other, ["--batch_size", "3"])
    assert refused.value.fix == "See `lorabert serve --help`"


@pytest.mark.parametrize("value", ["3", "reviews.csv"])
def test_a_section_that_gets_a_value_on_the_line_is_refused(value):
    Path("reviews.csv").write_text("text,label\na,x\n")
    with pytest.raises(InputError, match=rf"`train` is a section\. Got '{value}'\. Expected keys below it"):
        configured("--train", value)


def test_an_abbreviated_option_is_not_guessed():
    with pytest.raises(InputError, match="Unknown option"):
        configured("--train.learning", "0.1")


@pytest.mark.parametrize("where", ["line", "file"])
@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("train.learning_rate", "2e-4x", "a number"),
        ("train.num_train_epochs", "1.5", "a whole number"),
        ("train.seed", "true", "a whole number"),
        ("train.method", "lorra", "lora, full, bitfit or head"),
        ("train.warmup", "inf", "a number"),
        ("lora.use_dora", "perhaps", "true or false"),
        ("lora.bias", "some", "none"),
    ],
)
def test_a_value_of_the_wrong_type_is_refused_with_key_value_and_type(key, value, expected, where):
    section, name = key.split(".")
    words = [f"--{key}", value] if where == "line" else ["--config", yaml_file(f"{section}: {{{name}: {value}}}\n")]
    with pytest.raises(InputError) as refused:
        configured(*words)
    assert f"`{key}`" in str(refused.value)
    assert value.lower() in str(refused.value).lower()
    assert expected in refused.value.expected


def test_a_choice_is_refused_with_the_words_there_are():
    from lorabert.shipping.serving.settings import Settings

    serve = options_parser("lorabert serve", "")
    serve.add_class_arguments(Settings, None)
    with pytest.raises(InputError, match=r"`precision`.*'half'.*Expected fp32, bf16 or auto"):
        parse(serve, ["--precision", "half"])


def test_every_number_out_of_range_is_named_in_one_message():
    wrong = {
        "model.max_length": "2", "lora.r": "0", "lora.lora_alpha": "0", "lora.lora_dropout": "1", "train.learning_rate": "1",
        "train.num_train_epochs": "0", "train.per_device_train_batch_size": "0", "train.per_device_eval_batch_size": "0",
        "train.gradient_accumulation_steps": "0", "train.weight_decay": "-0.1", "train.warmup": "-1",
        "train.max_grad_norm": "-1", "train.logging_steps": "0", "train.early_stopping_patience": "-1",
        "train.loraplus_lr_ratio": "0", "train.seed": "4294967296", "data.limit": "0",
        "data.validation_share": "1", "data.test_share": "0",
    }  # fmt: skip
    with pytest.raises(InputError) as refused:
        configured(*itertools.chain(*((f"--{key}", value) for key, value in wrong.items())))
    assert [key for key in wrong if f"{key} " not in str(refused.value)] == []


@pytest.mark.parametrize("value", [".nan", ".inf", "-.inf", "1e18", "-1e18"])
@pytest.mark.parametrize("where", ["line", "file"])
@pytest.mark.parametrize("key", ranges.RANGES)
def test_no_number_is_without_an_end(key, value, where):
    section, name = key.split(".")
    if isinstance(getattr(getattr(RunConfig(), section), name), int) and "1e18" in value:
        value = value.replace("1e18", f"{10**18}")
    words = [f"--{key}={value}"] if where == "line" else ["--config", yaml_file(f"{section}: {{{name}: {value}}}\n")]
    with pytest.raises(InputError) as refused:
        configured(*words)
    assert key in str(refused.value)


def test_every_number_has_a_range():
    numbers = [
        f"{section}.{name}"
        for section, name in KNOBS
        if {int, float} & {kind := typing.get_type_hints(SECTIONS[section])[name], *typing.get_args(kind)}
    ]
    assert sorted(ranges.RANGES) == sorted(numbers)


@pytest.mark.parametrize("key", ["lora.r", "train.seed", "train.learning_rate"])
def test_a_number_of_thousands_of_digits_is_refused_in_a_line(key):
    with pytest.raises(InputError) as refused:
        configured(f"--{key}={'9' * 5_000}")
    assert key in str(refused.value)
    assert len(str(refused.value)) < 500


@pytest.mark.parametrize("value", ["0", "1", "-1e-4"])
def test_a_learning_rate_at_or_beyond_its_ends_is_refused(value):
    with pytest.raises(InputError, match="above 0 and below 1"):
        configured(f"--train.learning_rate={value}")


def test_a_single_fold_is_refused():
    with pytest.raises(InputError, match="folds 1, which would leave nothing to train on"):
        configured("--train.folds", "1")
    assert configured("--train.folds", "2").train.folds == 2


def test_early_stopping_without_checkpoints_is_refused():
    with pytest.raises(InputError, match="early stopping"):
        configured("--train.early_stopping_patience", "1", "--train.save_strategy", "no")
    assert configured("--train.early_stopping_patience", "1").train.early_stopping_patience == 1


@pytest.mark.parametrize("method", ["full", "bitfit", "head"])
def test_lora_plus_without_lora_is_refused(method):
    with pytest.raises(InputError, match=f"loraplus_lr_ratio 16 with method {method}"):
        configured("--train.loraplus_lr_ratio", "16", "--train.method", method)
    assert configured("--train.loraplus_lr_ratio", "16").train.loraplus_lr_ratio == 16


def test_a_missing_file_is_refused_by_name():
    with pytest.raises(InputError, match=r"no such configuration file.*nowhere\.yaml"):
        configured("--config", "nowhere.yaml")


@pytest.mark.parametrize("text", ["- a\n", "a: [\n", "\0", "just words\n", ""], ids=["list", "broken", "nul", "scalar", "empty"])
def test_a_file_that_is_no_mapping_is_refused(text):
    with pytest.raises(InputError):
        configured("--config", yaml_file(text))


@pytest.mark.parametrize("text", ["", "\n", "# nothing yet\n"])
def test_a_file_that_sets_nothing_is_refused_in_words(text):
    with pytest.raises(InputError, match=r"sets nothing\. Got .*(an empty file|# nothing yet).*\. Expected YAML"):
        configured("--config", yaml_file(text))


@pytest.mark.parametrize("text", ["text,label\n" + "a film,good\n" * 999, f"train: {{seed: {list(range(999))}}}\n"])
def test_a_long_value_is_cut_in_the_message(text):
    with pytest.raises(InputError) as refused:
        configured("--config", yaml_file(text))
    assert 200 <= len(refused.value.got) <= 210
    assert refused.value.got.rstrip("'").endswith("…")


@pytest.mark.parametrize("words", [["--config"], ["word"], ["--train.seed"], ["--lora", "nope"], ["--config", "."]])
def test_a_malformed_line_is_refused(words):
    with pytest.raises(InputError):
        configured(*words)


@pytest.mark.parametrize("section", ["model", "train"])
def test_a_section_that_is_no_mapping_is_refused(section):
    with pytest.raises(InputError):
        configured("--config", yaml_file(f"{section}: 3\n"))


def test_a_file_in_another_encoding_is_refused():
    Path("c.yaml").write_bytes("data: {text: café}\n".encode("cp1252"))
    with pytest.raises(InputError):
        configured("--config", "c.yaml")


def test_a_negative_split_seed_is_refused():
    with pytest.raises(InputError, match="split_seed"):
        configured("--data.split_seed", "-1")


# ---- resolving, hashing, dumping


@pytest.mark.parametrize("method", METHODS)
def test_a_method_brings_its_learning_rate_unless_one_is_given(method):
    assert configured("--train.method", method).train.learning_rate == DEFAULT_LEARNING_RATE[method]
    assert configured("--train.method", method, "--train.learning_rate", "0.01").train.learning_rate == 0.01


def test_the_split_seed_follows_the_seed_unless_it_is_given():
    assert configured("--train.seed", "7").data.split_seed == 7
    assert configured("--train.seed", "7", "--data.split_seed", "0").data.split_seed == 0


def test_resolving_again_changes_nothing():
    resolved = configured("--train.seed", "7")
    assert resolved.resolved() == resolved


@pytest.mark.parametrize(("section", "name"), KNOBS, ids=[".".join(knob) for knob in KNOBS])
def test_changing_any_knob_changes_the_dictionary_and_the_hash(section, name):
    before = RunConfig()
    value = another(section, name)
    changed = dataclasses.replace(before, **{section: dataclasses.replace(getattr(before, section), **{name: value})})
    assert changed.to_dict()[section][name] == value
    differing = [knob for knob in KNOBS if changed.to_dict()[knob[0]][knob[1]] != before.to_dict()[knob[0]][knob[1]]]
    assert differing == [(section, name)]
    assert changed.sha256() != before.sha256()
    assert dataclasses.replace(before).sha256() == before.sha256()


def as_word(value: object) -> str:
    """A value as one writes it on the line."""
    return json.dumps(value) if isinstance(value, (list, bool)) else str(value)


def test_every_knob_is_an_option_and_survives_yaml_and_the_record():
    values = {knob: another(*knob) for knob in KNOBS}
    # The other save_strategy and the other ratio forbid these; folds leave nothing to set aside.
    values |= {("train", "early_stopping_patience"): 0, ("train", "method"): "lora", ("data", "validation_share"): 0.0}
    values[("lora", "layers")] = "top-3"
    found = configured(*(f"--{section}.{name}={as_word(value)}" for (section, name), value in values.items()))
    assert {knob: getattr(getattr(found, knob[0]), knob[1]) for knob in KNOBS} == values
    assert config.from_dict(found.to_dict()) == found
    assert configured("--config", yaml_file(config.dump(found))) == found
    assert config.load("c.yaml").sha256() == found.sha256()


@pytest.mark.parametrize("words", [["1", "yes", "2024-01-01", "a: b"], ["[a]", "'q'", "naïve", " x"], ["a\nb", "", "-", "{}"]])
def test_a_column_of_any_name_survives_yaml_and_the_record(words):
    before = RunConfig()
    columns = dict(zip(("text", "text_pair", "label", "group"), words, strict=True))
    named = dataclasses.replace(before, data=dataclasses.replace(before.data, **columns)).resolved()
    assert config.from_dict(named.to_dict()) == named
    assert configured("--config", yaml_file(config.dump(named))) == named


def test_a_revision_that_looks_like_a_float_survives_yaml():
    before = RunConfig()
    named = dataclasses.replace(before, model=dataclasses.replace(before.model, revision="12e4567")).resolved()
    assert configured("--config", yaml_file(config.dump(named))) == named


def test_one_number_written_in_two_ways_is_one_configuration():
    yaml_file("train: {weight_decay: 0, learning_rate: 5e-4, warmup: 1}\n", "a.yaml")
    yaml_file("train: {weight_decay: 0.0, learning_rate: 0.0005, warmup: 1.0}\n", "b.yaml")
    assert config.load("a.yaml").sha256() == config.load("b.yaml").sha256()
    assert config.load("a.yaml").sha256() == configured("--train.weight_decay", "0", "--train.learning_rate", "5e-4",
                                                        "--train.warmup", "1").sha256()  # fmt: skip


def test_target_modules_are_a_word_or_a_list():
    assert configured("--lora.target_modules", "all-linear").lora.target_modules == "all-linear"
    assert configured("--lora.target_modules", '["key", "query"]').lora.target_modules == ["key", "query"]
    assert configured("--config", yaml_file("lora: {target_modules: [key]}\n")).lora.target_modules == ["key"]


@pytest.mark.parametrize("change", [{"learning_rte": 1}, {"learning_rate": "2e-4x"}, {"seed": None}])
def test_a_record_that_this_version_cannot_read_is_refused(change):
    sections = RunConfig().to_dict()
    sections["train"] |= change
    with pytest.raises(InputError, match=r"learning_rate|seed"):
        config.from_dict(sections)


def test_a_configuration_cannot_be_changed_in_place():
    with pytest.raises(dataclasses.FrozenInstanceError):
        LoraConfig().r = 4


def test_the_help_tells_the_learning_rates_that_are_used():
    help_text = " ".join(options_parser("lorabert train", "", with_config=True).format_help().split())
    told = re.search(r"by default (.*?) \(type", help_text)[1]
    assert {method: float(rate) for rate, method in re.findall(r"(\S+) for (\w+)", told)} == DEFAULT_LEARNING_RATE


def test_every_knob_has_its_help_beneath_it():
    help_text = options_parser("lorabert train", "", with_config=True).format_help()
    assert [".".join(knob) for knob in KNOBS if f"--{'.'.join(knob)}" not in help_text] == []
    assert "Numerator of the scale" in help_text


@pytest.mark.parametrize("name", ["course", "quickstart"])
def test_a_preset_is_found_by_its_name(name):
    assert config.load(config.preset_path(name)).lora.r == 8


def test_an_unknown_preset_is_refused_with_those_there_are():
    with pytest.raises(InputError, match=r"course.*quickstart"):
        config.preset_path("coarse")


def test_help_fills_paragraphs_and_keeps_the_lines_of_examples(monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    text = f"{'word ' * 20}\n\n  an example      what it does\n  another         what that does\n\nThe\nend."
    shown = config.options_parser("lorabert x", text).format_help()
    assert "\n\n  an example      what it does\n  another         what that does\n\nThe end.\n" in shown
    assert max(map(len, shown.splitlines())) <= 60


@pytest.mark.parametrize("words", [("--data.train", ""), ("--data.train=",), ("--train.seed", " "), ("--out=",)])
def test_an_empty_value_is_not_taken_for_one_that_is_left_out(words):
    parser = options_parser("lorabert train", "", with_config=True)
    parser.add_argument("--out", type=str, default=None)
    with pytest.raises(InputError, match=rf"`{words[0].rstrip('=')}` was given nothing.*leave it out"):
        parse(parser, [*words])


def test_a_section_reads_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="`model` is a section"):
        configured("--model", str(tmp_path / "pipe"))


def test_a_pipe_is_no_configuration(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match=r"is a pipe.*--config -"):
        configured("--config", str(tmp_path / "pipe"))


def test_a_record_is_no_configuration_and_the_one_beside_it_is_named(tmp_path):
    (tmp_path / "run.json").write_text('{"config": {"train": {"seed": 1}}}')
    (tmp_path / "config.yaml").write_text("train: {seed: 1}")
    with pytest.raises(InputError, match=r"a key 'config' in it.*Name .*config\.yaml"):
        configured("--config", str(tmp_path / "run.json"))


def test_a_word_that_yaml_keeps_for_itself_is_a_word():
    assert configured("--data.label", "=").data.label == "="


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--train.seed", "x"), "Expected a whole number."),
        (("--data.test_share", "1,5"), "Expected a number."),
        (("--data.skip_bad_rows", "maybe"), "Expected true or false."),
        (("--lora.modules_to_save", "head"), "Expected names such as [query,value]."),
        (("--lora.init_lora_weights", "x"), "Expected true or false, gaussian, pissa, olora or orthogonal."),
        (("--train.head_init", "x"), "Expected random or probe."),
    ],
)
def test_what_an_option_takes_is_said_in_words(words, expected):
    with pytest.raises(InputError) as refused:
        configured(*words)
    assert expected in str(refused.value)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["--split", "tset"],
            "`--split` has a value it cannot take. Got 'tset'. Expected one of train, test. Did you mean test? See",
        ),
        (["--split"], "`--split` has no value."),
        (["x", "y"], "The command takes no such word. Got `y`."),
        ([], "The command lacks target."),
    ],
)
def test_what_argparse_says_is_said_in_our_words(words, said):
    parser = options_parser("lorabert evaluate", "")
    parser.add_argument("target")
    parser.add_argument("--split", choices=["train", "test"])
    with pytest.raises(InputError) as refused:
        parse(parser, words)
    assert said in str(refused.value)


def test_an_unknown_key_of_a_file_is_said_to_be_in_it(tmp_path):
    (tmp_path / "comparison.json").write_text('{"plan": {"seeds": [1]}}')
    with pytest.raises(InputError, match=r"`plan[\w.]*` in .*comparison\.json"):
        configured("--config", str(tmp_path / "comparison.json"))
