"""Every open and click of a broadcast with its class, read as a stream: a million fit through."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from newsletter.broadcasts.models import Delivery
from newsletter.tracking.classification import Reader, classify_all
from newsletter.tracking.evidence import hit_of
from newsletter.tracking.models import Event, EventKind

_BATCH_ROWS = 2_000


@dataclass(frozen=True, slots=True)
class Judged:
    """One row of an open or click, and who or what was behind it.

    Attributes:
        delivery_id: None when readers are not told apart.
        link: the number of the frozen link; None for an open.
        hits: how often; more than 1 only on the last row that a delivery may have.
        domain_key: the recipient's domain; empty when not known (any more).
    """

    kind: EventKind
    delivery_id: int | None
    link: int | None
    at: datetime
    hits: int
    domain_key: str
    reader: Reader


def by_delivery(session: Session, broadcast_id: int) -> Iterator[Sequence[Judged]]:
    """What one delivery's reader did, delivery by delivery; hits of nobody known, one by one.

    The sum hides an index from PostgreSQL: to have the first rows of a cursor soon, it would walk
    the hits of every broadcast in the order of their deliveries.
    """
    rows = session.execute(
        select(
            *(Event.delivery_id, Event.kind, Event.link, Event.at, Event.hits),
            *(Event.method, Event.user_agent, Event.is_prefetch, Event.reader, Event.rule),
            *(Delivery.last_at, Delivery.domain_key),
        )
        .outerjoin(Delivery, Delivery.id == Event.delivery_id)
        .where(
            Event.broadcast_id == broadcast_id,
            Event.kind.in_([EventKind.OPEN, EventKind.CLICK]),
        )
        .order_by(Event.delivery_id + 0, Event.at, Event.id),
        execution_options={"yield_per": _BATCH_ROWS},
    )
    for delivery_id, group in groupby(rows, key=lambda row: row.delivery_id):
        if delivery_id is None:
            yield from (_judged([row]) for row in group)
        else:
            yield _judged(list(group))


def _judged(rows: Sequence[Row[*tuple[Any, ...]]]) -> Sequence[Judged]:
    """A reader's rows together: a burst of clicks shows among its neighbours alone."""
    hits = [hit_of(row, row.last_at) for row in rows]
    verdicts = {id(hit): verdict for hit, verdict in classify_all(hits)}
    return [
        Judged(
            kind=row.kind,
            delivery_id=row.delivery_id,
            link=row.link,
            at=row.at,
            hits=row.hits,
            domain_key=row.domain_key or "",
            reader=verdicts[id(hit)].reader,
        )
        for row, hit in zip(rows, hits, strict=True)
    ]


def of_kind(found: Iterable[Judged], kind: EventKind) -> Iterator[Judged]:
    """Only the opens, or only the clicks."""
    return (each for each in found if each.kind is kind)
