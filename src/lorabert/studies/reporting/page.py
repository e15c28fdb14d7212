"""One self-contained HTML page from records: nothing is loaded when it is opened, and no model when it is made."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lorabert import __version__, mistaken
from lorabert.errors import InputError
from lorabert.files import disk_errors
from lorabert.folders import file_into
from lorabert.studies.reporting import of_comparison, of_run
from lorabert.studies.reporting.lines import percent
from lorabert.studies.reporting.plots.drawing import needs_extra

if TYPE_CHECKING:
    from markupsafe import Markup

_ELSEWHERE = "Name another file with -o"
_MADE_BY_US, _HEAD = b'<meta name="generator" content="lorabert', 4_000
_TEMPLATES = Path(__file__).parent / "templates"


def write(target: Path, out: Path) -> Path:
    """Write the page of a run or of a comparison; the same records give the same bytes.

    Args:
        target: a run folder, a comparison's folder, or its comparison.json.
        out: the HTML file; replaced if it is there.

    Returns:
        `out`.

    Raises:
        InputError: no finished run or comparison lies there, a record is damaged, or the file cannot be written.
    """
    _check_out(out)
    html = _page(target)
    with disk_errors(out.parent, _ELSEWHERE):
        try:
            file_into(out, html.encode("utf-8", "replace"))
        except FileNotFoundError:
            raise InputError(f"The folder {out.parent} cannot be made", fix=_ELSEWHERE) from None
    return out


def _page(target: Path) -> str:
    """The page; in records that somebody wrote by hand whatever was taken for granted may be wrong, at any place.

    Raises:
        InputError: no finished run or comparison lies there, or a record is damaged.
    """
    file, template, values = _view(target)
    try:
        return _render(template, values())
    except _OF_OTHER_TYPES as error:
        raise InputError(f"{file} is damaged", got=f"{type(error).__name__}: {str(error)[:200]}",
                         fix="Train the run, or make the comparison, again") from None  # fmt: skip


_OF_OTHER_TYPES = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError)


def _check_out(out: Path) -> None:
    """Refuse what cannot be written before the work is done."""
    if out.is_dir():
        raise InputError(f"{out} is a folder", expected="a file, such as report.html")
    if out.suffix.lower() not in (".html", ".htm"):
        raise InputError("The page's name has another ending", got=str(out), expected="a file that ends in .html")
    if out.exists() and _MADE_BY_US not in _beginning(out):
        raise InputError(f"{out} is no report of lorabert's, and stays as it is", expected="a new file, or an earlier report",
                         fix=_ELSEWHERE)  # fmt: skip
    place = next(parent for parent in (out.parent.resolve(), *out.parent.resolve().parents) if parent.exists())
    if not (place.is_dir() and os.access(place, os.W_OK)):
        raise InputError(f"{out} cannot be written", got=f"{place}, which is no folder that may be written to",
                         fix=_ELSEWHERE)  # fmt: skip


def _beginning(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(_HEAD)
    except OSError as error:
        raise InputError(f"{file} cannot be read", got=error.strerror or str(error), fix=_ELSEWHERE) from None


def _view(target: Path) -> tuple[Path, str, Callable[[], dict[str, Any]]]:
    if os.path.lexists(target / "run.json"):
        return target / "run.json", "run.html.j2", partial(of_run.view, target)
    file = target if target.name == "comparison.json" else target / "comparison.json"
    if os.path.lexists(file):
        return file, "comparison.html.j2", partial(of_comparison.view, file)
    raise InputError(
        f"There is no run and no comparison in {target}",
        got=mistaken.kind_of(target),
        expected="a run folder (with run.json), or the folder of a comparison (with comparison.json)",
        fix=mistaken.instead(target, (mistaken.RUN, mistaken.COMPARISON)) or "`lorabert train` and `lorabert compare` make them",
    )


def _render(template: str, values: dict[str, Any]) -> str:
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
    except ImportError:
        raise needs_extra("jinja2") from None
    environment = Environment(loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
                              lstrip_blocks=True)  # fmt: skip
    environment.filters |= {"numeric_columns": _numeric_columns, "cell": _cell, "sentence": _sentence}
    style = (_TEMPLATES / "page.css").read_text(encoding="utf-8")
    return environment.get_template(template).render(style=style, version=__version__, **values)


def _numeric_columns(rows: Sequence[Sequence[object]]) -> list[int]:
    """The columns that stand to the right: all their cells are numbers, or begin with one."""
    return [column for column in range(1, len(rows[0]) if rows else 0) if all(_numeric(row[column]) for row in rows)]


def _numeric(cell: object) -> bool:
    return isinstance(cell, (int, float, dict)) or re.match(r"[+\-−]?\d|–$", str(cell)) is not None


def _cell(cell: object) -> Markup:
    """A cell's content; an estimate as its value in points with the interval below it."""
    from markupsafe import Markup

    if isinstance(cell, dict):
        value, interval = percent(cell).split(" ", 1)
        return Markup("{} <small>{}</small>").format(value, interval)
    return Markup("<bdi>{}</bdi>").format(cell)


def _sentence(text: str) -> Markup:
    """A sentence in which what stands between backticks is code."""
    from markupsafe import Markup, escape

    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))
