"""Every option of every verb with every kind of thing and of word that does not belong there.

The options come from the parsers themselves, so that a new one is tried without anybody's thinking of it; the things that the
words name are built by tests/misplaced.py.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Literal, get_args, get_origin

import pytest

from lorabert.cli import VERBS

# What trains in a second, where all that is given can be used.
QUICK = (
    "--data.train", "reviews.csv", "--model.name", "base", "--model.max_length", "32", "--train.num_train_epochs", "1",
    "--train.recipe", "course", "--train.baselines", "false", "--train.save_strategy", "no", "--lora.target_modules", "auto",
)  # fmt: skip


@dataclass(frozen=True)
class Line:
    """A command that would work.

    Attributes:
        positional: the words of its positional arguments, by name.
        options: and those of its options.
        alone: it is there for its positional arguments, and takes no option.
    """

    positional: dict[str, tuple[str, ...]] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    alone: bool = False

    def words(self, **instead: tuple[str, ...]) -> list[str]:
        return [*self.options, *(word for words in ({**self.positional, **instead}).values() for word in words)]


LINES = {
    "replicate": [Line(options=("--preset", "quickstart", *QUICK, "--out", "new"))],
    "train": [Line(options=(*QUICK, "--out", "new"))],
    "evaluate": [Line({"target": ("runs/one",)}, ("--data", "reviews.csv"))],
    "predict": [Line({"adapter": ("runs/one",), "texts": ("a fine film",)}),
                Line({"adapter": ("runs/one",)}, ("--file", "reviews.csv"))],
    "compare": [Line(options=(*QUICK, "--methods", "head", "--seeds", "1", "--out", "new"))],
    "sweep": [Line(options=(*QUICK, "--grid", "lora.r=2,4", "--out", "new")),
              Line(options=(*QUICK, "--search", "lora.r=2,4", "--trials", "1", "--out", "new"))],
    "report": [Line({"target": ("runs/one",)}, ("--out", "new.html"))],
    "store": [Line({"action": ("add",), "targets": ("runs/one",)}, ("--name", "films")),
              Line({"action": ("list",), "targets": ("reviews",)}),
              *(Line({"action": (action,), "targets": ("reviews@1",)}) for action in ("show", "verify", "resolve", "remove"))],
    "export": [Line({"adapter": ("runs/one",)}, ("--format", "merged", "--out", "new"))],
    "serve": [Line({"targets": ("store",)}, ("--port", "0"))],
    "data": [Line({"action": ("check",), "names": ("reviews.csv",)}, ("--model", "base")),
             Line({"action": ("show",), "names": ("rotten-tomatos",)}, alone=True)],
    "doctor": [Line()],
}  # fmt: skip

NUMBERS = (
    "text", "", "nan", "inf", "-inf", "-1", "0", "1e3", "1.5", "1,5", "1_000", "0x10", "٣", "1" * 30, "1e400", " 1 ", "null",
    "true", "[1]", "--",
)  # fmt: skip
BOOLEANS = (
    "yes", "on", "1", "0", "no", "True", "TRUE", "maybe", "", "null", "[true]",
)  # fmt: skip
LISTS = (
    "", "query", "query,value", "query, value", '["query"]', "[query", "[]", "[1, 2]", "{query: value}", "null", "lora.r",
    "lora.r=", "lora.r=x", "lora.r=2..x", "lora.q=2,4", "=", ",", "lora.r=2,4,", "train.learning_rate=1e-4..3e-3:lg",
)  # fmt: skip
WORDS = (
    "", " ", "Text", "reviw", "a b", "a\nb", "-dash", "--", "é", "null", "true", "1", "1.0", "[a]", "{a: b}", "*",
    "x" * 5000, "\x1b[31m", "a/b/c", "a/b", "utf8", "utf-99", "cp1252", "hex", "0.0.0.0", "localhost", "nowhere.invalid",
    "::1", "256.1.1.1", "127.0.0.1:80", "http://localhost", "review@1", "reviews@9", "reviews@sha256:0", "reviews@", "@",
    "sqlite:///x/y.db", "nonsense://x", "postgresql://nowhere.invalid/x", "course", "quikstart", "rotten-tomatoes",
    "rotten-tomatos", "minilm-l6", "onnx-int9", "Merged", "accuracy,mcc", "f1", "lora,ful", "lora,lora", "full",
    "one=runs/one", "one=", "=runs/one", "one=nothing",
)  # fmt: skip
PATHS = (
    "folder", "empty", "runs", "runs/one", "runs/one/adapter", "runs/one/run.json", "runs/one/config.yaml",
    "runs/one/adapter/lorabert.json", "runs/one/adapter/adapter_model.safetensors", "runs/one/predictions.parquet",
    "runs/unfinished", "exported", "store", "study", "study/comparison.json", "study/runs", "sweep", "sweep/best.yaml",
    "base", "base/model.safetensors", "reviews.csv", "reviews.CSV", "reviws.csv", "runs/oen", "runs/one/adaptr", "bse",
    "Base", "stor", "rviews", "nothing", "nothing/there.csv", "reviews.csv/", "reviews.csv/x", "base/", "./base", "../user",
    "~", "~/nothing", "~nobody/x", "$HOME/x", "%USERPROFILE%", "empty.csv", "blank.csv", "binary.csv", "parquet.csv",
    "array.jsonl", "archive.zip", "picture.png", "picture.csv", "twice.csv.gz", "twice.csv.bz2", "mixed.csv.gz", "words.txt",
    "notes.md", "page.html", "table.xlsx", "config.yaml", "list.yaml", "broken.yaml", "unknown.yaml", "link.csv", "linked",
    "loop", "pipe.csv", "/dev/null", "/dev/zero", ".", "..", "/", "my reviews é.csv", "line\nbreak.csv", "-dash.csv",
    "*.csv", "file:///etc/hostname", "file://reviews.csv", "http://127.0.0.1:9/reviews.csv",
    "https://huggingface.co/bert-base-uncased", "hf://datasets/x/y", "s3://bucket/reviews.csv", "C:\\reviews.csv",
    "\\\\server\\share\\x", "reviews.csv,folder", '"reviews.csv"', "reviews.csv ",
)  # fmt: skip


# Options of other verbs, of other tools, and of nobody.
OTHERS = (
    "--methods", "--trials", "--split", "--format", "--port", "--file", "--store", "--train.learning_rate", "--lr", "--epochs",
    "--batch_size", "--help-me", "-x", "-",
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A command with one thing wrong.

    Attributes:
        option: what was given wrongly, as the parser calls it.
        value: what was given.
        words: the whole line.
    """

    verb: str
    option: str
    value: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return ascii(" ".join([self.verb, *(word if len(word) < 200 else f"{word[:20]}..." for word in self.words)]))


