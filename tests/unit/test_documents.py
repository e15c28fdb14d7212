"""A text of a few bytes takes no more than its size, and says one thing to every reader."""

import os
import time

import pytest
import yaml

from lorabert import documents
from lorabert.config import load, options_parser, parse
from lorabert.documents import DocumentError
from lorabert.errors import InputError

LAUGHS = "a: &a [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
MERGED = "a: &a {x: 1}\n" + "".join(
    f"{name}: &{name} {{<<: [{', '.join([f'*{before}'] * 40)}]}}\n" for before, name in zip("abcd", "bcde", strict=True)
)
REFUSED = {
    "flow": ("[" * 50_000, "levels"),
    "maps": ("{a: " * 50_000, "levels"),
    "dashes": ("- " * 50_000, "levels"),
    "indented": ("".join(f"{' ' * depth}a:\n" for depth in range(1_000)), "levels"),
    "json": ('{"a":' * 10_000 + "1" + "}" * 10_000, "levels"),
    "laughs": (LAUGHS, "values"),
    "merged": (MERGED, "values"),
    "wide": ("a: [" + "1," * 20_000 + "]", "values"),
    "long": ("a: " + "x" * (1 << 20), "characters"),
    "itself": ("a: &a [*a]", "inside of what it repeats"),
    "itself merged": ("a: &a {<<: *a}", "inside of what it repeats"),
    "unknown anchor": ("a: *b", "undefined alias"),
    "twice": ("train: {seed: 1}\nlora: {r: 2}\ntrain: {seed: 3}\n", "'train' a second time (line 3)"),
    "twice inside": ("train:\n  seed: 1\n  seed: 1\n", "'seed' a second time (line 3)"),
    "twice in json": ('{"a": 1, "a": 2}', "'a' a second time"),
    "twice quoted": ("a: 1\n'a': 2", "'a' a second time"),
    "number": ("1: 2", "key 1, which YAML takes for a int"),
    "boolean": ("no: 2", "key no, which YAML takes for a bool"),
    "null": ("~: 2", "key ~, which YAML takes for a null"),
    "list as key": ("[a]: 2", "key that is not a word"),
    "python": ("!!python/object/apply:os.system ['touch ran']", "tags are not taken"),
    "python inside": ("train: {seed: !!python/name:os.system ''}", "tags are not taken"),
    "own tag": ("a: !mine b", "tags are not taken"),
    "binary": ("a: !!binary aGVsbG8=", "tags are not taken"),
    "two documents": ("a: 1\n---\nb: 2\n", "second document"),
    "tab": ("train:\n\tseed: 1\n", "spaces, not with tabs (line 2"),
    "broken": ("a: [", "did not find"),
    "nul": ("a: \0", "control characters"),
}


@pytest.mark.parametrize(("text", "said"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused_costs_nothing_and_is_told_in_a_line(text, said):
    started = time.monotonic()
    with pytest.raises(DocumentError) as refused:
        documents.load(text)
    assert said in str(refused.value)
    assert len(str(refused.value)) < 250
    assert "\n" not in str(refused.value)
    assert time.monotonic() - started < 5
    assert not os.path.exists("ran")  # noqa: PTH110


@pytest.mark.parametrize(
    "text",
    [
        "train: {seed: 1, learning_rate: 5e-4}\nlora: {target_modules: [query, value]}\n",
        "base: &base {train.seed: 1}\nmethods: {a: {<<: *base, lora.r: 4}, b: *base}\n",
        '{"methods": {"lora": null}, "tasks": ["r8"]}',
        "a: !!str 1\nb: ! x\n",
        "'1': x\n'no': y\n",
        "# a comment\n",
        "",
        "a: |\n  some\n  lines\n",
        "? a\n: b\n",
    ],
)
def test_what_people_write_is_read_as_yaml_reads_it(text):
    assert documents.load(text) == yaml.safe_load(text)


def test_twenty_levels_and_ten_thousand_values_are_taken():
    assert documents.load("[" * 20 + "]" * 20)
    assert len(documents.load("[" + "1," * 9_999 + "]")) == 9_999
    with pytest.raises(DocumentError):
        documents.load("[" * 21 + "]" * 21)


@pytest.mark.parametrize("name", ["flow", "laughs", "twice", "number", "python", "tab"])
def test_a_configuration_file_is_refused_with_its_name_and_the_line(tmp_path, name):
    (tmp_path / "c.yaml").write_text(REFUSED[name][0])
    with pytest.raises(InputError, match=r"The configuration file c\.yaml cannot be used\. Got .*\(line \d"):
        load("c.yaml")


@pytest.mark.parametrize("text", [REFUSED["flow"][0], LAUGHS, "&a [*a]"])
def test_a_value_on_the_line_has_the_same_limits(text):
    with pytest.raises(InputError):
        parse(options_parser("lorabert train", "", with_config=True), ["--lora.modules_to_save", text])


def test_a_folder_leads_to_the_file_in_it(tmp_path):
    (tmp_path / "run").mkdir()
    with pytest.raises(InputError, match=r"run is a folder. Expected a YAML file\.$"):
        load("run")
    (tmp_path / "run" / "config.yaml").write_text("train: {seed: 1}")
    with pytest.raises(InputError, match=r"Its file is run.config\.yaml"):
        load("run")


def test_a_file_that_is_no_text_or_no_configuration_is_refused(tmp_path):
    (tmp_path / "c.yaml").write_bytes(b"\x93NUMPY\x01\x00")
    with pytest.raises(InputError, match=r"c\.yaml is not UTF-8 text.*0x93"):
        load("c.yaml")
    with (tmp_path / "c.yaml").open("wb") as file:
        file.truncate(1 << 33)  # a sparse file of 8 GB
    with pytest.raises(InputError, match="more than a mebibyte"):
        load("c.yaml")
    (tmp_path / "c.yaml").write_bytes(b"\xef\xbb\xbftrain: {seed: 7}\n")  # as Windows' editors save it
    assert load("c.yaml").train.seed == 7


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="no such device")  # noqa: PTH110
def test_a_device_without_an_end_is_refused():
    with pytest.raises(InputError, match="mebibyte"):
        load("/dev/zero")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes by name")
def test_a_configuration_comes_through_a_pipe_as_a_shell_makes_it(tmp_path):
    reading, writing = os.pipe()
    os.write(writing, b"train: {seed: 7}\n")
    os.close(writing)
    assert load(f"/dev/fd/{reading}").train.seed == 7
    os.close(reading)
