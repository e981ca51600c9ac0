"""Rows of a file on their way in, and what becomes of them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from subscribers.imported import ImportedSubscriber
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


@dataclass(frozen=True, slots=True)
class Incoming:
    """One person's row about one list.

    Attributes:
        source: the file and line it stands in.
        list_id: None for somebody who is on no list.
        suppressed: what the row asks for, of its own address.
    """

    source: str
    person: ImportedSubscriber
    list_id: int | None
    suppressed: Sequence[SuppressionRow] = ()

    @property
    def key(self) -> str:
        return self.person.address.key

    @property
    def subject(self) -> tuple[str, int | None]:
        """Nothing else of a row says whom and what it is about."""
        return self.person.address.key, self.list_id


class Fates:
    """How many rows came to which end, and which were added with what status."""

    def __init__(self, examples_of_each: int = 0) -> None:
        self.counts: Counter[Fate] = Counter()
        self.added_as: Counter[str] = Counter()
        self.examples: dict[Fate, list[str]] = {}
        self._examples_of_each = examples_of_each

    def note(self, fate: Fate, row: Incoming) -> None:
        self.counts[fate] += 1
        standing = row.person.subscription
        if fate is Fate.ADDED:
            self.added_as[standing.status.value if standing else "on no list"] += 1
        if self.counts[fate] <= self._examples_of_each:
            self.examples.setdefault(fate, []).append(f"{row.source} {row.person.address.typed}")
