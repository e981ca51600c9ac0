"""The finer figures of a broadcast: by hour, by domain, by link, by reason. Values only."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from newsletter.tracking.classification import Reader

HOURS = 48
MOST_DOMAINS = 20
LEAST_PEOPLE = 5
"""A domain with fewer recipients is not shown by itself: it might be one person's."""

ByReader = Mapping[Reader, int]


@dataclass(frozen=True, slots=True)
class Hour:
    """What happened in one hour, counted from the first acceptance."""

    accepted: int
    opens: ByReader
    clicks: ByReader


@dataclass(frozen=True, slots=True)
class DomainFigures:
    """Recipients of one domain.

    Attributes:
        domain: empty for all the others together.
        deferred: deliveries that a relay did not take at first.
        clicks: by people with a copy of their own; others cannot be told apart.
    """

    domain: str
    deliveries: int
    accepted: int
    failed: int
    deferred: int
    clicks: int


@dataclass(frozen=True, slots=True)
class Details:
    """What is counted besides outcomes and readership.

    Attributes:
        first_at: the first acceptance; None before.
        hours: the first HOURS from then on.
        domains: the largest first, the others last and summed.
        link_readers: by number of the link: different readers, of those told apart.
        reasons: why they left, as far as they said so, by `LeaveReason`.
    """

    first_at: datetime | None
    hours: tuple[Hour, ...]
    domains: tuple[DomainFigures, ...]
    link_readers: Mapping[int, ByReader]
    reasons: Mapping[str, int]

    def hours_until(self, at: datetime) -> tuple[Hour, ...]:
        """Those that have begun by then: what is still to come is not a zero."""
        if self.first_at is None:
            return ()
        begun = (at - self.first_at) // timedelta(hours=1) + 1
        return self.hours[: max(begun, 0)]

    def to_json(self) -> dict[str, Any]:
        return {
            "first_at": self.first_at.isoformat() if self.first_at else None,
            "hours": [[h.accepted, dict(h.opens), dict(h.clicks)] for h in self.hours],
            "domains": [
                [d.domain, d.deliveries, d.accepted, d.failed, d.deferred, d.clicks]
                for d in self.domains
            ],
            "link_readers": {str(n): dict(found) for n, found in self.link_readers.items()},
            "reasons": dict(self.reasons),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Details":
        first_at = data["first_at"]
        return cls(
            datetime.fromisoformat(first_at) if first_at else None,
            tuple(
                Hour(accepted, _by_reader(opens), _by_reader(clicks))
                for accepted, opens, clicks in data["hours"]
            ),
            tuple(DomainFigures(*row) for row in data["domains"]),
            {int(number): _by_reader(found) for number, found in data["link_readers"].items()},
            data["reasons"],
        )


def largest_first(domains: Iterable[DomainFigures]) -> tuple[DomainFigures, ...]:
    """The largest by name, the rest, the small and the unknown ones in one line at the end."""
    ordered = sorted(domains, key=lambda found: (-found.deliveries, found.domain))
    named = [d for d in ordered if d.domain and d.deliveries >= LEAST_PEOPLE][:MOST_DOMAINS]
    others = [d for d in ordered if d not in named]
    if not others:
        return tuple(named)
    rest = DomainFigures(
        "",
        *(
            sum(getattr(other, name) for other in others)
            for name in ("deliveries", "accepted", "failed", "deferred", "clicks")
        ),
    )
    return (*named, rest)


def _by_reader(counts: Mapping[str, int]) -> ByReader:
    return Counter({Reader(reader): n for reader, n in counts.items()})
