"""Raw evidence and the trail go after their time; no figure changes, no process does it twice."""

from collections.abc import Sequence
from datetime import timedelta

import pytest
import time_machine
from sqlalchemy import select
from sqlalchemy.orm import Session

from newsletter.accounts import audit
from newsletter.broadcasts import control
from newsletter.broadcasts.models import Delivery, DeliveryState
from newsletter.core.clock import now
from newsletter.core.db import Sessions
from newsletter.core.sections import RetentionSettings
from newsletter.core.tokens import TokenKeys
from newsletter.jobs.daily import keep_house
from newsletter.privacy import upkeep
from newsletter.privacy.upkeep import Old
from newsletter.rendering.mail_tokens import TrackingToken
from newsletter.reports import figures
from newsletter.reports.figures import Report
from newsletter.tracking.classification import VERSION, Reader
from newsletter.tracking.models import Event, EventKind
from newsletter.tracking.recording import Fetch, Visit, record
from subscribers.models import ConsentEvent
from tests import factories

DAYS = RetentionSettings(evidence_days=90, audit_days=365)
BROWSER = Visit(ip="203.0.113.7", user_agent="Mozilla/5.0 (X11) Firefox/140.0")
SCANNER = Visit(ip="203.0.113.8", user_agent="Barracuda")
APPLE = Visit(ip="203.0.113.9", user_agent="Mozilla/5.0")
LONG_AGO = timedelta(days=100)


@pytest.fixture
def read(sessions: Sessions) -> int:
    """A broadcast of a hundred days ago with every class of reader, and a visit of today."""
    with time_machine.travel(now() - LONG_AGO):
        broadcast_id = factories.sending(sessions, [f"r{n}@example.org" for n in range(4)])
        with sessions.writing() as session:
            deliveries = session.scalars(select(Delivery).order_by(Delivery.id)).all()
            for row in deliveries:
                row.state, row.last_at = DeliveryState.ACCEPTED, now() - timedelta(hours=1)
            for event in session.scalars(select(ConsentEvent)):
                event.ip, event.user_agent = "203.0.113.7", "Firefox"
            for row, visit in zip(deliveries, (BROWSER, SCANNER, APPLE), strict=False):
                _hit(session, row, visit, EventKind.OPEN)
            for link in (1, 2, 3):  # a burst: no reader clicks that fast
                _hit(session, deliveries[3], BROWSER, EventKind.CLICK, link)
            _hit(session, deliveries[0], BROWSER, EventKind.CLICK, 1)
            aggregate = TrackingToken(broadcast_id, None)
            record(session, [Fetch(EventKind.CLICK, aggregate, _now(BROWSER), link=2)])
            audit.record(session, "command", "subscriber.added", 1)
    with sessions.writing() as session:
        _hit(session, deliveries[1], BROWSER, EventKind.CLICK, 1)
    return broadcast_id


def _now(visit: Visit) -> Visit:
    return Visit(ip=visit.ip, user_agent=visit.user_agent)


def _hit(
    session: Session, row: Delivery, visit: Visit, kind: EventKind, link: int | None = None
) -> None:
    token = TrackingToken(row.broadcast_id, row.id)
    record(session, [Fetch(kind, token, _now(visit), link)])


def report(sessions: Sessions, broadcast_id: int) -> Report:
    with sessions.reading() as session:
        return figures.report(session, control.find_broadcast(session, broadcast_id))


def events(sessions: Sessions) -> Sequence[Event]:
    with sessions.reading() as session:
        return session.scalars(select(Event).order_by(Event.id)).all()


def test_evidence_goes_and_every_figure_stays(
    sessions: Sessions, read: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "CHUNK_ROWS", 2)
    before = report(sessions, read)
    assert set(before.opens.hits) == {Reader.HUMAN, Reader.MACHINE, Reader.UNKNOWN}
    with sessions.reading() as session:
        found = upkeep.find_old(session, DAYS)
    assert found == Old(events=8, consent_events=4, audit_events=0, import_lines=0)
    assert upkeep.retain(sessions, DAYS) == found
    assert report(sessions, read) == before
    *old, young = events(sessions)
    assert {(event.ip, event.user_agent) for event in old} == {("", "")}
    assert (young.ip, young.reader) == (BROWSER.ip, "")
    assert old[1].rule == f"scanner/{VERSION}"
    assert [event.rule for event in old[3:6]] == [f"burst/{VERSION}"] * 3
    with sessions.reading() as session:
        kept = session.scalars(select(ConsentEvent)).all()
    assert {(event.ip, event.user_agent, event.wording) for event in kept} == {
        ("", "", factories.EVIDENCE.wording)
    }
    assert upkeep.retain(sessions, DAYS).total == 0, "it is done once"


def test_the_trail_is_cut_at_its_own_age(sessions: Sessions, read: int) -> None:
    del read
    assert upkeep.retain(sessions, DAYS.model_copy(update={"audit_days": 99})).audit_events == 1
    with sessions.reading() as session:
        assert audit.trail(session) == []


def test_one_process_does_it_once_a_day_and_who_fails_leaves_it_to_the_next(
    sessions: Sessions, keys: TokenKeys, read: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    del read
    runtime = factories.runtime(sessions, keys, retention=DAYS)

    def fail(*_: object) -> None:
        raise OSError("no")

    with monkeypatch.context() as broken:
        broken.setattr(upkeep, "_empty_consent", fail)
        with pytest.raises(OSError, match="no"):
            keep_house(runtime)
    assert keep_house(runtime)
    with sessions.reading() as session:
        assert upkeep.find_old(session, DAYS).total == 0
    assert not keep_house(runtime)
