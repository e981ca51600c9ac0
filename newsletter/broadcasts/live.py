"""How a broadcast stands this moment, cheap enough to be asked every second.

All that is dear to count is who has not been offered the mail yet: at first that is everybody. They
are offered it in the order of their rows. So those behind a mark, some ten thousand rows ahead of
the sender, are counted once; from then on only who is skipped among them changes their number.
"""

import threading
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, ScalarSelect, and_, func, literal, select
from sqlalchemy.orm import Session

from newsletter.broadcasts import accounting, ledger
from newsletter.broadcasts.accounting import Accounting
from newsletter.broadcasts.history import paused_by
from newsletter.broadcasts.models import (
    NOT_SENT,
    OVER,
    WAITING,
    Broadcast,
    BroadcastState,
    Delivery,
    DeliveryState,
    PauseReason,
)
from newsletter.core.clock import now

HEAD_ROWS = 20_000
"""Counted at every look: a few milliseconds."""
LOW_ROWS = 10_000
"""With fewer than that ahead of the sender the mark moves on: two seconds of the fastest."""
SAFE_ROWS = 2_000
"""With fewer than that somebody may have come to the mark already, and all are counted anew. More
than all workers together have claimed at once."""


_MOST_RETRIES = 2_000
"""While it is sent: whether somebody may still be mailed takes three lookups for each."""


@dataclass(frozen=True, slots=True)
class Standing:
    """One broadcast at one moment; the figures are of one snapshot and add up.

    Attributes:
        retrying: of those who wait, how many wait for another attempt.
        next_retry_at: when the first of them is due.
        retryable: how many of the failed may still be mailed; None: too many to ask each second.
    """

    broadcast_id: int
    state: BroadcastState
    pause_reason: PauseReason | None
    pause_detail: str
    paused_by: str
    resume_at: datetime | None
    start_at: datetime
    is_at_once: bool
    asked_by: str
    approved_by: str
    segment: str
    not_after: datetime
    frozen_at: datetime | None
    finished_at: datetime | None
    accounts: Accounting
    retrying: int
    next_retry_at: datetime | None
    retryable: int | None

    @property
    def is_over(self) -> bool:
        """Done or cancelled, and nothing is on the wire any more."""
        return self.state in OVER and not self.accounts.open


@dataclass(frozen=True, slots=True)
class _Tail:
    """The rows behind `mark`: waiting since they were frozen, or skipped."""

    mark: int
    rows: int


class Watch:
    """Looks at one broadcast again and again; remembers what need not be counted twice.

    It may rest as long as it likes, and several threads may look.
    """

    def __init__(self, broadcast_id: int) -> None:
        self._id = broadcast_id
        self._tail: _Tail | None = None
        self._turn = threading.Lock()

    def look(self, session: Session) -> Standing:
        """As it is now.

        Raises:
            NoResultFound: there is no such broadcast.
        """
        broadcast = session.get_one(Broadcast, self._id, populate_existing=True)
        with self._turn:
            self._move_mark(session, broadcast)
            accounts = accounting.progress(session, self._id, self._waiting(broadcast))
        retrying, next_retry_at = _retries(session, self._id)
        return Standing(
            broadcast_id=self._id,
            state=broadcast.state,
            pause_reason=broadcast.pause_reason,
            pause_detail=broadcast.pause_detail,
            paused_by=paused_by(session, broadcast),
            resume_at=broadcast.resume_at,
            start_at=broadcast.start_at,
            is_at_once=broadcast.is_at_once,
            asked_by=broadcast.asked_by,
            approved_by=broadcast.approved_by,
            segment=broadcast.segment,
            not_after=broadcast.not_after,
            frozen_at=broadcast.frozen_at,
            finished_at=broadcast.finished_at,
            accounts=accounts,
            retrying=retrying,
            next_retry_at=next_retry_at,
            retryable=_retryable(session, broadcast, accounts.failed),
        )

    def _waiting(self, broadcast: Broadcast) -> list[ScalarSelect[int]]:
        """Counts that add up to all who wait; none: let them be counted one by one."""
        tail = self._tail
        if tail is None:
            return []
        fresh = _fresh(broadcast)
        ours = Delivery.broadcast_id == self._id
        behind = select(literal(tail.rows) - _count(_skipped(self._id), Delivery.id > tail.mark))
        return [
            _count(fresh, Delivery.id <= tail.mark),
            _count(ours, WAITING, Delivery.due_at < broadcast.start_at),
            _count(ours, WAITING, Delivery.due_at > broadcast.start_at),
            behind.scalar_subquery(),
        ]

    def _move_mark(self, session: Session, broadcast: Broadcast) -> None:
        """Set or move the mark; how many are behind it stays true until the sender comes there."""
        if broadcast.frozen_at is None or broadcast.state in OVER:
            self._tail = None
            return
        tail = self._tail
        if tail is not None:
            fresh_there = session.scalar(select(_nth_fresh(broadcast, LOW_ROWS)))
            if fresh_there is not None and fresh_there <= tail.mark:
                return
        mark: int | None = session.scalar(select(_nth_fresh(broadcast, HEAD_ROWS)))
        self._tail = None if mark is None else _behind(session, broadcast, tail, mark)


