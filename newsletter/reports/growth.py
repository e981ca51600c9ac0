"""Who came to a list and who left it, by day or week, from the evidence of each change.

An erased person's evidence is gone, and with it that they ever came; that somebody was erased, and
from which list, the audit trail knows.
"""

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, case, func, select
from sqlalchemy.orm import Session

from newsletter.accounts.models import AuditEvent
from newsletter.core.clock import now
from newsletter.core.db import Sessions
from newsletter.reports.models import ListCounts
from newsletter.reports.periods import DAY_SECONDS, periods
from newsletter.sending import leases
from subscribers.models import (
    ConsentChange,
    ConsentEvent,
    SubscriberList,
    Subscription,
    SubscriptionStatus,
)

SMALL_ROWS = 20_000
"""So many changes of all lists are counted while somebody waits."""
ERASED = "subscriber.erased"
BY_IMPORT = "import"
"""In the place of a reason: a file said that they had left; they may never have been here."""
_LEASE, _LEASE_SECONDS = "counting growth", 60
_LEAST = timedelta(minutes=10)
_SHARE_OF_TIME = 100
_FIRST_DAY = date(1970, 1, 1)
_WEEK_DAYS = 7


class Way(StrEnum):
    """How somebody came."""

    CONFIRMED = "confirmed"
    """They asked, and confirmed by mail."""
    IMPORTED = "imported"
    ADDED = "added"
    """By somebody who works here, or by a form that asks for no confirmation."""
    BACK = "back"
    """They took a leaving back."""


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of days up to today, shown by so many days."""

    days: int
    step_days: int


SPANS: Mapping[str, Span] = {
    "month": Span(30, 1),
    "quarter": Span(13 * _WEEK_DAYS, _WEEK_DAYS),
    "year": Span(52 * _WEEK_DAYS, _WEEK_DAYS),
    "3-years": Span(156 * _WEEK_DAYS, 4 * _WEEK_DAYS),
}


@dataclass(slots=True)
class Day:
    """What changed on one day or in several.

    Attributes:
        left: by `LeaveReason`; empty where none was said; BY_IMPORT.
        erased: people of whom nothing else is counted any more.
    """

    came: Counter[str] = field(default_factory=Counter)
    left: Counter[str] = field(default_factory=Counter)
    erased: int = 0

    @property
    def all_came(self) -> int:
        return self.came.total()

    @property
    def all_left(self) -> int:
        return self.left.total()

    def add(self, other: "Day") -> None:
        """Both together."""
        self.came.update(other.came)
        self.left.update(other.left)
        self.erased += other.erased

    def to_json(self) -> dict[str, Any]:
        return {"came": dict(self.came), "left": dict(self.left), "erased": self.erased}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Day":
        return cls(Counter(data["came"]), Counter(data["left"]), data["erased"])


@dataclass(frozen=True, slots=True)
class Growth:
    """One list's changes over a span.

    Attributes:
        active: active subscriptions when it was counted.
        steps: (first day, what changed in the step that begins with it), the oldest first.
        counted_at: None: not counted yet.
        is_due: somebody should count it again.
    """

    active: int
    steps: tuple[tuple[date, Day], ...]
    counted_at: datetime | None
    is_due: bool = False

    @property
    def total(self) -> Day:
        """All steps together."""
        total = Day()
        for _, step in self.steps:
            total.add(step)
        return total


def largest(session: Session, lists: Sequence[SubscriberList]) -> SubscriberList | None:
    """The list with the most people, as `growth` counts them; of several the first."""
    ids = [found.id for found in lists]
    if _is_small(session):
        people = _active(session, Subscription.list_id.in_(ids))
    else:
        kept = session.scalars(select(ListCounts).where(ListCounts.list_id.in_(ids)))
        people = {counts.list_id: counts.active for counts in kept}
    return max(lists, key=lambda found: people.get(found.id, 0), default=None)


def growth(session: Session, list_id: int, span: Span) -> Growth:
    """The changes of a list; counted now while all lists have few, else as counted last."""
    if _is_small(session):
        days = _days(session, ConsentEvent.list_id == list_id).get(list_id, {})
        active = _active(session, Subscription.list_id == list_id).get(list_id, 0)
        return Growth(active, _steps(days, span), now())
    kept = session.get(ListCounts, list_id)
    if kept is None:
        return Growth(0, _steps({}, span), None, is_due=True)
    days = {date.fromisoformat(day): Day.from_json(found) for day, found in kept.days.items()}
    return Growth(kept.active, _steps(days, span), kept.counted_at, _is_stale(kept))


def refresh(sessions: Sessions) -> bool:
    """Count every list beside the request, if it is worth it; False when it is not, or is done."""
    with sessions.reading() as session:
        kept = session.scalars(select(ListCounts).order_by(ListCounts.counted_at)).first()
        if _is_small(session) or (kept and not _is_stale(kept)):
            return False
    with leases.hold(sessions, _LEASE, _LEASE_SECONDS) as held:
        if held is None:
            return False
        _refresh(sessions)
    return True


def _refresh(sessions: Sessions) -> None:
    counted_at, started = now(), time.monotonic()
    with sessions.reading() as session:
        days, active = _days(session), _active(session)
        lists = session.scalars(select(SubscriberList.id)).all()
    took_ms = round((time.monotonic() - started) * 1_000)
    with sessions.writing() as session:
        for list_id in lists:
            found = {day.isoformat(): each.to_json() for day, each in days.get(list_id, {}).items()}
            session.merge(
                ListCounts(
                    list_id=list_id,
                    active=active.get(list_id, 0),
                    days=found,
                    counted_at=counted_at,
                    took_ms=took_ms,
                )
            )


def _is_small(session: Session) -> bool:
    """By the last number given: nothing is counted to know it."""
    return (session.scalar(select(func.max(ConsentEvent.id))) or 0) <= SMALL_ROWS


def _is_stale(kept: ListCounts) -> bool:
    wait = max(_LEAST, timedelta(milliseconds=kept.took_ms) * _SHARE_OF_TIME)
    return now() - kept.counted_at > wait


_WAYS = {
    ConsentChange.CONFIRMED: Way.CONFIRMED,
    ConsentChange.SUBSCRIBED: Way.ADDED,
    ConsentChange.RESUMED: Way.BACK,
}
_Days = dict[int, dict[date, Day]]


def _days(session: Session, *which: ColumnElement[bool]) -> _Days:
    """By list, then by day in UTC."""
    day = periods(session, ConsentEvent.at, DAY_SECONDS)
    imported = case((ConsentEvent.method == "import", 1), else_=0)
    columns = (ConsentEvent.list_id, day, ConsentEvent.change, imported, ConsentEvent.reason)
    rows = session.execute(
        select(*columns, func.count())
        .where(ConsentEvent.change.in_([*_WAYS, ConsentChange.UNSUBSCRIBED]), *which)
        .group_by(*columns)
    )
    found: _Days = {}
    for list_id, number, change, is_imported, reason, count in rows:
        of_day = found.setdefault(list_id, {}).setdefault(_day(number), Day())
        if change is ConsentChange.UNSUBSCRIBED:
            of_day.left[reason or (BY_IMPORT if is_imported else "")] += count
        else:
            of_day.came[Way.IMPORTED if is_imported else _WAYS[change]] += count
    _add_erased(session, found)
    return found


def _add_erased(session: Session, found: _Days) -> None:
    trail = select(AuditEvent.at, AuditEvent.details).where(AuditEvent.action == ERASED)
    for at, details in session.execute(trail):
        for list_id in details.get("lists", ()):
            found.setdefault(list_id, {}).setdefault(at.date(), Day()).erased += 1


def _active(session: Session, *which: ColumnElement[bool]) -> dict[int, int]:
    rows = session.execute(
        select(Subscription.list_id, func.count())
        .where(Subscription.status == SubscriptionStatus.ACTIVE, *which)
        .group_by(Subscription.list_id)
    )
    return {list_id: count for list_id, count in rows}  # noqa: C416 - a row is no pair


def _day(number: int) -> date:
    return _FIRST_DAY + timedelta(days=int(number))


def _steps(days: Mapping[date, Day], span: Span) -> tuple[tuple[date, Day], ...]:
    """Every step of the span, those without a change too; the last one ends today."""
    steps: dict[date, Day] = {first: Day() for first in _first_days(span)}
    beginning = min(steps)
    for day, found in days.items():
        if day >= beginning:
            behind = (day - beginning).days // span.step_days
            first = beginning + timedelta(days=behind * span.step_days)
            if first in steps:  # a file may name a day to come
                steps[first].add(found)
    return tuple(sorted(steps.items()))


def _first_days(span: Span) -> Iterable[date]:
    tomorrow = now().astimezone(UTC).date() + timedelta(days=1)
    beginning = tomorrow - timedelta(days=span.days)
    return (beginning + timedelta(days=n) for n in range(0, span.days, span.step_days))
