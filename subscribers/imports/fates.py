"""Rows of a file on their way in, and what becomes of them."""

from collections import Counter
from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from subscribers.imports.rows import Ready
from subscribers.suppressions import SuppressionRow


class Fate(StrEnum):
    """What became of one row."""

    ADDED = "added"
    PRESENT = "already there"
    ENDED = "unsubscribed by the file"
    SUPPRESSED = "suppressed by the file"
    KEPT_UNSUBSCRIBED = "kept unsubscribed"
    KEPT_SUPPRESSED = "kept suppressed"
    KEPT_ERASED = "kept erased"
    BAD = "bad"


_ON_NO_LIST = "on no list"


class Incoming(NamedTuple):
    """A row on its way in.

    Attributes:
        list_id: None for somebody who is on no list.
        suppressed: what the row asks for, of its own address.
    """

    row: Ready
    list_id: int | None
    suppressed: Sequence[SuppressionRow] = ()


class Fates:
    """How many rows came to which end, and which were added with what status."""

    def __init__(self, examples_of_each: int = 0) -> None:
        self.counts: Counter[Fate] = Counter()
        self.added_as: Counter[str] = Counter()
        self.examples: dict[Fate, list[str]] = {}
        self._examples_of_each = examples_of_each

    def note_added(self, rows: Sequence[Ready]) -> None:
        """As `note` does of each, in a fraction of the time."""
        for row in rows[: self._examples_of_each]:
            self.note(Fate.ADDED, row)
        others = rows[self._examples_of_each :]
        self.counts[Fate.ADDED] += len(others)
        self.added_as.update(row.status or _ON_NO_LIST for row in others)

    def note(self, fate: Fate, row: Ready) -> None:
        self.counts[fate] += 1
        if fate is Fate.ADDED:
            self.added_as[row.status or _ON_NO_LIST] += 1
        if self.counts[fate] <= self._examples_of_each:
            self.examples.setdefault(fate, []).append(f"{row.source} {row.typed}")
