"""What readers did with one broadcast, counted by who or what was behind it.

Derived from events while they are kept; read from the totals once they are pruned.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from newsletter.broadcasts.models import BroadcastTotals
from newsletter.tracking.classification import Reader
from newsletter.tracking.judging import Judged, by_delivery, of_kind
from newsletter.tracking.models import Event, EventKind

_READING = (EventKind.OPEN, EventKind.CLICK)


@dataclass(frozen=True, slots=True)
class Readers:
    """Hits and the different readers behind them, by class.

    Attributes:
        readers: deliveries that were told apart; aggregate hits count in `hits` alone.
    """

    hits: Mapping[Reader, int]
    readers: Mapping[Reader, int]

    def to_json(self) -> dict[str, Any]:
        return {"hits": dict(self.hits), "readers": dict(self.readers)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Readers":
        return cls(_by_reader(data["hits"]), _by_reader(data["readers"]))


@dataclass(frozen=True, slots=True)
class Readership:
    """One broadcast's readers.

    Attributes:
        links: clicks by number of the frozen link, then by class.
        unsubscribed: deliveries whose reader left by this mail's link and did not come back.
    """

    opens: Readers
    clicks: Readers
    links: Mapping[int, Mapping[Reader, int]]
    unsubscribed: int

    def to_json(self) -> dict[str, Any]:
        return {
            "opens": self.opens.to_json(),
            "clicks": self.clicks.to_json(),
            "links": {str(number): dict(clicks) for number, clicks in self.links.items()},
            "unsubscribed": self.unsubscribed,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Readership":
        return cls(
            Readers.from_json(data["opens"]),
            Readers.from_json(data["clicks"]),
            {int(number): _by_reader(clicks) for number, clicks in data["links"].items()},
            data["unsubscribed"],
        )


class Tally:
    """Counts readers as they come by, a delivery at a time."""

    def __init__(self) -> None:
        self._hits = {kind: Counter[Reader]() for kind in _READING}
        self._readers = {kind: Counter[Reader]() for kind in _READING}
        self._links: dict[int, Counter[Reader]] = {}

    def add(self, of_delivery: Sequence[Judged]) -> None:
        """The hits of one delivery, or one hit of nobody known."""
        for kind in _READING:
            classes = set()
            for each in of_kind(of_delivery, kind):
                self._hits[kind][each.reader] += each.hits
                if each.delivery_id is not None:
                    classes.add(each.reader)
                if each.link is not None:
                    self._links.setdefault(each.link, Counter())[each.reader] += each.hits
            self._readers[kind].update(classes)

    def readership(self, unsubscribed: int) -> Readership:
        """What came by so far."""
        opens, clicks = (Readers(self._hits[kind], self._readers[kind]) for kind in _READING)
        return Readership(opens, clicks, self._links, unsubscribed)


def readership(session: Session, broadcast_id: int) -> Readership:
    """Count one broadcast's readers."""
    totals = session.get(BroadcastTotals, broadcast_id)
    if totals is not None:
        return Readership.from_json(totals.readership)
    tally = Tally()
    for of_delivery in by_delivery(session, broadcast_id):
        tally.add(of_delivery)
    return tally.readership(len(left(session, broadcast_id)))


def left(session: Session, broadcast_id: int) -> set[int]:
    """Deliveries whose reader's last word was leaving."""
    rows = session.execute(
        select(Event.delivery_id, Event.kind)
        .where(
            Event.broadcast_id == broadcast_id,
            Event.kind.in_([EventKind.UNSUBSCRIBE, EventKind.RESUBSCRIBE]),
        )
        .order_by(Event.id)
    )
    last = dict(rows.all())
    return {found for found, kind in last.items() if found and kind is EventKind.UNSUBSCRIBE}


def _by_reader(counts: Mapping[str, int]) -> Mapping[Reader, int]:
    return Counter({Reader(reader): n for reader, n in counts.items()})
