"""Every knob, once: typed dataclasses are the only defaults; the command line, its help and its checks derive from them."""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import itertools
import json
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args, get_origin

from lorabert import documents, mistaken, ranges
from lorabert.errors import InputError

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser

Method = Literal["lora", "full", "bitfit", "head"]
Device = Literal["auto", "cpu", "cuda", "mps"]
METHODS: tuple[Method, ...] = ("lora", "full", "bitfit", "head")

# LoRA and the other small sets of weights want rates ten to twenty times those of full fine-tuning
# (Hu et al. 2021, table 9: 4e-4 to 5e-4; Devlin et al. 2019, appendix A.3: 2e-5 to 5e-5 for full fine-tuning). A head alone
# wants more: after three epochs it is 9 to 22 points better at 1e-2 than at 1e-3 (docs/results.md).
DEFAULT_LEARNING_RATE: dict[Method, float] = {"lora": 5e-4, "full": 5e-5, "bitfit": 1e-3, "head": 1e-2}


@dataclass(frozen=True)
class ModelConfig:
    """The frozen base."""

    name: str = "minilm-l6"
    """Base encoder: an asset (`lorabert data list`), a hub id such as bert-base-uncased, or a local folder."""
    revision: str | None = None
    """Branch, tag or commit of a hub base; the commit it stands for is recorded."""
    max_length: int | None = None
    """Longest text in tokens; longer ones are cut at the end, and the share that was cut is reported. By default the recipe's."""


@dataclass(frozen=True)
class DataConfig:
    """The texts and their labels."""

    name: str | None = None
    """A hub data set id such as stanfordnlp/sst2, or an asset (`lorabert data list`)."""
    subset: str | None = None
    """Configuration of a hub data set that has several, such as sst2 of nyu-mll/glue."""
    train: str | None = None
    """CSV, TSV, JSON, JSONL or Parquet file to train on, gzipped or not; alone, it is split into train, validation and test."""
    validation: str | None = None
    """File to select on; without one a share of train is set aside."""
    test: str | None = None
    """File to report on; without one a share of train is set aside."""
    text: str | None = None
    """Column that holds the text; found by its name when not given."""
    text_pair: str | None = None
    """Column that holds a second text, for tasks on pairs of texts."""
    label: str | None = None
    """Column that holds the label; found by its name when not given."""
    group: str | None = None
    """Column whose equal values must stay on one side of a split, such as the author or the film."""
    limit: int | None = None
    """Use at most this many examples of each split (a seeded sample), for a quick try."""
    train_limit: int | None = None
    """Use at most this many labelled texts besides the test split, as if there were no more: validation is set aside from these.
    A larger number holds the texts of a smaller one."""
    draw_seed: int | None = None
    """Seed of the draw that train_limit makes; split_seed when not given."""
    encoding: str = "utf-8"
    """Character encoding of the files, but for Parquet."""
    header: Literal["auto", "first", "none"] = "auto"
    """First row of CSV and TSV files: auto refuses one that looks like data; first: it names the columns, whatever it looks
    like; none: it is data, and the columns are column_1, column_2 and so on."""
    skip_bad_rows: bool = False
    """Leave out the rows of files that cannot be used, with their number on the screen and in the record; otherwise they are
    named and the file is refused."""
    validation_share: float = 0.1
    """Share of train set aside when no validation split is given."""
    test_share: float = 0.1
    """Share of train set aside when no test split is given."""
    split_seed: int | None = None
    """Seed of those shares and of limit; train.seed when not given. Fix it to compare seeds on one split."""


