"""A matplotlib figure to inline SVG: text stays text, colours come from the page, and the same numbers give the same bytes."""

from __future__ import annotations

import io
import re
import unicodedata
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from lorabert.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# A plot is drawn in stand-in colours; the page's style sheet says what they are in light, in dark and on paper.
INK, MUTED, GRID, BAND = "#010101", "#020202", "#030303", "#040404"
SERIES = tuple(f"#0505{number:02d}" for number in range(1, 7))
MARKERS = ("o", "s", "^", "D", "v", "P")
DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)), (0, (3, 1, 1, 1, 1, 1)), (0, (8, 3)))
_VARIABLES = {INK: "currentColor", MUTED: "var(--muted)", GRID: "var(--grid)", BAND: "var(--band)"} | {
    colour: f"var(--series-{number})" for number, colour in enumerate(SERIES, 1)
}
# Of the width of a phone, so that the text is as large as the page's there; inches of 72 SVG units.
WIDTH, HEIGHT = 5.0, 3.1
_STYLE: dict[str, Any] = {
    "figure.facecolor": "none", "axes.facecolor": "none", "savefig.facecolor": "none",
    "svg.fonttype": "none", "svg.hashsalt": "lorabert", "text.parse_math": False, "font.size": 11.5, "axes.labelsize": 11.5,
    "xtick.labelsize": 10.5, "ytick.labelsize": 10.5, "legend.fontsize": 10.5, "legend.frameon": False,
    "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": MUTED, "xtick.color": MUTED, "ytick.color": MUTED,
    "xtick.labelcolor": INK, "ytick.labelcolor": INK, "axes.grid": True, "grid.color": GRID, "grid.linewidth": 0.8,
    "axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True, "lines.linewidth": 1.8, "lines.markersize": 5,
    "axes.unicode_minus": True,
}  # fmt: skip
_SVG, _XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"


@dataclass(frozen=True)
class Plot:
    """One figure of a page.

    Attributes:
        key: unique on its page; the figure's id.
        title: what is shown.
        description: what a reader would see, in words.
        svg: the drawing, trusted markup.
        header: names of the columns of the data table.
        rows: the numbers behind the drawing.
        caption: how to read it.
    """

    key: str
    title: str
    description: str
    svg: str
    header: Sequence[str]
    rows: Sequence[Sequence[object]]
    caption: str = ""


def draw(key: str, title: str, description: str, paint: Callable[[Figure], None], *, height: float = HEIGHT) -> str:
    """Paint a figure and return it as SVG.

    Args:
        key: prefix of every id in it, unique on the page.
        title: its accessible name.
        description: its accessible description.
        paint: draws on an empty figure, in the stand-in colours.
        height: in inches; the width is `WIDTH`.

    Raises:
        InputError: matplotlib is not installed.
    """
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError:
        raise needs_extra("matplotlib") from None
    sink = io.StringIO()
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about glyphs that its own font lacks: the browser brings the font
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)  # type: ignore[arg-type]
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        paint(figure)
        figure.savefig(sink, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return _for_page(sink.getvalue(), key, title, description)


def needs_extra(library: str) -> InputError:
    """What to say when a library of the extra `report` is missing."""
    return InputError(f"A report needs {library}", fix='Install it with: pip install "lorabert[report]"')


def shown(text: str, most: int = 22) -> str:
    """A label as a plot can show it: on one line, without control characters, cut in the middle where it is long."""
    plain = "".join(
        "\N{REPLACEMENT CHARACTER}" if unicodedata.category(letter) in ("Cc", "Cs", "Cn") else letter for letter in text
    )
    return plain if len(plain) <= most else f"{plain[: most * 2 // 3]}…{plain[-(most // 3 - 1) :]}"


def _for_page(svg: str, key: str, title: str, description: str) -> str:
    """The drawing named and described, its colours the page's, its ids its own, its size left to the page."""
    for prefix, uri in (("", _SVG), ("xlink", _XLINK)):
        ElementTree.register_namespace(prefix, uri)
    root = ElementTree.fromstring(svg)
    for name in ("metadata", "defs"):
        for child in root.findall(f"{{{_SVG}}}{name}"):
            if name == "metadata" or child.find(f"{{{_SVG}}}style") is not None:
                root.remove(child)
    box = root.get("viewBox", "")
    root.attrib.clear()
    root.attrib.update({"class": "plot", "viewBox": box, "role": "img", "aria-labelledby": f"{key}-name {key}-words"})
    used = _references(root)
    for element in root.iter():
        element.text, element.tail = (element.text or "").strip("\n") or None, None
        _tidy(element, key, used)
    for place, (tag, words) in enumerate((("title", title), ("desc", description))):
        child = ElementTree.Element(f"{{{_SVG}}}{tag}", {"id": f"{key}-{'name' if tag == 'title' else 'words'}"})
        child.text = shown(words, most=2_000)
        root.insert(place, child)
    return ElementTree.tostring(root, encoding="unicode")


def _references(root: ElementTree.Element) -> set[str]:
    values = [value for element in root.iter() for value in element.attrib.values()]
    return {found for value in values for found in re.findall(r"^#(\S+)$|url\(#([^)]+)\)", value) for found in found if found}


def _tidy(element: ElementTree.Element, key: str, used: set[str]) -> None:
    """Keep the ids that are used, under names of the figure's own; turn the stand-in colours into the page's."""
    for name, value in list(element.attrib.items()):
        if name == "id" and value not in used:
            del element.attrib[name]
        elif name == "id":
            element.set(name, f"{key}-{value}")
        elif name == f"{{{_XLINK}}}href":
            element.set(name, f"#{key}-{value[1:]}")
        elif name == "clip-path":
            element.set(name, value.replace("url(#", f"url(#{key}-"))
        elif name == "style":
            element.set(name, _style(value))
        if element.get("style") == "":
            del element.attrib["style"]


def _style(declarations: str) -> str:
    for colour, variable in _VARIABLES.items():
        declarations = declarations.replace(colour, variable)
    # The family is the page's; matplotlib names its own in a shorthand or apart, depending on its version.
    declarations = re.sub(r"font-family: [^;]*;?", "", declarations)
    return re.sub(r"font: (?:[\w ]+ )?([\d.]+)px [^;]*", r"font-size: \1px", declarations).strip()
