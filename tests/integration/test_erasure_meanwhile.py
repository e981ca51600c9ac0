"""Erasing while somebody else works with the same person, on PostgreSQL; SQLite has one writer."""

import threading
from pathlib import Path

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from newsletter.broadcasts.models import Broadcast
from newsletter.core.db import Sessions
from newsletter.privacy import erasure
from newsletter.rendering.mail_tokens import Door, LeaveToken, TrackingToken
from newsletter.tracking import leaving
from newsletter.tracking.models import Event, EventKind
from newsletter.tracking.recording import Fetch, Visit, record
from subscribers.imports.importing import import_file
from subscribers.imports.options import ImportOptions
from subscribers.models import Subscriber, SubscriberList
from tests import factories
from tests.erased import ADA, KEY
from tests.integration.test_sweep import wait_for_a_waiter

VISIT = Visit(ip="203.0.113.77", user_agent="Firefox")


class Reader:
    """Ada, with a mail that she reads and leaves by."""

    def __init__(self, sessions: Sessions) -> None:
        self.sessions = sessions
        self.broadcast_id = factories.sending(sessions, [ADA])
        (self.row,) = factories.deliveries(sessions, self.broadcast_id).values()
        with sessions.reading() as session:
            issue = session.get_one(Broadcast, self.broadcast_id).issue
            self.newsletter_id = issue.newsletter_id

    def open(self, session: Session) -> None:
        token = TrackingToken(self.broadcast_id, self.row.id)
        record(session, [Fetch(EventKind.OPEN, token, VISIT)])

    def leave(self, session: Session) -> None:
        person = self.row.subscriber_id
        token = LeaveToken(Door.HEADER, self.newsletter_id, person, self.broadcast_id, self.row.id)
        leaving.leave(session, token, VISIT)

    def erase(self, session: Session) -> None:
        erasure.erase(session, self.row.subscriber_id, KEY, "test")

    def in_thread(self, what: str) -> threading.Thread:
        def run() -> None:
            with self.sessions.writing() as session:
                getattr(self, what)(session)

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    def evidence(self) -> int:
        with self.sessions.reading() as session:
            return session.scalar(select(func.count()).where(Event.ip != "")) or 0


@pytest.mark.parametrize("act", ["open", "leave"])
@pytest.mark.parametrize("erases_first", [True, False])
def test_whoever_is_first_no_evidence_is_left(
    postgresql: Sessions, act: str, *, erases_first: bool
) -> None:
    reader = Reader(postgresql)
    first, second = ("erase", act) if erases_first else (act, "erase")
    with postgresql.writing() as session:
        getattr(reader, first)(session)
        thread = reader.in_thread(second)
        wait_for_a_waiter(postgresql)
    thread.join(20)
    assert not thread.is_alive()
    assert reader.evidence() == 0
    assert factories.deliveries(postgresql, reader.broadcast_id).keys() == {""}


def test_an_import_that_runs_meanwhile_brings_nobody_back(
    postgresql: Sessions, tmp_path: Path
) -> None:
    reader = Reader(postgresql)
    file = tmp_path / "people.csv"
    file.write_text(f"email,list\n{ADA},mornings\n")
    threads = []

    def find_list(session: Session, name: str) -> int:
        """It has asked who was erased; whoever is erased now waits until it is done."""
        threads.append(reader.in_thread("erase"))
        wait_for_a_waiter(postgresql)
        return session.scalars(select(SubscriberList.id).where(SubscriberList.slug == name)).one()

    import_file(postgresql, file, None, ImportOptions(erased=KEY, list_named=find_list))
    threads[0].join(20)
    with postgresql.reading() as session:
        assert session.scalar(select(func.count(Subscriber.id))) == 0
