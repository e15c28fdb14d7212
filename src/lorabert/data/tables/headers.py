"""Whether the first row of a file names its columns, or is data that would be lost as names."""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np

from lorabert.config import DataConfig
from lorabert.errors import InputError

_ROWS = 5000  # as many tell as much as all
_WORD = re.compile(r"[^\W\d_]+")
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")
_WIDE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]")  # scripts whose words no space parts
_MISSING = {"", "na", "n/a", "nan", "none", "null", "-", "?", "#n/a"}
# What people call columns. A first row with one of these is a header, unless the column holds the word below as well.
_USUAL = """
text sentence review content comment message tweet body document doc article utterance query post description title headline
input output question answer premise hypothesis passage abstract summary feedback note transcript paragraph statement phrase
response reply label class category target sentiment topic intent emotion star rating score y gold tag type genre polarity
annotation annotator prediction probability id idx index nr num number name date time timestamp created updated author user
username speaker lang language country location source url link split fold domain subject email mail key value gender age
column col field unnamed clean raw processed reason status
texte texto testo tekst satz kommentar bewertung rezension kategorie klasse etikett titel beschreibung nachricht frage
commentaire avis catégorie étiquette classe titre frase oración comentario reseña opinión mensaje categoría clase etiqueta
título pregunta commento recensione categoria etichetta titolo domanda comentário avaliação rótulo
текст отзыв комментарий предложение метка категория класс тема
文本 评论 内容 句子 标签 类别 标题 分类 情感 テキスト 文 ラベル カテゴリ レビュー 텍스트 문장 리뷰 라벨 레이블 카테고리
"""
_NAMES = frozenset(_USUAL.split())


def check(origin: str, header: list[str], rows: list[list[str]], data: DataConfig, prefix: str) -> None:
    """Refuse a first row that looks like data.

    A name is one that people give to columns, one that the options name, or a word over numbers or over classes that does not
    stand below it. Where there is none, it is data if a value stands again below itself, if it is a number over numbers, or
    if it reads like the texts below it.

    Args:
        origin: the file, for messages.
        header: cells of the first row.
        rows: the rows below it, as long as the header.
        data: may name columns.
        prefix: what the command's options for data begin with.

    Raises:
        InputError: it looks like data; both ways out are named.
    """
    below = [[cell.strip() for cell in row] for row in rows[:_ROWS]]
    if len(header) > 1:
        below = [row for row in below if row != header]  # of files that were put one after the other
    columns = [[row[place] for row in below] for place in range(len(header))]
    if _is_named(header, data) or any(_is_name(cell, values) for cell, values in zip(header, columns, strict=True)):
        return
    if _counts_up(header) or not (why := _why_data(header, columns)):
        return
    shown = ", ".join(f"'{cell[:40]}…'" if len(cell) > 40 else f"'{cell}'" for cell in header[:4])
    raise InputError(
        f"{origin}: the first row looks like data, not like names of columns: {why}",
        got=shown + (f" and {len(header) - 4} more" if len(header) > 4 else ""),
        fix=f"Give {prefix}header none if it is data (the columns are then column_1, column_2 and so on), "
        f"or {prefix}header first if it does name the columns",
    )


def _is_named(header: list[str], data: DataConfig) -> bool:
    return any(name in header for name in (data.text, data.text_pair, data.label, data.group) if name)


def _is_name(cell: str, values: list[str]) -> bool:
    """Whether a cell can only be a name."""
    if cell.lower() in _MISSING:
        return not cell and bool(values) and _numeric(values) == 1  # the index that pandas writes
    if cell in values or _is_number(cell):
        return False
    filled = [value for value in values if value.lower() not in _MISSING]
    classes = len(set(filled))
    over_classes = len(filled) >= 10 and 2 <= classes <= len(filled) / 5
    return _is_usual(cell) or over_classes or (len(filled) >= 2 and _numeric(filled) > 0.9)


def _is_usual(cell: str) -> bool:
    """Whether a cell is made of nothing but words that people name columns with, and at most a number."""
    words = list(_words(cell))
    joined = "_" in cell or " " not in cell  # review_tr is a name as well, while of two words both must be
    known = [_is_known(word) for word in words]
    return bool(words) and ((all(known) and len(words) <= 4) or (any(known) and joined and len(words) <= 5 and len(cell) <= 40))


def _words(cell: str) -> Iterable[str]:
    return (word.lower() for word in _WORD.findall(_HUMP.sub(" ", cell)))


def _is_known(word: str) -> bool:
    return word in _NAMES or word.removesuffix("s") in _NAMES or word.removesuffix("es") in _NAMES


def _is_number(cell: str) -> bool:
    try:
        float(cell.replace(",", "."))
    except ValueError:
        return False
    return True


def _numeric(values: list[str]) -> float:
    """Share of the values that are numbers."""
    return sum(map(_is_number, values)) / len(values) if values else 0.0


def _counts_up(header: list[str]) -> bool:
    """0, 1, 2 or 1, 2, 3: what a table without names writes as its header."""
    return len(header) > 1 and header in ([str(first + place) for place in range(len(header))] for first in (0, 1))


def _why_data(header: list[str], columns: list[list[str]]) -> str:
    """Why a row looks like one of those below it; nothing if it does not."""
    longest: tuple[float, str, np.ndarray] = (0.0, "", np.zeros(0))
    for cell, values in zip(header, columns, strict=True):
        filled = [value for value in values if value.lower() not in _MISSING]
        if not filled or cell.lower() in _MISSING:
            continue
        if cell in filled:
            return f"'{cell[:40]}' stands again below it"
        if _numeric(filled) > 0.9:
            if _is_number(cell):
                return f"'{cell[:40]}' is a number, as are those below it"
            continue
        lengths = np.array([_length(value) for value in filled])
        longest = max(longest, (float(np.median(lengths)), cell, lengths), key=lambda column: column[0])
    median, cell, lengths = longest
    alone = len(header) == 1
    return "it reads like the texts below it" if median >= (1 if alone else 3) and _reads_like_them(cell, lengths) else ""


def _reads_like_them(cell: str, below: np.ndarray) -> bool:
    """Whether a cell is as long as most texts, or a sentence: a name is shorter than they are."""
    length, median, short = _length(cell), float(np.median(below)), float(np.quantile(below, 0.1))
    if length <= 1:
        return median <= 1
    if cell.endswith((".", "!", "。", "！", "…")):
        return True
    if length <= 3 and (length < median / 2 or (length < median and any(map(_is_known, _words(cell))))):
        return False
    return length >= short


def _length(text: str) -> float:
    """Words, where two characters of a script without spaces count as one."""
    start = text[:2000]
    wide = len(_WIDE.findall(start))
    return len(_WIDE.sub(" ", start).split()) + wide / 2
