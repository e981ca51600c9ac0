"""What became of a broadcast: derived from ledger and events, or from the totals they left."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy.orm import Session

from newsletter.broadcasts import accounting, planning
from newsletter.broadcasts.accounting import Accounting
from newsletter.broadcasts.models import Broadcast, BroadcastTotals
from newsletter.rendering.compiled import Link
from newsletter.reports import counting, snapshots
from newsletter.reports.details import Details, Hour
from newsletter.reports.models import BroadcastCounts
from newsletter.tracking.classification import Reader
from newsletter.tracking.readership import Readers, Readership

Hours = tuple[Hour, ...]
_NOBODY = Readership(Readers({}, {}), Readers({}, {}), {}, 0)


@dataclass(frozen=True, slots=True)
class LinkClicks:
    """One link of the mail and the clicks on it, by class.

    Attributes:
        readers: different readers, of those told apart; None when not known (any more).
    """

    link: Link
    clicks: Mapping[Reader, int]
    readers: Mapping[Reader, int] | None


@dataclass(frozen=True, slots=True)
class Report:
    """One broadcast's figures; equal when all of them are, however they were come by.

    Attributes:
        unsubscribed: deliveries whose reader left by this mail's link and did not come back.
        details: by hour, domain and reason; None when not known (any more).
        counted_at: when readers and details were counted; None: they are not yet.
        is_live: it was now, for whoever asked.
        is_pruned: the recipients' rows are gone; what is not kept is not known any more.
        is_due: somebody should count it again.
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
    details: Details | None
    counted_at: datetime | None = field(compare=False)
    is_live: bool = field(default=True, compare=False)
    is_pruned: bool = field(default=False, compare=False)
    is_due: bool = field(default=False, compare=False)

    @property
    def hours(self) -> Hours:
        """The first hours, up to the one in which they were counted; none when not known."""
        if self.details is None or self.counted_at is None:
            return ()
        return self.details.hours_until(self.counted_at)

    def clicks_by(self, reader: Reader) -> int:
        """Clicks of that class."""
        return self.clicks.hits.get(reader, 0)

    def opens_by(self, reader: Reader) -> int:
        """Opens of that class."""
        return self.opens.hits.get(reader, 0)


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of a broadcast's readers."""

    accounts: Accounting
    readership: Readership
    details: Details | None
    counted_at: datetime | None
    is_live: bool = False
    is_pruned: bool = False
    is_due: bool = False


def report(session: Session, broadcast: Broadcast) -> Report:
    """Derive the figures of one broadcast from its rows, however many they are."""
    known = _pruned(session, broadcast) or _counted_now(session, broadcast)
    return _report(session, broadcast, known)


def shown(session: Session, broadcast: Broadcast) -> Report:
    """As `report`, for a page: the rows of a large broadcast are not counted while one waits.

    Its outcomes are those of now, its readers as they were counted last.
    """
    known = _pruned(session, broadcast)
    if known is None and snapshots.is_small(session, broadcast):
        known = _counted_now(session, broadcast)
    return _report(session, broadcast, known or _counted_before(session, broadcast))


def _counted_now(session: Session, broadcast: Broadcast) -> _Known:
    found = counting.count(session, broadcast.id)
    return _Known(found.accounts, found.readership, found.details, found.counted_at, is_live=True)


def _counted_before(session: Session, broadcast: Broadcast) -> _Known:
    accounts = accounting.progress(session, broadcast.id)
    kept = session.get(BroadcastCounts, broadcast.id)
    if kept is None:
        return _Known(accounts, _NOBODY, None, None, is_due=True)
    return _Known(
        accounts,
        Readership.from_json(kept.readership),
        Details.from_json(kept.details),
        kept.counted_at,
        is_due=snapshots.is_stale(
            broadcast.start_at, broadcast.finished_at, kept.counted_at, kept.took_ms
        ),
    )


def _pruned(session: Session, broadcast: Broadcast) -> _Known | None:
    """The totals alone count; details are what was counted last before, if ever."""
    totals = session.get(BroadcastTotals, broadcast.id)
    if totals is None:
        return None
    kept = session.get(BroadcastCounts, broadcast.id)
    return _Known(
        accounting.account(session, broadcast.id),
        Readership.from_json(totals.readership),
        Details.from_json(kept.details) if kept else None,
        totals.written_at,
        is_pruned=True,
    )


def _report(session: Session, broadcast: Broadcast, known: _Known) -> Report:
    links = planning.frozen_content(session, broadcast.id).email.links
    readers = known.details.link_readers if known.details else None
    return Report(
        broadcast_id=broadcast.id,
        subject=broadcast.issue.subject,
        state=broadcast.state.value,
        started_at=broadcast.start_at,
        finished_at=broadcast.finished_at,
        accounts=known.accounts,
        opens=known.readership.opens,
        clicks=known.readership.clicks,
        links=tuple(
            LinkClicks(
                link,
                known.readership.links.get(link.number, {}),
                readers.get(link.number, {}) if readers is not None else None,
            )
            for link in links
        ),
        unsubscribed=known.readership.unsubscribed,
        details=known.details,
        counted_at=known.counted_at,
        is_live=known.is_live,
        is_pruned=known.is_pruned,
        is_due=known.is_due,
    )
