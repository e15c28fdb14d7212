"""Which column is the text and which the label: named, unmistakable, or asked for.

One rule for every command. To learn from, a column is taken when it was named, when its name can mean nothing else (`text`,
`label`; `premise` with `hypothesis`), or when it is the only one left. To answer for, the columns trained on are taken, by
name; another one only where the file has no second. Whatever else is a guess, and a guess labels the wrong texts.
"""

from __future__ import annotations

import dataclasses
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lorabert.config import DataConfig
from lorabert.data.tables import Table
from lorabert.errors import InputError, quoted

# What a name says, the clearest first: two columns of one rank are a question for the user.
TEXT_NAMES = (
    ("text",),
    ("sentence", "review", "content", "comment", "message", "tweet", "body", "document", "article", "utterance", "query", "post",
     "input", "question"),
    ("description", "title", "headline"),
)  # fmt: skip
LABEL_NAMES = (
    ("label",),
    ("labels", "class", "category", "target", "sentiment", "topic", "intent", "emotion", "stars", "rating", "y", "output"),
)
PAIR_NAMES = (("sentence1", "sentence2"), ("premise", "hypothesis"), ("question1", "question2"), ("text", "text_pair"),
              ("text1", "text2"), ("text_a", "text_b"), ("sentence_a", "sentence_b"))  # fmt: skip
_ROLES = ("text", "text_pair", "label", "group")


@dataclass(frozen=True)
class Columns:
    """Names of the columns in use; None for those that a table does not need."""

    text: str
    text_pair: str | None
    label: str | None
    group: str | None

    @classmethod
    def recorded(cls, data: Any) -> Columns:
        """The columns that a record or a manifest names in its entry `data`; where it names none, the plainest ones."""
        columns = data.get("columns") if isinstance(data, Mapping) else None
        if not isinstance(columns, Mapping) or not columns.get("text"):
            return cls("text", None, "label", None)
        return cls(*(columns.get(role) for role in _ROLES))  # type: ignore[arg-type]

    def named(self) -> str:
        """The columns for people: text 'review', label 'stars'."""
        roles = (("text", self.text), ("second text", self.text_pair), ("label", self.label), ("group", self.group))
        return ", ".join(f"{role} '{name}'" for role, name in roles if name)

    def unused(self, table: Table) -> list[str]:
        """The columns of a table that are none of these."""
        return [name for name in table.columns if name not in (self.text, self.text_pair, self.label, self.group)]


def find(table: Table, data: DataConfig) -> Columns:
    """The columns to learn from.

    Raises:
        InputError: a named column is not there, or none or several may be meant; the message lists those there are.
    """
    text, pair, label, group = (_named(table, role, getattr(data, role)) for role in _ROLES)
    if text is None and pair is None:
        text, pair = _pair(table, taken=(label, group))
    label = label or _usual(table, "label", LABEL_NAMES, taken=(text, pair, group))
    text = text or _usual(table, "text", TEXT_NAMES, taken=(label, pair, group))
    others = [name for name in table.columns if name not in (text, label, pair, group)]
    if text is None and label is not None and len(others) == 1:
        text = others[0]
    elif label is None and text is not None and len(others) == 1:
        label = others[0]
    elif text is None and label is None and len(others) == 2:
        label, text = _fewer_values_first(table, others)
    return _used_once(table, Columns(_found(table, "text", text), pair, _found(table, "label", label), group))


def _named(table: Table, role: str, name: str | None) -> str | None:
    """A column by the name that was given for it.

    Raises:
        InputError: there is none of that name.
    """
    composed = name and unicodedata.normalize("NFC", name)
    if composed and composed not in table.columns:
        raise InputError(
            f"{table.origin} has no column '{name}'",
            got=f"the columns {quoted(table.columns, 30)}",
            fix=f"Name one of them with {table.prefix}{role}",
        )
    return composed


def _used_once(table: Table, columns: Columns) -> Columns:
    """The columns, if each of them is the only one of its name.

    Raises:
        InputError: one is not.
    """
    for role in _ROLES:
        if (name := getattr(columns, role)) in table.repeated:
            raise InputError(
                f"{table.origin} has more than one column of the same name",
                got=f"'{name}', which is the {role}",
                fix="Give each column a name of its own in the header",
            )
    return columns


