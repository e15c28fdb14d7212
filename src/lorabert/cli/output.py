"""What a verb prints: tables for people, or with --json one document on stdout and everything else on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import Any, TextIO

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from lorabert import interrupts
from lorabert.cli.streams import write_document
from lorabert.naming import escaped_json, shortened, visible, width
from lorabert.studies.reporting import percent

JSON = "One JSON document on stdout, everything else on stderr."

BASE = "Where the base lies, when not where the adapter says: an asset, a hub id or a folder with the same weights."

PRECISION = "Of the matrix products. bf16 is faster on processors that multiply in it, and rounds; auto takes it there."

HEADER = (
    "First row of a CSV or TSV file: auto refuses one that looks like data; first: it names the columns; none: it is data, and "
    "the columns are column_1, column_2 and so on."
)

SKIP_BAD_ROWS = "Leave out the rows that cannot be used; how many, and where, is said."

_WIDTH_OF_FILES = 120
# What a table takes for a column besides its words; how narrow names may become, and texts that are folded.
_GUTTER, _LEAST_NAME, _LEAST_TEXT, _LEAST_MATRIX_NAME = 3, 12, 24, 16


class _Screen(Console):
    """Prints what it is given: labels and paths may look like markup. Whoever hangs up is the command's to deal with."""

    def __init__(self, file: TextIO, width: int | None) -> None:
        super().__init__(file=file, width=width, highlight=False, soft_wrap=True, markup=False, emoji=False)

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


class Output:
    """Where a verb's lines, tables and result go.

    Attributes:
        as_json: whether stdout takes one JSON document and nothing else.
    """

    def __init__(self, stdout: TextIO, *, as_json: bool) -> None:
        self.stdout, self.as_json = stdout, as_json
        screen = sys.stderr if as_json else stdout
        # A file or a pipe has no width of its own; a table there must not be folded at 80.
        width = None if screen.isatty() else _WIDTH_OF_FILES
        self.console = _Screen(screen, width)

    def say(self, line: str) -> None:
        """Print a line for people."""
        self.console.print(visible(line, keep="\n"))

    def table(self, title: str, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Print a table for people; numbers stand to the right, and no name pushes them off the screen."""
        numeric = [bool(rows) and all(_is_numeric(row[index]) for row in rows) for index in range(len(header))]
        cells = [[visible(str(cell)) for cell in row] for row in rows]
        if cells:
            first = shortened([row[0] for row in cells], self._room(header, cells, numeric))
            cells = [[name, *row[1:]] for name, row in zip(first, cells, strict=True)]
        drawn = Table(header_style="bold", box=SIMPLE_HEAD)
        for index, name in enumerate(header):
            justify: Any = "right" if numeric[index] else "left"
            drawn.add_column(visible(name), justify=justify, overflow="fold", no_wrap=index == 0 or numeric[index])
        for row in cells:
            drawn.add_row(*row)
        self.console.print(visible(title), style="bold")
        self.console.print(drawn, soft_wrap=False)

    def _room(self, header: Sequence[str], cells: Sequence[Sequence[str]], numeric: Sequence[bool]) -> int:
        """Columns of the screen that the names at the left may take: what numbers, and the beginning of other texts, leave."""
        taken = 0
        for index in range(1, len(header)):
            widest = max(width(row[index]) for row in cells)
            taken += _GUTTER + max(width(header[index]), widest if numeric[index] else min(widest, _LEAST_TEXT))
        return max(_LEAST_NAME, self.console.width - taken - _GUTTER - 1)

    def result(self, document: Any) -> None:
        """Print the result: with --json only, as one document."""
        if self.as_json:
            write_document(self.stdout, as_json(document))


def as_json(document: Any) -> str:
    """A JSON document in one line, in which nothing acts on the terminal that it may be printed to."""
    return escaped_json(json.dumps(document, ensure_ascii=False))


def tell(line: str) -> None:
    """Print a line of progress, whatever stdout is for."""
    print(visible(line, keep="\n"), file=sys.stderr, flush=True)


def _is_numeric(cell: object) -> bool:
    return isinstance(cell, (int, float)) or _looks_numeric(cell)


def _looks_numeric(cell: object) -> bool:
    return isinstance(cell, str) and cell[:1].isdigit()


@contextmanager
def output(*, as_json: bool) -> Iterator[Output]:
    """An Output; with --json whatever else is printed meanwhile goes to stderr, a library's own lines included."""
    if not as_json:
        yield Output(sys.stdout, as_json=False)
        return
    stdout = sys.stdout
    with interrupts.undoing(), redirect_stdout(sys.stderr):
        yield Output(stdout, as_json=True)


def metrics_table(out: Output, title: str, rows: dict[str, dict[str, Any]]) -> None:
    """Accuracy, macro-F1 and MCC of one or several predictors, in points with their intervals."""
    cells = [[name, *(percent(scores[metric]) for metric in ("accuracy", "f1_macro", "mcc"))] for name, scores in rows.items()]
    out.table(title, ["", "accuracy", "macro-F1", "MCC"], cells)


def per_class_table(out: Output, rows: Sequence[dict[str, Any]]) -> None:
    """Precision, recall, F1 and support of each class."""
    cells = [[row["label"], *(f"{row[name]:.3f}" for name in ("precision", "recall", "f1")), row["support"]] for row in rows]
    out.table("Per class", ["class", "precision", "recall", "F1", "examples"], cells)


def confusion_table(out: Output, labels: Sequence[str], confusion: Sequence[Sequence[int]], most: int = 20) -> None:
    """The confusion matrix, its columns numbered where their names have no room; with many classes, the commonest confusions."""
    names_take = min(_LEAST_MATRIX_NAME, max(width(visible(label)) for label in labels))
    for heads in (list(map(visible, labels)), [str(number) for number in range(1, len(labels) + 1)]):
        widths = [max(width(head), *(len(str(row[index])) for row in confusion)) for index, head in enumerate(heads)]
        if len(labels) <= most and sum(widths) + _GUTTER * (len(widths) + 1) + 1 + names_take <= out.console.width:
            numbered = heads[0] != visible(labels[0])
            names = [f"{number} {label}" for number, label in enumerate(labels, 1)] if numbered else labels
            out.table("Confusion (rows: true, columns: predicted)", ["", *heads],
                      [[name, *row] for name, row in zip(names, confusion, strict=True)])  # fmt: skip
            return
    pairs = [
        (count, labels[true], labels[predicted])
        for true, row in enumerate(confusion)
        for predicted, count in enumerate(row)
        if count and true != predicted
    ]
    commonest = sorted(pairs, key=lambda pair: (-pair[0], pair[1], pair[2]))[:most]
    short = dict(zip(labels, shortened(labels, (out.console.width - _LEAST_NAME) // 2 - _GUTTER), strict=True))
    rows = [[count, short[true], short[predicted]] for count, true, predicted in commonest]
    out.table("Commonest confusions", ["examples", "true", "predicted"], rows)
