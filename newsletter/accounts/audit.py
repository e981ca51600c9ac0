"""The audit trail: written in the transaction of the act, so that one does not go without it."""

import getpass
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Select, func, literal, select, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session

from newsletter.accounts.models import ACTOR_CHARACTERS, AuditEvent, User
from newsletter.core.numbers import MOST_BIG, read_number
from newsletter.core.tables import BigId, UtcDateTime

_MOST_KNOWN = 200
_LAST_FEW = 50
_BETWEEN = "~"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which part of the trail; empty and None: all of it. `until` itself is outside."""

    actor: str = ""
    action: str = ""
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """A page of the trail; `next` is the place behind which the next one begins, or empty."""

    events: Sequence[AuditEvent]
    next: str


def record(
    session: Session, actor: str, action: str, subscriber_id: int | None = None, **details: Any
) -> None:
    """Somebody did something; `details` name nobody: what is erased must not live on here."""
    session.add(
        AuditEvent(
            actor=actor[:ACTOR_CHARACTERS],
            action=action,
            subscriber_id=subscriber_id,
            details=details,
        )
    )


def actor_of(user: User) -> str:
    """The actor of what is done at the desk; of a very long address the beginning."""
    return f"user {user.id}: {user.email}"[:ACTOR_CHARACTERS]


def at_the_command_line() -> str:
    """The actor of a command: the account of the operating system that runs it."""
    try:
        return f"command: {getpass.getuser()}"
    except (KeyError, OSError):  # an id without a name, as in some containers
        return "command"


def trail(
    session: Session, *, subscriber_id: int | None = None, most: int = 100
) -> Sequence[AuditEvent]:
    """What was done, the latest first: to one person, or at all."""
    events = select(AuditEvent).order_by(AuditEvent.id.desc()).limit(most)
    if subscriber_id is not None:
        events = events.where(AuditEvent.subscriber_id == subscriber_id)
    return session.scalars(events).all()


def latest_actor(session: Session, action: str, **details: Any) -> str:
    """Who did this last to the thing that `details` name; empty: it was not among the latest."""
    events = select(AuditEvent.actor, AuditEvent.details).where(AuditEvent.action == action)
    latest = events.order_by(AuditEvent.at.desc(), AuditEvent.id.desc()).limit(_MOST_KNOWN)
    for actor, known_details in session.execute(latest):
        if details.items() <= known_details.items():
            return str(actor)
    return ""


def page(
    session: Session, wanted: Wanted, *, behind: tuple[datetime, int] | None, most: int
) -> Page:
    """A page of what was done, the latest first; by keyset, so a late page costs what a first does.

    Raises nothing for a place that is not there any more: the next begins behind where it was.
    """
    events = _only(select(AuditEvent), wanted)
    if behind is not None:
        place = tuple_(literal(behind[0], UtcDateTime), literal(behind[1], BigId))
        events = events.where(tuple_(AuditEvent.at, AuditEvent.id) < place)
    ordered = events.order_by(AuditEvent.at.desc(), AuditEvent.id.desc()).limit(most + 1)
    found = session.scalars(ordered).all()
    last = found[most - 1] if len(found) > most else None
    return Page(found[:most], f"{last.at.isoformat()}{_BETWEEN}{last.id}" if last else "")


def parse_place(text: str) -> tuple[datetime, int] | None:
    """What `Page.next` says; None for anything else."""
    moment, _, digits = text.partition(_BETWEEN)
    number = read_number(digits, MOST_BIG)
    try:
        at = datetime.fromisoformat(moment)
        return (at.astimezone(UTC), number) if at.tzinfo and number is not None else None
    except (ValueError, OverflowError):  # in the year 1 in Kiribati it is no year in Greenwich
        return None


def last(session: Session, action: str, **details: Any) -> AuditEvent | None:
    """The latest act of this kind with these details, among the last few of its kind."""
    events = select(AuditEvent).where(AuditEvent.action == action)
    for event in session.scalars(events.order_by(AuditEvent.id.desc()).limit(_LAST_FEW)):
        if details.items() <= event.details.items():
            return event
    return None


def known(session: Session) -> tuple[list[str], list[str]]:
    """Who is in the trail, and what can have been done, each once; a lookup for each, no scan."""
    return _distinct(session, AuditEvent.actor), _distinct(session, AuditEvent.action)


def _only(events: Select[AuditEvent], wanted: Wanted) -> Select[AuditEvent]:
    if wanted.actor:
        events = events.where(AuditEvent.actor == wanted.actor)
    if wanted.action:
        events = events.where(AuditEvent.action == wanted.action)
    if wanted.since:
        events = events.where(AuditEvent.at >= wanted.since)
    return events.where(AuditEvent.at < wanted.until) if wanted.until else events


def _distinct(session: Session, column: InstrumentedAttribute[str]) -> list[str]:
    found: list[str] = []
    value = session.scalar(select(func.min(column)))
    while value is not None and len(found) < _MOST_KNOWN:
        found.append(value)
        value = session.scalar(select(func.min(column)).where(column > value))
    return found