@dataclass(frozen=True)
class LoraConfig:
    """LoRA, in PEFT's words: y = Wx + (lora_alpha / r) B A x."""

    r: int = 8
    """Rank: A is r x in, B is out x r."""
    lora_alpha: int = 32
    """Numerator of the scale lora_alpha / r (lora_alpha / sqrt(r) with use_rslora)."""
    lora_dropout: float = 0.1
    """Dropout on the input of A, in training only."""
    target_modules: list[str] | str | None = None
    """Linear layers to adapt: auto (query and value, whatever the architecture calls them), all-linear, or names. By default
    the recipe's."""
    layers: str = "all"
    """Encoder layers to adapt: all, or the last K as top-K. What lies below is then computed once a text, without dropout, which
    makes steps cheaper."""
    bias: Literal["none", "all", "lora_only"] = "none"
    """Biases to train besides."""
    modules_to_save: list[str] | None = None
    """Further modules to train and save whole; the head and all that is newly initialised always are."""
    use_rslora: bool = False
    """Scale by lora_alpha / sqrt(r) (Kalajdzievski 2023)."""
    use_dora: bool = False
    """Train magnitude and direction apart (Liu et al. 2024)."""
    init_lora_weights: bool | Literal["gaussian", "pissa", "olora", "orthogonal"] = True
    """How A starts; B starts at zero with true and gaussian."""


@dataclass(frozen=True)
class TrainConfig:
    """Training, in the Trainer's words."""

    recipe: Literal["auto", "course"] = "auto"
    """What the options that are not set become: auto fits epochs, warm-up, layers, head and max_length to the data, and says why;
    course has the course project's values, whatever the data."""
    method: Method = "lora"
    """What is trained: lora, full (every weight), bitfit (biases) or head (the classifier alone)."""
    engine: Literal["auto", "fast", "reference"] = "auto"
    """fast computes no padding; reference is Hugging Face Trainer + PEFT; auto is fast where it knows the architecture."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Arithmetic of the matrix products; trained weights stay fp32. auto: bf16 where the processor has it."""
    device: Device = "auto"
    """Where to compute; auto takes a GPU when there is one."""
    seed: int = 42
    """All that is random follows it: head and adapter initialisation, data order, dropout, splits."""
    learning_rate: float | None = None
    """Peak learning rate; by default 5e-4 for lora, 5e-5 for full, 1e-3 for bitfit, 1e-2 for head."""
    loraplus_lr_ratio: float = 1.0
    """LoRA+: the rate of B, and of all vectors, over learning_rate, which stays that of A (Hayou et al. 2024); 1 is LoRA."""
    num_train_epochs: int | None = None
    """Passes over the training split. By default the recipe's: 3, or as many as come to 150 steps."""
    head_init: Literal["random", "probe"] | None = None
    """How the head starts: random, or as a linear probe of the frozen base (Kumar et al. 2022). By default the recipe's."""
    folds: int = 0
    """Train so many adapters besides, each on all texts but a share, to learn from answers to texts they have not seen what the
    adapter is worth and how sure it may be; none are set aside for validation then. 0: none."""
    calibration: Literal["temperature", "none"] | None = None
    """temperature makes the adapter about as sure as it is right, on validation or out-of-fold texts; no label changes by it. By
    default the recipe's."""
    per_device_train_batch_size: int = 16
    """Examples in a batch, per process."""
    per_device_eval_batch_size: int = 32
    """Examples in a batch when predicting; it changes the speed, not the answers."""
    train_sampling_strategy: Literal["random", "group_by_length"] = "random"
    """random batches, or batches of texts of like length: less padding, so faster, with less mixed batches."""
    gradient_accumulation_steps: int = 1
    """Batches whose gradients are added up before one step of the optimizer."""
    weight_decay: float = 0.0
    """AdamW's decoupled weight decay."""
    warmup: float | None = None
    """Share of the steps with a rising learning rate when below 1, otherwise a number of steps. By default the recipe's."""
    lr_scheduler_type: Literal["linear", "cosine", "constant", "constant_with_warmup"] = "linear"
    """Shape of the learning rate after the warm-up."""
    max_grad_norm: float = 1.0
    """Gradients are scaled down to this norm; 0 leaves them alone."""
    logging_steps: int = 100
    """Report the training loss every so many steps."""
    save_strategy: Literal["epoch", "no"] = "epoch"
    """When to leave a checkpoint to resume from."""
    early_stopping_patience: int = 0
    """Stop after so many epochs without a lower validation loss, and keep the best epoch; 0 never stops early."""
    baselines: bool = True
    """Fit the cheap baselines on the same split, to show what the adapter is worth."""
    report_to: Literal["none", "tensorboard", "wandb", "mlflow", "trackio"] = "none"
    """Show losses and learning rate in a tracker as well, which has to be installed; metrics.jsonl has them either way."""

    def warmup_steps(self, steps: int) -> int:
        """How many of a run's steps the learning rate rises over."""
        warmup = self.warmup or 0.0
        return math.ceil(warmup * steps) if warmup < 1 else int(warmup)


