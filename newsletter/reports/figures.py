"""What became of a broadcast: derived from ledger and events, never stored."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from newsletter.broadcasts import accounting, planning
from newsletter.broadcasts.accounting import Accounting
from newsletter.broadcasts.models import Broadcast, Delivery
from newsletter.rendering.compiled import Link
from newsletter.tracking.classification import Hit, Reader, Verdict, classify_all
from newsletter.tracking.models import Event, EventKind


@dataclass(frozen=True, slots=True)
class Readers:
    """Hits and the different readers behind them, by class.

    Attributes:
        readers: deliveries that were told apart; aggregate hits count in `hits` alone.
    """

    hits: Mapping[Reader, int]
    readers: Mapping[Reader, int]


@dataclass(frozen=True, slots=True)
class LinkClicks:
    """One link of the mail and the clicks on it, by class."""

    link: Link
    clicks: Mapping[Reader, int]


@dataclass(frozen=True, slots=True)
class Report:
    """One broadcast's figures.

    Attributes:
        unsubscribed: deliveries whose reader left by this mail's link and did not come back.
    """

    broadcast_id: int
    subject: str
    state: str
    started_at: datetime
    finished_at: datetime | None
    accounts: Accounting
    opens: Readers
    clicks: Readers
    links: tuple[LinkClicks, ...]
    unsubscribed: int


def report(session: Session, broadcast: Broadcast) -> Report:
    """Derive the figures of one broadcast."""
    frozen = planning.frozen_content(session, broadcast.id)
    hits = _hits(session, broadcast.id)
    clicked = classify_all(hits[EventKind.CLICK])
    return Report(
        broadcast_id=broadcast.id,
        subject=broadcast.issue.subject,
        state=broadcast.state.value,
        started_at=broadcast.start_at,
        finished_at=broadcast.finished_at,
        accounts=accounting.account(session, broadcast.id),
        opens=_readers(classify_all(hits[EventKind.OPEN])),
        clicks=_readers(clicked),
        links=tuple(LinkClicks(link, _clicks_on(link, clicked)) for link in frozen.email.links),
        unsubscribed=len(_left(session, broadcast.id)),
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
        hit = Hit(
            reader_id=event.delivery_id,
            at=event.at,
            method=event.method,
            user_agent=event.user_agent,
            link=event.link,
            is_prefetch=event.is_prefetch,
            accepted_at=accepted_at,
        )
        hits[event.kind] += [hit] * event.hits
    return hits


def _readers(classified: list[tuple[Hit, Verdict]]) -> Readers:
    hits = Counter(verdict.reader for _, verdict in classified)
    told_apart = {
        (hit.reader_id, verdict.reader) for hit, verdict in classified if hit.reader_id is not None
    }
    return Readers(hits, Counter(reader for _, reader in told_apart))


def _clicks_on(link: Link, classified: list[tuple[Hit, Verdict]]) -> Mapping[Reader, int]:
    return Counter(verdict.reader for hit, verdict in classified if hit.link == link.number)


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
