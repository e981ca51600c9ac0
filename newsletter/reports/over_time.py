"""The broadcasts of a newsletter beside each other: figures, comparison, cadence."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median
from typing import Any

from sqlalchemy import Row, Select, select
from sqlalchemy.orm import Session

from newsletter.broadcasts.accounting import CountedByState
from newsletter.broadcasts.models import OVER, Broadcast, BroadcastTotals, DeliveryState
from newsletter.broadcasts.sent_issues import counts_as_sent
from newsletter.core.clock import now
from newsletter.issues.models import Issue
from newsletter.reports import counting, snapshots
from newsletter.reports.models import BroadcastCounts
from newsletter.reports.periods import DAY_SECONDS
from newsletter.tracking.classification import Reader
from newsletter.tracking.readership import Readership

COMPARED = 10
"""With how many earlier ones a broadcast is compared."""
_AT_ONCE = 5
_NEW = timedelta(hours=48)


@dataclass(frozen=True, slots=True)
class Line(CountedByState):
    """One broadcast among others.

    Attributes:
        readership: None: not counted yet.
        is_pruned: from the totals that its rows left.
    """

    broadcast_id: int
    subject: str
    state: str
    started_at: datetime
    states: Mapping[DeliveryState, int]
    readership: Readership | None
    counted_at: datetime | None
    is_pruned: bool = False

    @property
    def is_over(self) -> bool:
        """Its figures may be set beside others': nothing more is sent."""
        return self.state in OVER

    def clicks(self, reader: Reader) -> int | None:
        """None: not counted yet."""
        return None if self.readership is None else self.readership.clicks.hits.get(reader, 0)

    def opens(self, reader: Reader) -> int | None:
        """None: not counted yet."""
        return None if self.readership is None else self.readership.opens.hits.get(reader, 0)

    @property
    def unsubscribed(self) -> int | None:
        return None if self.readership is None else self.readership.unsubscribed

    def per_accepted(self, count: int | None) -> float | None:
        """That figure for each mail accepted; None where there is none, or it is not known."""
        return None if count is None or not self.accepted else count / self.accepted


def lines(
    session: Session, newsletter_id: int | None = None, *, most: int = 50, after: int = 0
) -> list[Line]:
    """Broadcasts that began, the latest first, behind the first `after`; None: of all newsletters.

    What was never counted is counted now while it is little; the rest shows nothing of readers.
    """
    wanted = _of(newsletter_id).order_by(Broadcast.start_at.desc(), Broadcast.id.desc())
    return _lines(session, wanted.limit(most).offset(after))


def latest_over(session: Session, newsletter_id: int) -> Line | None:
    """The last broadcast of the newsletter that is over, not cancelled before anybody had it."""
    over = _of(newsletter_id).where(Broadcast.state.in_(OVER), counts_as_sent())
    latest = over.order_by(Broadcast.start_at.desc(), Broadcast.id.desc()).limit(1)
    return next(iter(_lines(session, latest)), None)


def earlier(session: Session, broadcast: Broadcast, newsletter_id: int) -> list[Line]:
    """The last COMPARED broadcasts before this one that are over and that somebody got."""
    before = (
        _of(newsletter_id)
        .where(Broadcast.start_at < broadcast.start_at, Broadcast.id != broadcast.id)
        .where(Broadcast.state.in_(OVER))
        .order_by(Broadcast.start_at.desc(), Broadcast.id.desc())
        .limit(COMPARED)
    )
    return [line for line in _lines(session, before) if line.accepted]


@dataclass(frozen=True, slots=True)
class Comparison:
    """A broadcast's shares of its accepted mails beside the median of earlier ones.

    Attributes:
        broadcasts: how many earlier ones were counted.
        usual: the medians, by the names of `_SHARES`; empty without earlier ones.
    """

    broadcasts: int
    usual: Mapping[str, float]


def compare(found: Sequence[Line]) -> Comparison:
    """The medians of these broadcasts."""
    counted = [line for line in found if line.readership is not None and line.accepted]
    shares = {name: [share(line) or 0.0 for line in counted] for name, share in _SHARES.items()}
    return Comparison(len(counted), {n: median(each) for n, each in shares.items() if each})


