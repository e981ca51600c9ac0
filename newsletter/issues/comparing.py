"""Two texts beside each other: which lines went, came, changed. Pure."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from enum import StrEnum

CONTEXT_LINES = 3
_WORD = re.compile(r"\w+|\s+|[^\w\s]")
_LONGEST_LINE = 5_000
"""Characters: what is longer is compared as a whole, not word by word."""


class Change(StrEnum):
    """What became of a line."""

    SAME = "same"
    GONE = "gone"
    NEW = "new"
    OTHER = "other"
    """There before and after, with other words."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a line; `differs`: only on this side."""

    text: str
    differs: bool = False


@dataclass(frozen=True, slots=True)
class Side:
    """A line of one of the two texts, counted from 1."""

    number: int
    pieces: tuple[Piece, ...]

    @property
    def text(self) -> str:
        return "".join(piece.text for piece in self.pieces)


@dataclass(frozen=True, slots=True)
class Row:
    """What stands side by side; None where one of the texts has nothing."""

    change: Change
    before: Side | None
    after: Side | None


@dataclass(frozen=True, slots=True)
class Stretch:
    """Rows without a gap: changes with a few lines around them."""

    rows: tuple[Row, ...]


def compare(before: str, after: str) -> list[Stretch]:
    """Where the two differ; nothing where they do not. Lines read one below the other make both."""
    old, new = before.split("\n"), after.split("\n")
    matcher = SequenceMatcher(None, old, new, autojunk=len(old) + len(new) > 2 * _LONGEST_LINE)
    return [
        Stretch(tuple(row for code in group for row in _rows(code, old, new)))
        for group in matcher.get_grouped_opcodes(CONTEXT_LINES)
        if any(code[0] != "equal" for code in group)
    ]


def count(stretches: Sequence[Stretch]) -> tuple[int, int]:
    """Lines that came, lines that went; a changed one is both."""
    rows = [row for stretch in stretches for row in stretch.rows if row.change is not Change.SAME]
    return sum(row.after is not None for row in rows), sum(row.before is not None for row in rows)


def _rows(
    code: tuple[str, int, int, int, int], old: Sequence[str], new: Sequence[str]
) -> Iterator[Row]:
    _, old_start, old_end, new_start, new_end = code
    for number in range(max(old_end - old_start, new_end - new_start)):
        left, right = old_start + number, new_start + number
        if left < old_end and right < new_end:
            yield _both(left, right, old[left], new[right])
        elif left < old_end:
            yield Row(Change.GONE, _side(left, Piece(old[left])), None)
        else:
            yield Row(Change.NEW, None, _side(right, Piece(new[right])))


def _both(left: int, right: int, gone: str, came: str) -> Row:
    if gone == came:
        return Row(Change.SAME, _side(left, Piece(gone)), _side(right, Piece(came)))
    before, after = _words(gone, came)
    return Row(Change.OTHER, _side(left, *before), _side(right, *after))


def _side(index: int, *pieces: Piece) -> Side:
    return Side(index + 1, pieces)


def _words(before: str, after: str) -> tuple[tuple[Piece, ...], tuple[Piece, ...]]:
    if max(len(before), len(after)) > _LONGEST_LINE:
        return (Piece(before, differs=True),), (Piece(after, differs=True),)
    old, new = _WORD.findall(before), _WORD.findall(after)
    codes = SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    left = [Piece("".join(old[a:b]), kind != "equal") for kind, a, b, _, _ in codes if b > a]
    right = [Piece("".join(new[c:d]), kind != "equal") for kind, _, _, c, d in codes if d > c]
    return tuple(left), tuple(right)