class _Asked(BaseException):
    """A parser, on its way to whoever wants to see it."""


def parser_of(verb: str) -> Any:
    """The parser that a verb makes."""
    from jsonargparse import ArgumentParser

    def seen(parser: Any, *_: Any) -> None:
        raise _Asked(parser)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ArgumentParser, "parse_args", seen)
        try:
            import_module(f"lorabert.cli.verbs.{verb}").main([])
        except _Asked as asked:
            return asked.args[0]
    raise AssertionError(f"{verb} parses nothing")


def cases() -> list[Case]:
    """All of them, in an order that does not change. What all verbs share stands under `train` alone."""
    return [case for verb in VERBS for case in _of_verb(verb, parser_of(verb))]


def _of_verb(verb: str, parser: Any) -> Iterator[Case]:
    listed = [action for action in parser._actions if action.dest not in ("help", "print_config")]
    for line in LINES[verb]:
        for action in (each for each in listed if not (line.alone and each.option_strings)):
            if ("." in action.dest and verb != "train") or (action.dest == "config" and verb not in ("train", "compare")):
                continue
            for value in _values(action):
                yield from _with(verb, line, action, value)
        yield from _of_the_line(verb, line, listed)


def _values(action: argparse.Action) -> list[str]:
    """What does not belong there, and some of what does, by the type of an option."""
    hint = getattr(action, "_typehint", None)
    kinds = {hint, *get_args(hint)}
    if isinstance(action, argparse._StoreTrueAction):
        return ["=yes", "=false", "="]
    if action.choices or Literal in map(get_origin, kinds):
        known = list(action.choices or next(get_args(kind) for kind in kinds if get_origin(kind) is Literal))
        numbers = NUMBERS if int in kinds else ()
        return [*WORDS[:22], *BOOLEANS, *numbers, known[-1][:-1], known[-1].upper(), f"{known[0]},{known[-1]}", "reviews.csv"]
    if bool in kinds:
        return [*BOOLEANS, *WORDS[:8], "reviews.csv"]
    if int in kinds or float in kinds:
        return [*NUMBERS, "reviews.csv", "folder"]
    return [*dict.fromkeys([*PATHS, *WORDS, *LISTS, "1e3", "nan"])]


def _with(verb: str, line: Line, action: argparse.Action, value: str) -> Iterator[Case]:
    if not action.option_strings:
        if value.startswith("-"):
            yield Case(verb, action.dest, value, tuple(line.words(**{action.dest: ("--", value)})))
        yield Case(verb, action.dest, value, tuple(line.words(**{action.dest: (value,)})))
        return
    option = next(word for word in action.option_strings if word.startswith("--"))
    if isinstance(action, argparse._StoreTrueAction):
        yield Case(verb, option, value, (*line.words(), option + value))
        return
    yield Case(verb, option, value, (*line.words(), f"{option}={value}"))
    if value.startswith("-") or action.nargs == "+":
        yield Case(verb, option, value, (*line.words(), option, value))


def _of_the_line(verb: str, line: Line, listed: list[Any]) -> Iterator[Case]:
    """Options that are not there, are there twice or have no value; arguments that lack or are too many."""
    words = line.words()
    named = [next((word for word in each.option_strings if word.startswith("--")), "") for each in listed]
    known = [word for word in named if word]
    for option in known[-25:]:
        for near in (option[:-1], option.replace("_", "-"), option.upper(), f"{option}s", option[1:]):
            if near not in known:
                yield Case(verb, near, "", (*words, near, "1"))
        yield Case(verb, option, "", (*words, option))
        yield Case(verb, option, "", (option, *words))
    for index, word in enumerate(words):
        if word.startswith("--") and index + 1 < len(words):
            yield Case(verb, word, "", (*words, word, words[index + 1]))
            yield Case(verb, word, "", (*words[:index], *words[index + 2 :]))
    for other in OTHERS:
        if other not in known:
            yield Case(verb, other, "", (*words, other, "1"))
    for name in line.positional:
        yield Case(verb, name, "", tuple(line.words(**{name: ()})))
        yield Case(verb, name, "superfluous", tuple(line.words(**{name: (*line.positional[name], "superfluous", "further")})))
    yield Case(verb, "", "superfluous", (*words, "superfluous"))