# What the recipe `course` makes of options that are not set: the course project's values, and the method's own rate.
COURSE: dict[str, Any] = {
    "model.max_length": 128,
    "lora.target_modules": "auto",
    "train.num_train_epochs": 3,
    "train.head_init": "random",
    "train.warmup": 0.0,
    "train.calibration": "none",
}


@dataclass(frozen=True)
class RunConfig:
    """One run: base, data, method and training."""

    model: ModelConfig = field(default_factory=ModelConfig)
    """The frozen base."""
    data: DataConfig = field(default_factory=DataConfig)
    """The texts and their labels."""
    lora: LoraConfig = field(default_factory=LoraConfig)
    """LoRA, in PEFT's words."""
    train: TrainConfig = field(default_factory=TrainConfig)
    """Training, in the Trainer's words."""

    def resolved(self) -> RunConfig:
        """Check every value and fill in what follows from others: the method's learning rate, the split's seed.

        What the recipe decides stays open: it has to see the data (`studies.experiment.recipe`).

        Raises:
            InputError: a value is out of its range; all of them are named.
        """
        problems = _out_of_range(self)
        if problems:
            raise InputError("The configuration cannot be used", got="; ".join(problems), fix="See `lorabert train --help`")
        rate = self.train.learning_rate or DEFAULT_LEARNING_RATE[self.train.method]
        split_seed = self.train.seed if self.data.split_seed is None else self.data.split_seed
        share = 0.0 if self.train.folds else self.data.validation_share
        return dataclasses.replace(
            self,
            train=dataclasses.replace(self.train, learning_rate=rate),
            data=dataclasses.replace(self.data, split_seed=split_seed, validation_share=share),
        )

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """The configuration as plain sections of keys and values."""
        return dataclasses.asdict(self)

    def with_values(self, values: Mapping[str, Any]) -> RunConfig:
        """The same with some `section.key` replaced."""
        changed = self
        for key, value in values.items():
            section, _, name = key.partition(".")
            part = dataclasses.replace(getattr(changed, section), **{name: value})
            changed = dataclasses.replace(changed, **{section: part})
        return changed

    def sha256(self) -> str:
        """Hash of the canonical JSON form: equal configurations, equal hash."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()


def _out_of_range(config: RunConfig) -> list[str]:
    empty = [
        f"{part.name}.{knob.name} has no value"
        for part in dataclasses.fields(config)
        for knob in dataclasses.fields(getattr(config, part.name))
        if getattr(getattr(config, part.name), knob.name) is None and "None" not in str(knob.type)
    ]
    return empty or _wrong_numbers(config)


def _wrong_numbers(config: RunConfig) -> list[str]:
    train, problems = config.train, ranges.problems(config.to_dict())
    if train.folds == 1:
        problems.append("train.folds 1, which would leave nothing to train on; it must be 0, for none, or at least 2")
    if train.folds and train.early_stopping_patience and not config.data.validation:
        problems.append("train.early_stopping_patience with train.folds, which leaves no validation split to stop by; name one "
                        "with data.validation")  # fmt: skip
    if not config.data.validation_share and not config.data.validation and not train.folds:
        problems.append("data.validation_share 0 without train.folds, which would leave nothing to choose by")
    if train.early_stopping_patience and train.save_strategy == "no":
        problems.append("train.save_strategy no with early stopping, which needs a checkpoint each epoch")
    if not re.fullmatch(r"all|top-[1-9][0-9]{0,3}", config.lora.layers):
        problems.append(f"lora.layers {config.lora.layers!r}; it must be all, or top-K with the number of layers, such as top-3")
    if train.loraplus_lr_ratio != 1 and train.method != "lora":
        problems.append(f"train.loraplus_lr_ratio {train.loraplus_lr_ratio:g} with method {train.method}, which has no B")
    return problems


Options = TypeVar("Options")
Value = TypeVar("Value")


def decided(value: Value | None) -> Value:
    """An option that a recipe has decided, where the types cannot know that it has.

    Raises:
        ValueError: nobody has decided it.
    """
    if value is None:
        raise ValueError("an option is open that the recipe should have decided")
    return value


def options_parser(prog: str, description: str, *, with_config: bool = False) -> ArgumentParser:
    """A parser for one verb; with `with_config` it reads `--config FILE` and every `--section.key` of RunConfig.

    Args:
        prog: the command, such as `lorabert train`.
        description: what it does; lines that begin with spaces are examples, and stay lines.
        with_config: read a configuration.
    """
    from jsonargparse import ActionConfigFile, ArgumentParser, DefaultHelpFormatter, set_loader, set_parsing_settings

    class Help(DefaultHelpFormatter):
        def _fill_text(self, text: str, width: int, indent: str) -> str:
            blocks = itertools.groupby(text.splitlines(), key=lambda line: line.startswith(" ") or not line)
            return "\n".join(
                "\n".join(lines) if as_it_is else super(Help, self)._fill_text(" ".join(lines), width, indent)
                for as_it_is, lines in blocks
            )

    set_parsing_settings(docstring_parse_attribute_docstrings=True, docstring_parse_style=None)
    set_loader("limited", _limited, exceptions=(ValueError,))
    parser = ArgumentParser(
        prog=prog, description=description, exit_on_error=False, allow_abbrev=False, formatter_class=Help, parser_mode="limited"
    )
    if with_config:
        parser.add_argument("--config", action=ActionConfigFile, help="YAML file with the sections below; options win over it.")
        for section in dataclasses.fields(RunConfig):
            parser.add_class_arguments(section.default_factory, section.name)
    return parser


def _limited(text: str) -> Any:
    """What a word of the line or a file's text stands for, as the parser reads YAML, within our limits."""
    import yaml
    from jsonargparse import get_loader

    documents.check(text)
    try:
        return get_loader("yaml")(text)
    except yaml.YAMLError as error:  # such as =, which YAML 1.1 keeps for a use of its own
        raise documents.DocumentError(str(error)) from None


