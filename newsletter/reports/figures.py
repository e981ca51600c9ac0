"""What became of a broadcast: derived from ledger and events, or from the totals they left."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from newsletter.broadcasts import accounting, planning
from newsletter.broadcasts.accounting import Accounting
from newsletter.broadcasts.models import Broadcast
from newsletter.rendering.compiled import Link
from newsletter.tracking.classification import Reader
from newsletter.tracking.readership import Readers, readership


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
    read = readership(session, broadcast.id)
    return Report(
        broadcast_id=broadcast.id,
        subject=broadcast.issue.subject,
        state=broadcast.state.value,
        started_at=broadcast.start_at,
        finished_at=broadcast.finished_at,
        accounts=accounting.account(session, broadcast.id),
        opens=read.opens,
        clicks=read.clicks,
        links=tuple(
            LinkClicks(link, read.links.get(link.number, {})) for link in frozen.email.links
        ),
        unsubscribed=read.unsubscribed,
    )