def _pair(table: Table, taken: Sequence[str | None]) -> tuple[str | None, str | None]:
    """The two columns of a pair of texts, where their names leave no doubt.

    Raises:
        InputError: more than one pair, or a pair beside another column of texts.
    """
    there = {name.lower(): name for name in table.columns if name not in taken}
    found = [(there[one], there[two]) for one, two in PAIR_NAMES if one in there and two in there]
    if not found:
        return None, None
    rivals = [name for name in _of_rank(table, (*TEXT_NAMES[0], *TEXT_NAMES[1]), taken) if name not in found[0]]
    if len(found) > 1 or rivals:
        raise _ambiguous(table, "text", [*dict.fromkeys([name for pair in found for name in pair] + rivals)])
    return found[0]


def _usual(table: Table, role: str, ranks: Sequence[tuple[str, ...]], taken: Sequence[str | None]) -> str | None:
    """The column whose name says what it is; None where no name does.

    Raises:
        InputError: more than one says so.
    """
    found = next((names for rank in ranks if (names := _of_rank(table, rank, taken))), [])
    if len(found) > 1:
        raise _ambiguous(table, role, found)
    return found[0] if found else None


def _of_rank(table: Table, rank: tuple[str, ...], taken: Sequence[str | None]) -> list[str]:
    return [name for name in table.columns if name not in taken and name.lower() in rank]


def _fewer_values_first(table: Table, names: list[str]) -> list[str | None]:
    """Of two columns the one with fewer different values; neither where they have equally many."""
    count = {name: len(set(map(str, table.columns[name]))) for name in names}
    one, two = sorted(names, key=count.__getitem__)
    return [one, two] if count[one] < count[two] else [None, None]


def _found(table: Table, role: str, name: str | None) -> str:
    if name is None:
        raise InputError(
            f"{table.origin}: no column looks like the {role}",
            got=f"the columns {quoted(table.columns, 30)}",
            fix=f"Name it with {table.prefix}{role} COLUMN",
        )
    return name


def _ambiguous(table: Table, role: str, names: list[str]) -> InputError:
    second = f"; for pairs of texts name the second one with {table.prefix}text_pair" if role == "text" else ""
    return InputError(
        f"{table.origin}: more than one column may be the {role}",
        got=f"{quoted(names)} among the columns {quoted(table.columns, 30)}",
        fix=f"Name it with {table.prefix}{role} COLUMN{second}",
    )


def as_trained(table: Table, trained: Columns, named: DataConfig, *, labelled: bool = True) -> Columns:
    """The columns of a table that stand for those trained on.

    They are the named ones, or those of the same name (in upper or lower case); a file of one column is one of texts.

    Args:
        table: to answer for, or a split beside the one that was learnt from.
        trained: the columns that were trained on.
        named: the names that were given.
        labelled: whether its labels are wanted.

    Raises:
        InputError: a column is lacking, or a second text was named for what labels single texts.
    """
    if named.text_pair and not trained.text_pair:
        raise InputError("This adapter labels single texts", got=f"{table.prefix}text_pair", fix="Leave it out")
    roles = [role for role in ("text", "text_pair", "label") if getattr(trained, role) and (labelled or role != "label")]
    found = {role: _named(table, role, getattr(named, role)) or _alike(table, getattr(trained, role)) for role in roles}
    lacking = [role for role in roles if not found[role]]
    if lacking == ["text"] and len(table.columns) == 1:
        found["text"] = next(iter(table.columns))
    elif lacking:
        raise InputError(
            f"{table.origin} has no column '{getattr(trained, lacking[0])}', which holds the {lacking[0]} that was trained on",
            got=f"the columns {quoted(table.columns, 30)}",
            fix=f"Name the column with {table.prefix}{lacking[0]}",
        )
    # Groups matter in train alone.
    return _used_once(table, Columns(found["text"] or "", found.get("text_pair"), found.get("label"), group=None))


def naming(named: DataConfig, trained: Columns) -> DataConfig:
    """How to read a file to answer for: its header is known by the columns that were named, or else trained on."""
    return dataclasses.replace(named, **{role: getattr(named, role) or getattr(trained, role) for role in _ROLES[:3]})


def _alike(table: Table, name: str) -> str | None:
    """The column of a name, or the only one that differs from it in case alone."""
    composed = unicodedata.normalize("NFC", name)
    same = [column for column in table.columns if column.lower() == composed.lower()]
    return composed if composed in table.columns else same[0] if len(same) == 1 else None