def _spelled(parser: ArgumentParser, argv: list[str]) -> list[str]:
    """The words of a line, its options with dashes or underscores in them as the parser has them."""
    known = {option.replace("_", "-"): option for option in parser._option_string_actions if option.startswith("--")}
    end = argv.index("--") if "--" in argv else len(argv)
    words = (word.partition("=") for word in argv[:end])
    return ["".join((known.get(option.replace("_", "-"), option), *rest)) for option, *rest in words] + argv[end:]


def _check_values(parser: ArgumentParser, argv: list[str]) -> None:
    """Hold the values on a line against the limits: the parser takes some of them for YAML before it asks for their type.

    Raises:
        InputError: one goes beyond them, is empty, or stands behind a section, where the parser would read a file.
    """
    sections = {f"--{option.partition('.')[0].lstrip('-')}" for option in parser._option_string_actions if "." in option}
    for before, word in zip(["", *argv], argv, strict=False):
        if before == "--":
            return
        option, equals, value = word.partition("=") if word.startswith("--") else (before, before.startswith("--"), word)
        if equals and option in sections:
            raise _is_a_section(parser, option.lstrip("-"), value)
        if equals and not value.strip() and _wants_a_value(parser, option):
            raise InputError(f"`{option}` was given nothing", got=f"'{value}', as from a variable that is not set",
                             fix="Give it a value, or leave it out")  # fmt: skip
        try:
            if equals and option != "--config":
                documents.check(value)
        except documents.LimitError as error:
            raise InputError(f"`{option}` has a value it cannot take", got=f"'{_cut(value)}': {error}") from None
        except documents.DocumentError:
            continue


def _wants_a_value(parser: ArgumentParser, option: str) -> bool:
    """Whether an option takes a value that says something; one that is empty by default takes an empty one."""
    action = parser._option_string_actions.get(option)
    return action is not None and action.nargs != 0 and action.default != ""