_SHARES: Mapping[str, Callable[[Line], float | None]] = {
    "clicks": lambda line: line.per_accepted(line.clicks(Reader.HUMAN)),
    "opens": lambda line: line.per_accepted(line.opens(Reader.HUMAN)),
    "unsubscribed": lambda line: line.per_accepted(line.unsubscribed),
    "failed": lambda line: line.per_accepted(line.failed),
    "accepted": lambda line: float(line.accepted),
}


def cadence_days(found: Sequence[Line]) -> float | None:
    """Days between two broadcasts, the median of the last COMPARED; None with fewer than two."""
    times = sorted(line.started_at for line in found)[-COMPARED - 1 :]
    gaps = [(b - a).total_seconds() / DAY_SECONDS for a, b in pairwise(times)]
    return median(gaps) if gaps else None


def _of(newsletter_id: int | None) -> Select[*tuple[Any, ...]]:
    wanted = (
        select(
            Broadcast,
            Issue.subject,
            *(BroadcastTotals.outcomes.label("totals"), BroadcastTotals.readership.label("read")),
            BroadcastTotals.written_at,
            *(BroadcastCounts.outcomes, BroadcastCounts.readership, BroadcastCounts.counted_at),
        )
        .join(Issue, Issue.id == Broadcast.issue_id)
        .outerjoin(BroadcastTotals, BroadcastTotals.broadcast_id == Broadcast.id)
        .outerjoin(BroadcastCounts, BroadcastCounts.broadcast_id == Broadcast.id)
        .where(Broadcast.frozen_at.is_not(None))
    )
    return wanted if newsletter_id is None else wanted.where(Issue.newsletter_id == newsletter_id)


def _lines(session: Session, wanted: Select[*tuple[Any, ...]]) -> list[Line]:
    """A few that are small and new, or were never counted, are counted now."""
    rows_left, counts_left = snapshots.SMALL_ROWS, _AT_ONCE
    found = []
    for row in session.execute(wanted).all():
        rows = snapshots.deliveries(row.Broadcast)
        if counts_left and rows <= rows_left and _asks_for_now(session, row):
            rows_left, counts_left = rows_left - rows, counts_left - 1
            found.append(_counted_now(session, row))
        else:
            found.append(_line(session, row))
    return found


def _asks_for_now(session: Session, row: Row[*tuple[Any, ...]]) -> bool:
    if row.totals is not None:
        return False
    is_new = now() - row.Broadcast.start_at < _NEW
    return (is_new or row.counted_at is None) and snapshots.is_small(session, row.Broadcast)


def _line(session: Session, row: Row[*tuple[Any, ...]]) -> Line:
    """From the totals, or the counts; what is in motion has the outcomes of now."""
    broadcast: Broadcast = row.Broadcast
    if row.totals is not None:
        states, read, at = snapshots.states_of(row.totals), row.read, row.written_at
    else:
        in_motion = row.outcomes is None or broadcast.state in snapshots.IN_MOTION
        states = (
            snapshots.live_states(session, broadcast.id)
            if in_motion
            else snapshots.states_of(row.outcomes)
        )
        read, at = row.readership, row.counted_at
    return Line(
        broadcast_id=broadcast.id,
        subject=row.subject,
        state=broadcast.state.value,
        started_at=broadcast.start_at,
        states=states,
        readership=Readership.from_json(read) if read is not None else None,
        counted_at=at,
        is_pruned=row.totals is not None,
    )


def _counted_now(session: Session, row: Row[*tuple[Any, ...]]) -> Line:
    broadcast: Broadcast = row.Broadcast
    counted = counting.count(session, broadcast.id)
    return Line(
        broadcast_id=broadcast.id,
        subject=row.subject,
        state=broadcast.state.value,
        started_at=broadcast.start_at,
        states=counted.accounts.states,
        readership=counted.readership,
        counted_at=counted.counted_at,
    )
