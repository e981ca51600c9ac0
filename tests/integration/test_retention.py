"""Pruning: who got what goes, every figure stays, links in old mails still work."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest
import time_machine
from fastapi.testclient import TestClient
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from newsletter.broadcasts import accounting, control, sent_issues
from newsletter.broadcasts.models import (
    Broadcast,
    BroadcastState,
    BroadcastTotals,
    Delivery,
    DeliveryLog,
    DeliveryState,
)
from newsletter.core.clock import now
from newsletter.core.db import Sessions
from newsletter.core.errors import RefusedError
from newsletter.core.tokens import TokenKeys
from newsletter.privacy import retention
from newsletter.rendering.mail_tokens import Door, LeaveToken, TrackingToken
from newsletter.reports import figures
from newsletter.reports.figures import Report
from newsletter.tracking import leaving
from newsletter.tracking.models import Event, EventKind
from newsletter.tracking.recording import Fetch, Visit, record
from newsletter.web.app import create_app
from tests import factories

S = DeliveryState
BROWSER = Visit(user_agent="Mozilla/5.0 (X11) Firefox/140.0")
SCANNER = Visit(user_agent="Barracuda")
ENDS = [
    *[(S.ACCEPTED, "")] * 4,
    (S.ACCEPTED, "proved by the reader"),
    (S.FAILED, "gone"),
    (S.FAILED, "mailbox full"),
    (S.SKIPPED, "unsubscribed"),
    (S.IN_DOUBT, "no reply"),
]
READERS = [f"r{n}@example.org" for n in range(len(ENDS))]


@dataclass(frozen=True)
class Old:
    """A broadcast that ended long ago, with readers who opened, clicked and left."""

    broadcast_id: int
    newsletter_id: int
    rows: Sequence[Delivery]

    def leave_token(self, number: int) -> LeaveToken:
        row = self.rows[number]
        person = row.subscriber_id
        return LeaveToken(Door.HEADER, self.newsletter_id, person, self.broadcast_id, row.id)

    def tracking_token(self, number: int) -> TrackingToken:
        return TrackingToken(self.broadcast_id, self.rows[number].id)


@pytest.fixture
def old(sessions: Sessions) -> Old:
    with time_machine.travel(now() - timedelta(days=400)):
        broadcast_id = factories.sending(sessions, READERS)
        with sessions.writing() as session:
            rows = session.scalars(select(Delivery).order_by(Delivery.id)).all()
            for row, (state, reason) in zip(rows, ENDS, strict=True):
                row.state, row.reason, row.last_at = state, reason, now() - timedelta(hours=1)
                session.add(DeliveryLog(delivery_id=row.id, state=state, reason=reason))
            newsletter_id = session.get_one(Broadcast, broadcast_id).issue.newsletter_id
            made = Old(broadcast_id, newsletter_id, rows)
            _read_by_readers(session, made)
            assert accounting.finish(session, broadcast_id)
    return made


def _read_by_readers(session: Session, old: Old) -> None:
    for number in range(3):
        token = old.tracking_token(number)
        record(session, [Fetch(EventKind.OPEN, token, BROWSER)])
        record(session, [Fetch(EventKind.CLICK, token, BROWSER, link=1)])
    record(session, [Fetch(EventKind.CLICK, old.tracking_token(3), SCANNER, link=2)])
    record(session, [Fetch(EventKind.OPEN, TrackingToken(old.broadcast_id, None), BROWSER)])
    for number in (0, 1):
        ended = leaving.leave(session, old.leave_token(number), BROWSER)
    undo = leaving.taking_back(old.leave_token(1), ended)
    assert undo
    assert leaving.undo(session, undo, BROWSER)


def report(sessions: Sessions, old: Old) -> Report:
    """What is kept of it when its rows go: all but the details."""
    with sessions.reading() as session:
        found = figures.report(session, control.find_broadcast(session, old.broadcast_id))
    links = tuple(replace(line, readers=None) for line in found.links)
    return replace(found, links=links, details=None)


def prune(sessions: Sessions, days: int = 365) -> int:
    """How many rows were reported gone."""
    gone: list[int] = []
    with sessions.reading() as session:
        found = retention.prunable(session, now() - timedelta(days=days))
    retention.prune(sessions, found, gone.append)
    return sum(gone)


def rows(sessions: Sessions, table: type[Delivery | DeliveryLog | Event]) -> int:
    with sessions.reading() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def test_the_rows_go_and_every_figure_stays(
    sessions: Sessions, old: Old, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "CHUNK_ROWS", 2)
    before, events = report(sessions, old), rows(sessions, Event)
    assert (before.unsubscribed, len(before.accounts.reasons), events) == (1, 5, 11)
    assert prune(sessions) == len(READERS) + events
    assert report(sessions, old) == before
    assert report(sessions, old).accounts.line() == before.accounts.line()
    assert [rows(sessions, table) for table in (Delivery, DeliveryLog, Event)] == [0, 0, 0]
    assert prune(sessions) == 0, "it is done once"


def test_a_pruning_that_stops_half_way_shows_the_same_figures_and_goes_on(
    sessions: Sessions, old: Old, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(_rows: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(retention, "CHUNK_ROWS", 2)
    before = report(sessions, old)
    with sessions.reading() as session:
        found = retention.prunable(session, now() - timedelta(days=365))
    with pytest.raises(KeyboardInterrupt):
        retention.prune(sessions, found, stop)
    assert rows(sessions, Delivery) == len(READERS) - 2
    assert report(sessions, old) == before
    prune(sessions)
    assert (rows(sessions, Delivery), rows(sessions, Event)) == (0, 0)
    assert report(sessions, old) == before


def test_what_is_young_or_still_sending_is_left_alone(sessions: Sessions, old: Old) -> None:
    text = factories.MARKDOWN.replace("2026-06-17", "2026-06-18")
    young = factories.sending(sessions, ["ada@example.org"], text, "Evenings")
    assert prune(sessions, days=500) == 0
    with sessions.writing() as session:
        broadcast = session.get_one(Broadcast, old.broadcast_id)
        broadcast.state = BroadcastState.SENDING
    assert prune(sessions) == 0
    with sessions.writing() as session:
        session.get_one(Broadcast, old.broadcast_id).state = BroadcastState.DONE
    prune(sessions)
    assert list(factories.deliveries(sessions, young)) == ["ada@example.org"]


def test_what_was_started_again_since_it_was_found_is_left_alone(
    sessions: Sessions, old: Old
) -> None:
    with sessions.writing() as session:
        found = retention.prunable(session, now())
        assert control.retry_failed(session, old.broadcast_id, force=True) == 2
    retention.prune(sessions, found)
    assert rows(sessions, Delivery) == len(READERS)


def test_links_of_pruned_mails_still_work(sessions: Sessions, old: Old, keys: TokenKeys) -> None:
    before = report(sessions, old)
    prune(sessions)
    with TestClient(
        create_app(factories.runtime(sessions, keys)), follow_redirects=False
    ) as client:
        click = client.get(f"/c/{old.tracking_token(2).mint(keys)}/1")
        aggregate = client.get(f"/c/{TrackingToken(old.broadcast_id, None).mint(keys)}/1")
        pixel = client.get(f"/o/{old.tracking_token(2).mint(keys)}.gif")
        left = client.post(
            f"/u/{old.leave_token(2).mint(keys)}", data={"List-Unsubscribe": "One-Click"}
        )
    assert (click.status_code, click.headers["location"]) == (302, "https://example.org/one")
    assert (aggregate.status_code, pixel.status_code, left.status_code) == (302, 200, 200)
    with sessions.reading() as session:
        assert sent_issues.was_sent(session, session.get_one(Broadcast, old.broadcast_id).issue)
    assert rows(sessions, Event) == 0, "nothing is written that nobody would count"
    assert report(sessions, old) == before


def test_a_delivery_id_is_never_given_twice(sessions: Sessions, old: Old) -> None:
    prune(sessions)
    text = factories.MARKDOWN.replace("2026-06-17", "2026-06-18")
    again = factories.sending(sessions, ["new@example.org"], text, "Evenings")
    (row,) = factories.deliveries(sessions, again).values()
    assert row.id > max(pruned.id for pruned in old.rows)


def test_nobody_is_mailed_again_because_the_rows_are_gone(sessions: Sessions, old: Old) -> None:
    """Cancelled after some had it: the rows that said so are pruned, the totals say it still."""
    with sessions.writing() as session:
        session.get_one(Broadcast, old.broadcast_id).state = BroadcastState.CANCELLED
    prune(sessions)
    with sessions.writing() as session:
        broadcast = session.get_one(Broadcast, old.broadcast_id)
        readers = [chosen.list for chosen in broadcast.lists]
        with pytest.raises(RefusedError, match="already sent"):
            factories.scheduled(session, broadcast.issue, readers)


def test_a_pruned_broadcast_is_not_retried(sessions: Sessions, old: Old) -> None:
    prune(sessions)
    with sessions.writing() as session, pytest.raises(RefusedError, match="pruned"):
        control.retry_failed(session, old.broadcast_id, force=True)
    with sessions.reading() as session:
        assert session.get_one(BroadcastTotals, old.broadcast_id).pruned_at