def _is_a_section(parser: ArgumentParser, section: str, value: str) -> InputError:
    return InputError(f"`{section}` is a section", got=f"'{_cut(value)}'", expected=f"keys below it: --{section}.KEY VALUE",
                      fix=f"See `{parser.prog} --help`")  # fmt: skip


def parse(parser: ArgumentParser, argv: list[str]) -> Any:
    """Parse a verb's arguments: option over file over default, whatever their order on the line.

    Raises:
        InputError: an unknown key (with the nearest known one), a value of the wrong type, an unreadable file.
    """
    from jsonargparse import ArgumentError

    try:
        argv = _spelled(parser, argv)
        _check_values(parser, argv)
        return parser.parse_args(_config_first(argv, "--config" in parser._option_string_actions))
    except UnicodeEncodeError as error:
        raise InputError("The value of an option holds bytes that are no characters here", got=ascii(str(error.object)[:200]),
                         fix="Give the file or folder another name, or a link to it that has one") from None  # fmt: skip
    except (ArgumentError, TypeError, ValueError) as error:
        raise _explained(parser, str(error), _file_behind_config(argv)) from None


def run_config(namespace: Any) -> RunConfig:
    """The RunConfig that a parsed namespace stands for, resolved and checked."""
    for section in dataclasses.fields(RunConfig):
        if not hasattr(getattr(namespace, section.name), "__dict__"):
            raise InputError(
                f"`{section.name}` is a section", got=repr(getattr(namespace, section.name)), expected="keys below it"
            )
    sections = {
        section.name: section.default_factory(**vars(getattr(namespace, section.name)))  # type: ignore[operator]
        for section in dataclasses.fields(RunConfig)
    }
    return RunConfig(**sections).resolved()


def load(path: Path | str, overrides: list[str] | None = None) -> RunConfig:
    """Read a YAML configuration; `overrides` are further `--section.key value` words.

    Raises:
        InputError: the file is missing, is not YAML, or holds an unknown key or a wrong value.
    """
    parser = options_parser("lorabert train", "", with_config=True)
    return run_config(parse(parser, ["--config", str(path), *(overrides or [])]))


def from_dict(sections: dict[str, dict[str, Any]]) -> RunConfig:
    """The configuration that a record or a config.yaml holds.

    Raises:
        InputError: a section or a key that this version does not know.
    """
    from jsonargparse import ArgumentError

    parser = options_parser("lorabert train", "", with_config=True)
    try:
        return run_config(parser.parse_object(sections))
    except (ArgumentError, ValueError, TypeError, KeyError) as error:
        raise _explained(parser, str(error)) from None


def dump(config: RunConfig) -> str:
    """The configuration as YAML, every key written out, in the order of the dataclasses."""
    import yaml

    class Dumper(yaml.SafeDumper):
        """Quotes what another reader of YAML might take for a number, such as the revision 12e4567."""

    def text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
        quotes = '"' if re.match(r"[\d.+-]", value) else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=quotes)

    Dumper.add_representer(str, text)
    return yaml.dump(config.to_dict(), Dumper=Dumper, sort_keys=False, allow_unicode=True)


def preset_path(name: str) -> Path:
    """The shipped YAML of a preset.

    Raises:
        InputError: no preset of that name; the message lists those there are.
    """
    packaged = Path(__file__).parent / "configs"
    folder = packaged if packaged.is_dir() else Path(__file__).parents[2] / "configs"
    path = folder / f"{name}.yaml"
    if not path.is_file():
        known = sorted(entry.stem for entry in folder.glob("*.yaml"))
        raise InputError("No such preset", got=f"'{name}'", expected=f"one of {', '.join(known)}")
    return path


def _config_first(argv: list[str], reads_files: bool) -> list[str]:
    """The words with those of --config before all others, and with a file's text where its name stood."""
    first: list[str] = []
    rest: list[str] = []
    words = iter(argv)
    for word in words:
        if reads_files and (word == "--config" or word.startswith("--config=")):
            _, equals, value = word.partition("=")
            first.append(f"--config={_configuration(value if equals else next(words, None))}")
        else:
            rest.append(word)
    return first + rest


