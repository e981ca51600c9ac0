"""What readers did with one broadcast, counted by who or what was behind it.

Derived from events while they are kept; read from the totals once they are pruned.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from newsletter.broadcasts.models import BroadcastTotals, Delivery
from newsletter.tracking.classification import Hit, Reader, Verdict, classify_all
from newsletter.tracking.evidence import hit_of
from newsletter.tracking.models import Event, EventKind


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


def readership(session: Session, broadcast_id: int) -> Readership:
    """Count one broadcast's readers."""
    totals = session.get(BroadcastTotals, broadcast_id)
    if totals is not None:
        return Readership.from_json(totals.readership)
    hits = _hits(session, broadcast_id)
    clicked = classify_all(hits[EventKind.CLICK])
    return Readership(
        opens=_readers(classify_all(hits[EventKind.OPEN])),
        clicks=_readers(clicked),
        links=_by_link(clicked),
        unsubscribed=len(_left(session, broadcast_id)),
    )


def _hits(session: Session, broadcast_id: int) -> dict[EventKind, list[Hit]]:
    """Opens and clicks as classification wants them; a row that counts several is several hits."""
    rows = session.execute(
        select(Event, Delivery.last_at)
        .outerjoin(Delivery, Delivery.id == Event.delivery_id)
        .where(
            Event.broadcast_id == broadcast_id,
            Event.kind.in_([EventKind.OPEN, EventKind.CLICK]),
        )
        .order_by(Event.id)
    )
    hits: dict[EventKind, list[Hit]] = {EventKind.OPEN: [], EventKind.CLICK: []}
    for event, accepted_at in rows:
        hits[event.kind] += [hit_of(event, accepted_at)] * event.hits
    return hits


def _readers(classified: list[tuple[Hit, Verdict]]) -> Readers:
    hits = Counter(verdict.reader for _, verdict in classified)
    told_apart = {
        (hit.reader_id, verdict.reader) for hit, verdict in classified if hit.reader_id is not None
    }
    return Readers(hits, Counter(reader for _, reader in told_apart))


def _by_link(classified: list[tuple[Hit, Verdict]]) -> Mapping[int, Mapping[Reader, int]]:
    clicks: dict[int, Counter[Reader]] = {}
    for hit, verdict in classified:
        if hit.link is not None:
            clicks.setdefault(hit.link, Counter())[verdict.reader] += 1
    return clicks


def _left(session: Session, broadcast_id: int) -> set[int | None]:
    """Deliveries whose last word was leaving."""
    rows = session.execute(
        select(Event.delivery_id, Event.kind)
        .where(
            Event.broadcast_id == broadcast_id,
            Event.kind.in_([EventKind.UNSUBSCRIBE, EventKind.RESUBSCRIBE]),
        )
        .order_by(Event.id)
    )
    last = dict(rows.all())
    return {delivery for delivery, kind in last.items() if kind is EventKind.UNSUBSCRIBE}


def _by_reader(counts: Mapping[str, int]) -> Mapping[Reader, int]:
    return Counter({Reader(reader): n for reader, n in counts.items()})
