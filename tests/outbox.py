"""The outbox of tests: put a mail in, look at what became of it."""

from sqlalchemy import select

from newsletter.broadcasts.models import DeliveryState
from newsletter.core.db import Sessions
from newsletter.sending import system_mail
from newsletter.sending.models import SystemMail

WIRE = b"Subject: x\r\n\r\nx\r\n"


def enqueue(
    sessions: Sessions, key: str = "one", to: str = "ada@example.org", kind: str = "test"
) -> bool:
    with sessions.writing() as session:
        return system_mail.enqueue(
            session, key=key, kind=kind, sender="editor@example.org", to=to, wire=WIRE
        )


def states(sessions: Sessions) -> list[DeliveryState]:
    with sessions.reading() as session:
        return list(session.scalars(select(SystemMail.state).order_by(SystemMail.id)))


def outbox(sessions: Sessions) -> SystemMail:
    with sessions.reading() as session:
        return session.scalars(select(SystemMail)).one()