def _configuration(named: str | None) -> str:
    """What a word behind --config stands for: the text of a file or of stdin, or itself where it is YAML.

    Raises:
        InputError: it is none of these, or goes beyond the limits.
    """
    if not named:
        raise InputError("--config has no value", expected="a YAML file")
    inline = named != "-" and (":" in named or "{" in named) and not os.path.exists(named)  # noqa: PTH110 - false of what no file can be called
    try:
        text = named if inline else documents.read(named)
        if not isinstance(documents.load(text) or {}, dict):
            raise InputError("The configuration is not made of keys and values", got=f"'{_line(text)}'", expected=_SUCH_AS)
    except documents.DocumentError as error:
        what = "The configuration" if inline else f"The configuration file {named}"
        raise InputError(f"{what} cannot be used", got=str(error), expected=_SUCH_AS) from None
    except (FileNotFoundError, NotADirectoryError, ValueError):
        if Path(named).is_symlink():
            raise InputError(f"The configuration file {named} is a link that leads nowhere", fix="Name the file itself") from None
        raise InputError("There is no such configuration file", got=_cut(named),
                         fix=mistaken.instead(Path(named)) or "Check the path after --config") from None  # fmt: skip
    except OSError as error:
        raise InputError(f"The configuration file {_cut(named)} cannot be read", got=str(error.strerror),
                         expected="the path of a YAML file") from None  # fmt: skip
    if "config" in (documents.load(text) or {}):  # a record, which has its configuration inside
        beside = Path(named).with_name("config.yaml")
        raise InputError(f"{named} is no configuration", got="a key 'config' in it", expected=_SUCH_AS,
                         fix=f"Name {beside}" if beside.exists() else "")  # fmt: skip
    if not documents.load(text):
        got = f"'{_line(text)}'" if text.strip() else "an empty file"
        raise InputError("The configuration file sets nothing", got=got, expected=_SUCH_AS)
    return text


def _line(text: str) -> str:
    return _cut(" ".join(text.split()))


# What other tools call these options.
USUAL_NAMES = {
    "lr": "train.learning_rate",
    "batch_size": "train.per_device_train_batch_size",
    "epochs": "train.num_train_epochs",
    "patience": "train.early_stopping_patience",
    "fp16": "train.precision",
    "bf16": "train.precision",
    "rank": "lora.r",
    "dataset": "data.name",
    "model_name_or_path": "model.name",
}
_UNKNOWN = re.compile(
    r"[Uu]nrecognized arguments: --([\w.\-]+)"
    r"|[Kk]ey [\"']([\w.\-]+)[\"'] is not expected"
    r"|Option [\"']([\w.\-]+)[\"'] is not accepted"
    r"|(?:Group [\"']([\w.]+)[\"'] )?does not accept option [\"']([\w.\-]+)[\"']"
)
_WRONG_VALUE = re.compile(r'Parser key "([\w.]+)".*?(?:Given value|Got value): ?(.*)$')
# argparse's own messages.
_WRONG_CHOICE = re.compile(r"argument ([^ :]+): invalid choice: '(.*)' \(choose from (.*)\)")
_NO_VALUE = re.compile(r"argument (?:-\w/)?([^ :]+): expected (?:one|at least one) argument")
_GIVEN_A_VALUE = re.compile(r"argument (?:-\w/)?([^ :]+): ignored explicit argument (.*)$")
_LACKING = re.compile(r"the following arguments are required: (.*)$")
_TOO_MANY = re.compile(r"[Uu]nrecognized arguments: (.*)$")
_VALUE_OF_A_SECTION = re.compile(r"Parser key \"(\w+)\": Unable to load config '(.*?)'")
_SUCH_AS = "YAML such as `train: {seed: 1}`"
_SHOWN = 200


def _file_behind_config(argv: list[str]) -> str:
    """The file that a line names with --config, if it names one."""
    for before, word in zip(["", *argv], argv, strict=False):
        named = word if before == "--config" else word.removeprefix("--config=") if word.startswith("--config=") else ""
        if named and os.path.exists(named):  # noqa: PTH110
            return named
    return ""


