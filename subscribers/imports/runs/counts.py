"""What an import came to, or would: as counts that go into the database and add up."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from subscribers.imports.fates import Fate
from subscribers.imports.options import ImportReport
from subscribers.models import SubscriptionStatus

_CHANGING = (Fate.ADDED, Fate.ENDED, Fate.SUPPRESSED)


@dataclass(frozen=True, slots=True)
class Counts:
    """Rows by what became of them; of those added, by the status they have now."""

    fates: Mapping[Fate, int] = field(default_factory=dict)
    added_as: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, report: ImportReport) -> "Counts":
        """What a report says."""
        return cls(dict(report.counts), dict(report.added_as))

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Counts":
        """From what `to_json` made; of nothing, nothing."""
        fates = {Fate[name.upper()]: n for name, n in value.get("fates", {}).items()}
        return cls(fates, value.get("added_as", {}))

    def to_json(self) -> dict[str, Any]:
        """As it is kept."""
        fates = {fate.name.lower(): n for fate, n in self.fates.items() if n}
        return {"fates": fates, "added_as": {name: n for name, n in self.added_as.items() if n}}

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            Counter(self.fates) + Counter(other.fates),
            Counter(self.added_as) + Counter(other.added_as),
        )

    def __getitem__(self, fate: Fate) -> int:
        return self.fates.get(fate, 0)

    @property
    def rows(self) -> int:
        return sum(self.fates.values())

    @property
    def joining(self) -> int:
        """Rows that put somebody on the list: active at once, or once they confirm."""
        return self.active + self.pending

    @property
    def active(self) -> int:
        return self.added_as.get(SubscriptionStatus.ACTIVE, 0)

    @property
    def pending(self) -> int:
        return self.added_as.get(SubscriptionStatus.PENDING, 0)

    @property
    def left(self) -> int:
        """Rows of people who had left before they came here: kept, so that nobody mails them."""
        return self.added_as.get(SubscriptionStatus.UNSUBSCRIBED, 0)

    @property
    def bad(self) -> int:
        """Rows that nothing could be made of."""
        return self[Fate.BAD]

    @property
    def changing(self) -> int:
        """Rows that change anything."""
        return sum(self[fate] for fate in _CHANGING)
