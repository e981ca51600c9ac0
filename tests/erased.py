"""A person with traces everywhere, and where to look for them afterwards."""

import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from newsletter.accounts import audit
from newsletter.broadcasts.ledger import Outcome
from newsletter.broadcasts.models import Broadcast, DeliveryState
from newsletter.core.db import Sessions
from newsletter.core.erasure_key import ErasureKey
from newsletter.mail.replies import Reply
from newsletter.rendering.mail_tokens import TrackingToken
from newsletter.sending import system_mail
from newsletter.sending.models import RelayState
from newsletter.tracking.models import EventKind
from newsletter.tracking.recording import Fetch, Visit, record
from subscribers import suppressions
from subscribers.imports.fates import Fate
from subscribers.imports.runs.looking import Column, Glance
from subscribers.imports.runs.models import ImportLine, ImportRun, ImportState
from subscribers.models import (
    ConsentEvent,
    Engagement,
    Segment,
    Subscriber,
    SuppressionReason,
)
from tests import factories
from tests.ledger_moves import claim, intend
from tests.ledger_moves import record as conclude
from tests.servers import packages

KEY = ErasureKey(b"an erasure key of the tests, long enough")
ADA = "Ada.Lovelace@Example.org"
ADA_KEY = "ada.lovelace@example.org"
NAME = "Augusta Ada King"
IP = "203.0.113.77"
SECRETS = ("lovelace", NAME.lower(), IP, "adabrowser", "analytical engine")
"""In lower case: whatever tells who she is."""


def with_traces(sessions: Sessions) -> tuple[int, int]:
    """Ada, in every table that may name a person: her id, and that of a broadcast she got."""
    broadcast_id = factories.sending(sessions, [ADA, "bob@example.org"])
    ours = claim(sessions, broadcast_id, 1)
    (row,) = ours.rows
    assert row.recipient.address_key == ADA_KEY
    assert intend(sessions, ours)
    said = Reply(450, "4.2.1", f"mailbox of {ADA} busy")
    assert conclude(
        sessions, ours.token, Outcome(row.delivery_id, DeliveryState.FAILED, "temporary", said)
    )
    with sessions.writing() as session:
        person = session.scalars(select(Subscriber).where(Subscriber.address_key == ADA_KEY)).one()
        person.name, person.attributes = NAME, {"owns": "an analytical engine"}
        person.locale = "en"
        for event in session.scalars(select(ConsentEvent)):
            if event.subscriber_id == person.id:
                event.ip, event.user_agent, event.source = IP, "AdaBrowser/1", ADA
        visit = Visit(ip=IP, user_agent="AdaBrowser/1")
        token = TrackingToken(broadcast_id, row.delivery_id)
        record(session, [Fetch(EventKind.OPEN, token, visit)])
        record(session, [Fetch(EventKind.CLICK, token, visit, link=1)])
        broadcast = session.get_one(Broadcast, broadcast_id)
        session.add(
            Engagement(newsletter_id=broadcast.issue.newsletter_id, subscriber_id=person.id)
        )
        broadcast.pause_detail = f"450 mailbox of {ADA} busy"
        session.add(RelayState(name="main", breaker_reason=f"{ADA_KEY} refused"))
        for number, spelling in enumerate((ADA, ADA.upper())):
            wire = f"To: {NAME} <{spelling}>\r\n\r\nDear {NAME}".encode()
            sender = "editor@example.org"
            system_mail.enqueue(
                session, key=f"k{number}", kind="test", sender=sender, to=spelling, wire=wire
            )
        suppressions.suppress(
            session, ADA_KEY, reason=SuppressionReason.COMPLAINT, source=f"said {ADA}"
        )
        segment = f'name = "Bob" or email in ("{ADA_KEY}", "bob@example.org")'
        broadcast.segment = segment
        session.add(Segment(list_id=1, slug="two", name="Two", text=segment))
        _in_a_file(session)
        audit.record(session, "command", "subscriber.added", person.id)
        return person.id, broadcast_id


def _in_a_file(session: Session) -> None:
    """Among the bad rows of one import, and in the first rows of another that waits."""
    kept = {"list_id": 1, "actor": "test", "file_name": "people.csv", "file_bytes": 1}
    first = Glance(is_json=False, columns=[Column("email", [ADA])], presets=["own"])
    session.add(ImportRun(state=ImportState.UPLOADED, glance=first.to_json(), **kept))
    done = ImportRun(state=ImportState.DONE, **kept)
    session.add(done)
    session.flush()
    cells = {"email": ADA, "name": NAME}
    session.add_all(
        ImportLine(run_id=done.id, fate=Fate.BAD, place="people.csv:2", **said)
        for said in (
            {"address_key": ADA_KEY, "cells": cells},
            {"address_key": "", "cells": {"friend": ADA}},
            {"address_key": "", "problem": f"email: {ADA} is not one"},
        )
    )


def dump(sessions: Sessions) -> str:
    """The whole database as text, in lower case."""
    if sessions.dialect == "sqlite":
        with closing(sqlite3.connect(str(sessions.engine.url.database))) as connection:
            return "\n".join(connection.iterdump()).lower()
    url = sessions.engine.url.set(drivername="postgresql")
    program = packages.PG_DUMP.path()
    assert program
    command = [str(program), "--inserts", url.render_as_string(hide_password=False)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.lower()


def raw_bytes(sessions: Sessions) -> bytes:
    """What stands in the files of a SQLite database, free pages and all."""
    file = Path(str(sessions.engine.url.database))
    files = [file, *file.parent.glob(f"{file.name}-*")]
    return b"".join(found.read_bytes() for found in files).lower()