def _explained(parser: ArgumentParser, message: str, file: str = "") -> InputError:
    """Turn the parser's message into one paragraph; an unknown key gets the nearest known one, and the file that it stands in."""
    message = re.sub(r"\s+", " ", message).strip()
    see = f"See `{parser.prog} --help`"
    if unknown := _UNKNOWN.search(message):
        key = ".".join(filter(None, unknown.groups()))
        near = _nearest(key, [option.lstrip("-") for option in parser._option_string_actions])
        where = f" in {file}" if file and "--" not in unknown[0] else ""  # what stands on the line has its dashes
        return InputError("Unknown option or key", got=f"`{key}`{where}", fix=f"Did you mean `{near}`? {see}" if near else see)
    if value := _VALUE_OF_A_SECTION.search(message):
        return _is_a_section(parser, value[1], value[2])
    if choice := _WRONG_CHOICE.search(message):
        known = re.findall(r"'([^']*)'", choice[3])
        meant = [f"Did you mean {word}?" for word in difflib.get_close_matches(choice[2].lower(), known, n=1)]
        return InputError(f"`{choice[1]}` has a value it cannot take", got=f"'{_cut(choice[2])}'",
                          expected=f"one of {', '.join(known)}", fix=" ".join([*meant, see]))  # fmt: skip
    if value := _NO_VALUE.search(message):
        return InputError(f"`{value[1]}` has no value", fix=f"Give it one, or leave it out. {see}")
    if value := _GIVEN_A_VALUE.search(message):
        return InputError(f"`{value[1]}` takes no value", got=f"{value[2]}", fix=f"Leave the value out. {see}")
    if lacking := _LACKING.search(message):
        names = [f"--{name}" if f"--{name}" in parser._option_string_actions else name for name in lacking[1].split(", ")]
        return InputError(f"The command lacks {', '.join(names)}", fix=see)
    if words := _TOO_MANY.search(message):
        return InputError("The command takes no such word", got=f"`{_cut(words[1])}`",
                          fix=f"What belongs together stands within quotation marks. {see}")  # fmt: skip
    if wrong := _WRONG_VALUE.search(message):
        return InputError(
            f"`{wrong[1]}` has a value it cannot take", got=f"'{_cut(wrong[2])}'", expected=_type_of(parser, wrong[1]), fix=see
        )
    return InputError("The command line or its configuration cannot be read", got=_cut(message), fix=see)


def _cut(text: str) -> str:
    """As much of a text as one reads: it may be a file."""
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _nearest(key: str, options: list[str]) -> str | None:
    """The option that others call `key`, or the one closest to it, compared whole and then by its last word."""
    sections = {option.partition(".")[0] for option in options if "." in option}
    known = [option for option in options if option not in sections]
    usual = {name: option for name, option in USUAL_NAMES.items() if option in known}
    word = key.rsplit(".", 1)[-1]
    if option := usual.get(word.replace("-", "_").lower()):
        return option
    if near := difflib.get_close_matches(key, known, n=1, cutoff=0.7):
        return near[0]
    by_last_word = usual | {option.rsplit(".", 1)[-1]: option for option in known}
    near = difflib.get_close_matches(word, by_last_word, n=1, cutoff=0.6)
    return by_last_word[near[0]] if near else None


def _type_of(parser: ArgumentParser, key: str) -> str:
    """What an option takes, in words."""
    hint = getattr(parser._option_string_actions.get(f"--{key}"), "_typehint", None)
    *words, last = _taken(hint) or [""]
    return f"{', '.join(words)} or {last}" if words else last


_IN_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}


def _taken(hint: Any) -> list[str]:
    """The values that a type takes, each in a few words; that it may be left out goes without saying."""
    if get_origin(hint) is Literal:
        return list(get_args(hint))
    if hint in _IN_WORDS:
        return [_IN_WORDS[hint]]
    if get_origin(hint) is list:
        return ["names such as [query,value]"]
    return [word for part in get_args(hint) if part is not type(None) for word in _taken(part)]