def _behind(session: Session, broadcast: Broadcast, before: _Tail | None, mark: int) -> _Tail:
    """The rows behind a new mark: counted, or what is left of those behind the one before."""
    moved = _moved(session, broadcast, before, mark) if before is not None else None
    if moved is not None:
        return moved
    return _Tail(mark, session.scalar(select(_rows(broadcast, Delivery.id > mark))) or 0)


def _fresh(broadcast: Broadcast) -> ColumnElement[bool]:
    """Waiting since they were frozen: whoever is to be tried again is due later."""
    ours = Delivery.broadcast_id == broadcast.id
    return and_(ours, WAITING, Delivery.due_at == broadcast.start_at)


def _skipped(broadcast_id: int) -> ColumnElement[bool]:
    ours = Delivery.broadcast_id == broadcast_id
    return and_(ours, NOT_SENT, Delivery.state == DeliveryState.SKIPPED)


def _moved(session: Session, broadcast: Broadcast, tail: _Tail, mark: int) -> _Tail | None:
    """The tail behind the new mark; None when somebody may have come to the old one.

    One statement: what is counted and that nobody was there are of one moment.
    """
    between = Delivery.id.between(tail.mark + 1, mark)
    passed, safe = session.execute(
        select(_rows(broadcast, between), _nth_fresh(broadcast, SAFE_ROWS))
    ).one()
    return _Tail(mark, tail.rows - passed) if safe is not None and safe <= tail.mark else None


def _rows(broadcast: Broadcast, where: ColumnElement[bool]) -> ColumnElement[int]:
    """Fresh or skipped there: who is skipped meanwhile is counted once."""
    return _count(_fresh(broadcast), where) + _count(_skipped(broadcast.id), where)


def _nth_fresh(broadcast: Broadcast, number: int) -> ScalarSelect[int | None]:
    fresh = select(Delivery.id).where(_fresh(broadcast)).order_by(Delivery.due_at, Delivery.id)
    return fresh.offset(number - 1).limit(1).scalar_subquery()


def _count(*which: ColumnElement[bool]) -> ScalarSelect[int]:
    return select(func.count()).select_from(Delivery).where(*which).scalar_subquery()


def _retryable(session: Session, broadcast: Broadcast, failed: int) -> int | None:
    if not failed:
        return 0
    if failed > _MOST_RETRIES and broadcast.state not in OVER:
        return None
    return ledger.retryable(session, broadcast.id)


def _retries(session: Session, broadcast_id: int) -> tuple[int, datetime | None]:
    later = and_(Delivery.broadcast_id == broadcast_id, WAITING, Delivery.due_at > now())
    row = session.execute(select(func.count(), func.min(Delivery.due_at)).where(later)).one()
    return row[0], row[1]
