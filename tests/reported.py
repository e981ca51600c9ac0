"""Broadcasts with readers whose every hit has its time: hours behind an acceptance of its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from newsletter.broadcasts.models import Broadcast, BroadcastState, Delivery, DeliveryState
from newsletter.core.db import Sessions
from newsletter.rendering.mail_tokens import Door, LeaveToken, TrackingToken
from newsletter.tracking import leaving
from newsletter.tracking.models import EventKind
from newsletter.tracking.recording import Fetch, Visit, record
from subscribers.models import LeaveReason
from tests import factories

NOW = datetime(2026, 6, 20, 12, tzinfo=UTC)
"""When the reports are read."""
STARTED = datetime(2026, 6, 17, 6, tzinfo=UTC)
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"
SCANNER = "Barracuda Sentinel"
PRIVACY_PROXY = "Mozilla/5.0"


@dataclass(frozen=True, slots=True)
class Reported:
    """A broadcast and its deliveries, in the order of their addresses as they were given."""

    broadcast_id: int
    newsletter_id: int
    rows: Sequence[Delivery]

    def token(self, number: int | None) -> TrackingToken:
        return TrackingToken(
            self.broadcast_id, self.rows[number].id if number is not None else None
        )


def sent(
    sessions: Sessions,
    addresses: Sequence[str],
    *,
    day: str = "2026-06-17",
    started: datetime = STARTED,
    name: str = "Mornings",
) -> Reported:
    """A broadcast that everybody accepted, a minute after each other, and that is done."""
    text = factories.MARKDOWN.replace("2026-06-17", day)
    broadcast_id = factories.sending(sessions, addresses, text, name)
    with sessions.writing() as session:
        broadcast = session.get_one(Broadcast, broadcast_id)
        by_address = {
            row.address: row
            for row in session.scalars(
                select(Delivery).where(Delivery.broadcast_id == broadcast_id)
            )
        }
        rows = [by_address[address] for address in addresses]
        for minute, row in enumerate(rows):
            row.state, row.attempt = DeliveryState.ACCEPTED, 1
            row.last_at = started + timedelta(minutes=minute)
        broadcast.state = BroadcastState.DONE
        broadcast.start_at, broadcast.frozen_at = started, started
        broadcast.finished_at = started + timedelta(hours=1)
        return Reported(broadcast_id, broadcast.issue.newsletter_id, rows)


def visit(hours: float, user_agent: str = FIREFOX, started: datetime = STARTED) -> Visit:
    """So many hours behind the start."""
    return Visit(user_agent=user_agent, at=started + timedelta(hours=hours))


def opened(
    session: Session, of: Reported, number: int | None, hours: float, agent: str = FIREFOX
) -> None:
    record(session, [Fetch(EventKind.OPEN, of.token(number), visit(hours, agent))])


def clicked(
    session: Session,
    of: Reported,
    number: int | None,
    hours: float,
    agent: str = FIREFOX,
    link: int = 1,
) -> None:
    record(session, [Fetch(EventKind.CLICK, of.token(number), visit(hours, agent), link)])


def left(
    session: Session, of: Reported, number: int, at: datetime, why: LeaveReason | None = None
) -> None:
    """By the link in the mail, at the present moment, which is to be `at`."""
    row = of.rows[number]
    token = LeaveToken(Door.BODY, of.newsletter_id, row.subscriber_id, of.broadcast_id, row.id)
    leaving.leave(session, token, Visit(user_agent=FIREFOX, at=at))
    if why:
        assert leaving.say_why(session, token, why, "")
