"""The audit trail: written in the transaction of the act, so that one does not go without it."""

import getpass
from collections.abc import Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from newsletter.accounts.models import AuditEvent, User


def record(
    session: Session, actor: str, action: str, subscriber_id: int | None = None, **details: Any
) -> None:
    """Somebody did something; `details` name nobody: what is erased must not live on here."""
    session.add(
        AuditEvent(actor=actor[:200], action=action, subscriber_id=subscriber_id, details=details)
    )


def actor_of(user: User) -> str:
    """The actor of what is done at the desk."""
    return f"user {user.id}: {user.email}"


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
