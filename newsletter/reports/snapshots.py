"""Counts that are kept: what is large is counted beside the request, and shown as it was then.

Decision page 0032 has why.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from newsletter.broadcasts import accounting
from newsletter.broadcasts.models import Broadcast, BroadcastState, BroadcastTotals, DeliveryState
from newsletter.core.clock import now
from newsletter.core.db import Sessions
from newsletter.issues.models import Issue
from newsletter.reports.counting import Counted, count
from newsletter.reports.models import BroadcastCounts
from newsletter.sending import leases
from newsletter.tracking.models import Event

SMALL_ROWS = 1_500
"""So many deliveries, and so many hits, are counted within a request: some 50 ms."""
_LEASE = "counting"
_LEASE_SECONDS = 60
_LEAST = timedelta(minutes=2)
_SHARE_OF_AGE = 10
_SHARE_OF_TIME = 50
IN_MOTION = (BroadcastState.SENDING, BroadcastState.PAUSED)


def is_small(session: Session, broadcast: Broadcast) -> bool:
    """Its rows may be counted while somebody waits."""
    if deliveries(broadcast) > SMALL_ROWS:
        return False
    some = select(Event.id).where(Event.broadcast_id == broadcast.id).limit(SMALL_ROWS + 1)
    return (session.scalar(select(func.count()).select_from(some.subquery())) or 0) <= SMALL_ROWS


def deliveries(broadcast: Broadcast) -> int:
    """How many rows it has, or had."""
    return broadcast.candidates - sum(broadcast.exclusions.values())


def is_stale(
    started_at: datetime, finished_at: datetime | None, counted_at: datetime, took_ms: int
) -> bool:
    """Worth counting again.

    What is old changes little: after a tenth of its age. What takes long is not counted all day.
    """
    if finished_at is not None and finished_at > counted_at:
        return True
    age = counted_at - started_at
    wait = max(_LEAST, age / _SHARE_OF_AGE, timedelta(milliseconds=took_ms) * _SHARE_OF_TIME)
    return now() - counted_at > wait


def due(session: Session, newsletter_id: int | None = None) -> list[int]:
    """Broadcasts whose counts are missing or stale, the newest first; None: of every newsletter."""
    wanted = (
        select(
            *(Broadcast.id, Broadcast.start_at, Broadcast.finished_at),
            *(BroadcastCounts.counted_at, BroadcastCounts.took_ms),
        )
        .outerjoin(BroadcastCounts, BroadcastCounts.broadcast_id == Broadcast.id)
        .outerjoin(BroadcastTotals, BroadcastTotals.broadcast_id == Broadcast.id)
        .where(Broadcast.frozen_at.is_not(None), BroadcastTotals.broadcast_id.is_(None))
        .order_by(Broadcast.id.desc())
    )
    if newsletter_id is not None:
        wanted = wanted.join(Issue).where(Issue.newsletter_id == newsletter_id)
    return [
        row.id
        for row in session.execute(wanted)
        if row.counted_at is None
        or is_stale(row.start_at, row.finished_at, row.counted_at, row.took_ms)
    ]


def refresh(
    sessions: Sessions, broadcast_ids: Sequence[int], stop: Callable[[], bool] = lambda: False
) -> int:
    """Count these and keep the counts; returns how many. One process at a time counts.

    Whoever comes meanwhile goes away again: what they wanted is found the next time.
    """
    if not broadcast_ids:
        return 0
    with leases.hold(sessions, _LEASE, _LEASE_SECONDS) as held:
        if held is None:
            return 0
        return sum(_refresh(sessions, found) for found in broadcast_ids if not stop())


def _refresh(sessions: Sessions, broadcast_id: int) -> bool:
    with sessions.reading() as session:
        if session.get(BroadcastTotals, broadcast_id) is not None:
            return False
        counted = count(session, broadcast_id)
    with sessions.writing() as session:
        return keep(session, broadcast_id, counted)


def keep(session: Session, broadcast_id: int, counted: Counted) -> bool:
    """Keep the counts; not when pruning has begun meanwhile: half of the rows may be gone."""
    if session.get(BroadcastTotals, broadcast_id) is not None:
        return False
    session.merge(
        BroadcastCounts(
            broadcast_id=broadcast_id,
            outcomes=[[s, reason, n] for (s, reason), n in counted.accounts.reasons.items()],
            readership=counted.readership.to_json(),
            details=counted.details.to_json(),
            counted_at=counted.counted_at,
            took_ms=counted.took_ms,
        )
    )
    return True


def states_of(outcomes: Iterable[Sequence[Any]]) -> dict[DeliveryState, int]:
    """Deliveries by state, of outcomes as they are kept."""
    states: Counter[DeliveryState] = Counter()
    for state, _, found in outcomes:
        states[DeliveryState(state)] += found
    return dict(states)


def live_states(session: Session, broadcast_id: int) -> dict[DeliveryState, int]:
    """As they are now, without counting who accepted."""
    return dict(accounting.progress(session, broadcast_id).states)
