"""Count one broadcast from its rows, in one pass over its hits and two over its deliveries."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import and_, case, func, or_, select
from sqlalchemy.orm import Session

from newsletter.broadcasts import accounting
from newsletter.broadcasts.accounting import Accounting
from newsletter.broadcasts.models import Broadcast, Delivery, DeliveryState
from newsletter.core.clock import now
from newsletter.issues.models import Issue
from newsletter.reports.details import HOURS, Details, DomainFigures, Hour, largest_first
from newsletter.reports.periods import HOUR_SECONDS, periods
from newsletter.tracking.classification import Reader
from newsletter.tracking.judging import Judged, by_delivery
from newsletter.tracking.models import Event, EventKind
from newsletter.tracking.readership import Readership, Tally, left
from subscribers.models import ConsentChange, ConsentEvent, SubscriberList

_SAME_VISIT = timedelta(minutes=10)
"""A leaving is witnessed within the request that recorded it; later ones are other leavings."""


@dataclass(frozen=True, slots=True)
class Counted:
    """One broadcast's figures, and when they were true."""

    accounts: Accounting
    readership: Readership
    details: Details
    counted_at: datetime
    took_ms: int


def count(session: Session, broadcast_id: int) -> Counted:
    """Count a broadcast whose rows are all there: none is pruned."""
    counted_at, started = now(), time.monotonic()
    first_at = _first_acceptance(session, broadcast_id)
    tally, details = Tally(), _DetailsTally(first_at)
    for of_delivery in by_delivery(session, broadcast_id):
        tally.add(of_delivery)
        details.add(of_delivery)
    leavers = left(session, broadcast_id)
    return Counted(
        accounts=accounting.account(session, broadcast_id),
        readership=tally.readership(len(leavers)),
        details=Details(
            first_at=first_at,
            hours=details.hours(_accepted_by_hour(session, broadcast_id, first_at)),
            domains=_domains(session, broadcast_id, details.clicks_by_domain),
            link_readers=details.link_readers,
            reasons=_reasons(session, broadcast_id, leavers),
        ),
        counted_at=counted_at,
        took_ms=round((time.monotonic() - started) * 1_000),
    )


class _DetailsTally:
    """What Tally does not count: hits by hour, clicks by domain, readers by link."""

    def __init__(self, first_at: datetime | None) -> None:
        self._first_at = first_at
        self._by_hour = {kind: Counter[tuple[int, Reader]]() for kind in EventKind}
        self.clicks_by_domain: Counter[str] = Counter()
        self.link_readers: dict[int, Counter[Reader]] = {}

    def add(self, of_delivery: Sequence[Judged]) -> None:
        """The hits of one delivery, or one hit of nobody known."""
        followed = set()
        for each in of_delivery:
            if (hour := self._hour(each.at)) is not None:
                self._by_hour[each.kind][hour, each.reader] += each.hits
            if each.link is None or each.delivery_id is None:
                continue
            followed.add((each.link, each.reader))
            if each.reader is Reader.HUMAN:
                self.clicks_by_domain[each.domain_key] += each.hits
        for link, reader in followed:
            self.link_readers.setdefault(link, Counter())[reader] += 1

    def hours(self, accepted: Mapping[int, int]) -> tuple[Hour, ...]:
        """Empty when nothing was accepted."""
        if self._first_at is None:
            return ()
        return tuple(
            Hour(
                accepted.get(hour, 0),
                self._of_hour(EventKind.OPEN, hour),
                self._of_hour(EventKind.CLICK, hour),
            )
            for hour in range(HOURS)
        )

    def _of_hour(self, kind: EventKind, hour: int) -> Mapping[Reader, int]:
        found = self._by_hour[kind]
        return Counter({r: found[hour, r] for r in Reader if (hour, r) in found})

    def _hour(self, at: datetime) -> int | None:
        """None: before the first acceptance, or too late for the curve."""
        if self._first_at is None or at < self._first_at:
            return None
        hour = int((at - self._first_at).total_seconds() // HOUR_SECONDS)
        return hour if hour < HOURS else None


def _first_acceptance(session: Session, broadcast_id: int) -> datetime | None:
    """To the second below, as hours are counted from it."""
    first: datetime | None = session.scalar(
        select(func.min(Delivery.last_at)).where(*_accepted(broadcast_id))
    )
    return first.replace(microsecond=0) if first else None


def _accepted_by_hour(
    session: Session, broadcast_id: int, first_at: datetime | None
) -> Mapping[int, int]:
    if first_at is None:
        return {}
    hour = periods(session, Delivery.last_at, HOUR_SECONDS, first_at)
    rows = session.execute(
        select(hour, func.count())
        .where(
            *_accepted(broadcast_id),
            Delivery.last_at < first_at + timedelta(hours=HOURS),
        )
        .group_by(hour)
    )
    return {int(number): found for number, found in rows}


def _accepted(broadcast_id: int) -> tuple[Any, Any]:
    return Delivery.broadcast_id == broadcast_id, Delivery.state == DeliveryState.ACCEPTED


def _domains(
    session: Session, broadcast_id: int, clicks: Mapping[str, int]
) -> tuple[DomainFigures, ...]:
    again = or_(
        Delivery.attempt > 1,
        and_(Delivery.attempt > 0, Delivery.state == DeliveryState.PENDING),
    )
    figures = (
        func.sum(case((which, 1), else_=0))
        for which in (
            Delivery.state == DeliveryState.ACCEPTED,
            Delivery.state == DeliveryState.FAILED,
            again,
        )
    )
    rows = session.execute(
        select(Delivery.domain_key, func.count(), *figures)
        .where(Delivery.broadcast_id == broadcast_id)
        .group_by(Delivery.domain_key)
    )
    return largest_first(
        DomainFigures(domain, deliveries, accepted, failed, deferred, clicks.get(domain, 0))
        for domain, deliveries, accepted, failed, deferred in rows
    )


def _reasons(session: Session, broadcast_id: int, leavers: set[int]) -> Mapping[str, int]:
    """Why they left, of those who said so: by the evidence of the same visit."""
    rows = session.execute(
        select(Event.delivery_id, Event.at, ConsentEvent.at, ConsentEvent.reason)
        .join(Delivery, Delivery.id == Event.delivery_id)
        .join(ConsentEvent, ConsentEvent.subscriber_id == Delivery.subscriber_id)
        .join(SubscriberList, SubscriberList.id == ConsentEvent.list_id)
        .join(Broadcast, Broadcast.id == Event.broadcast_id)
        .join(Issue, Issue.id == Broadcast.issue_id)
        .where(
            Event.broadcast_id == broadcast_id,
            Event.kind == EventKind.UNSUBSCRIBE,
            ConsentEvent.change == ConsentChange.UNSUBSCRIBED,
            ConsentEvent.reason.is_not(None),
            SubscriberList.newsletter_id == Issue.newsletter_id,
        )
        .order_by(ConsentEvent.id)
    )
    said = {
        delivery_id: reason.value
        for delivery_id, visited_at, left_at, reason in rows
        if reason and delivery_id in leavers and abs(left_at - visited_at) <= _SAME_VISIT
    }
    return Counter(said.values())
