"""What the desk says when nothing moves: no relay in use, a pause, failures that stay."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select

from newsletter.accounts.permissions import Role
from newsletter.broadcasts import control
from newsletter.broadcasts.live import Watch
from newsletter.broadcasts.models import Broadcast, BroadcastState, Delivery, DeliveryState
from newsletter.core.clock import now
from newsletter.core.db import Sessions
from newsletter.core.sections import RelaySettings
from newsletter.core.tokens import TokenKeys
from newsletter.sending.models import SystemMail
from newsletter.web.desk.broadcasts import watching
from newsletter.web.desk.broadcasts.watching import Seen
from subscribers import suppressions
from subscribers.models import SuppressionReason
from tests import factories
from tests.desk import Seat, open_desk, text_of

PEOPLE = [f"r{number}@example.org" for number in range(3)]


@pytest.fixture
def relayed(sqlite_sessions: Sessions, keys: TokenKeys) -> Iterator[Seat]:
    main = RelaySettings(name="main", url="smtp://127.0.0.1:1?tls=none")
    with open_desk(sqlite_sessions, keys, relays=(main,)) as seat:
        yield seat


def ended(seat: Seat, *states: DeliveryState) -> int:
    """A broadcast whose first rows ended so."""
    broadcast_id = factories.sending(seat.sessions, PEOPLE)
    with seat.sessions.writing() as session:
        rows = session.scalars(select(Delivery).order_by(Delivery.id))
        for row, state in zip(rows, states, strict=False):
            row.state, row.attempt, row.reason = state, 1, "gone"
    return broadcast_id


def test_with_every_relay_paused_nothing_is_said_to_be_sent(relayed: Seat) -> None:
    broadcast_id = factories.sending(relayed.sessions, PEOPLE)
    with relayed.sessions.reading() as session:
        issue_id = session.get_one(Broadcast, broadcast_id).issue_id
    assert "No relay is in use" not in relayed.read(f"/broadcasts/new/{issue_id}")
    relayed.done("/settings/relays/main/pause")
    why = f"No relay is in use: paused by {relayed.email}."
    said = relayed.read(f"/broadcasts/{broadcast_id}")
    assert "Stands still Nothing is sent now. It goes on by itself once a relay" in said
    assert f"{why} Settings > Relays" in said
    assert why in relayed.read(f"/broadcasts/new/{issue_id}")
    home = relayed.read("/")
    assert f"Needs you Measured twice {why}" in home
    assert "Being sent" not in home
    relayed.done("/settings/relays/main/resume")
    assert "Being sent Measured twice" in relayed.read("/")


def test_what_was_cancelled_too_late_is_not_unsent(seat: Seat) -> None:
    broadcast_id = ended(seat, DeliveryState.ACCEPTED)
    with seat.sessions.writing() as session:
        control.cancel(session, broadcast_id)
    home = seat.read("/")
    assert "Not sent yet" not in home
    assert "Last time Measured twice" in home


def test_last_time_is_not_the_one_going_out(seat: Seat) -> None:
    factories.sending(seat.sessions, PEOPLE)
    assert "Last time" not in seat.read("/")
    text = factories.MARKDOWN.replace("2026-06-17", "2026-06-16").replace("Measured", "Weighed")
    before = factories.sending(seat.sessions, PEOPLE, text, "Evenings")
    with seat.sessions.writing() as session:
        broadcast = session.get_one(Broadcast, before)
        broadcast.state, broadcast.finished_at = BroadcastState.DONE, now()
        broadcast.start_at = now() - timedelta(days=1)
    assert "Last time Weighed twice" in seat.read("/")


def test_who_paused_it_is_named(seat: Seat) -> None:
    broadcast_id = factories.sending(seat.sessions, PEOPLE)
    said = seat.done(f"/broadcasts/{broadcast_id}/pause")
    assert f"{seat.email} paused it. Resume it when it may go on." in said
    assert f"Needs you Measured twice paused by {seat.email}" in seat.read("/")


def test_a_scheduled_issue_leads_to_its_broadcast(seat: Seat) -> None:
    with seat.sessions.writing() as session:
        issue = factories.stored_issue(session)
        readers = factories.a_list(session, "Mornings", issue)
        broadcast_id = factories.scheduled(session, issue, [readers]).id
    page = seat.page(f"/issues/{issue.id}")
    assert f'href="/broadcasts/{broadcast_id}">See its broadcast' in page
    assert "“Undo”" in page
    assert "See its report" not in page


def test_reasons_are_words_in_reports_too(seat: Seat) -> None:
    broadcast_id = ended(seat, DeliveryState.FAILED)
    assert "the address does not exist 1" in seat.read(f"/broadcasts/{broadcast_id}")
    assert "Failed, because Recipients the address does not exist 1" in seat.read(
        f"/reports/{broadcast_id}"
    )


def test_only_those_who_may_be_mailed_are_tried_again(seat: Seat) -> None:
    broadcast_id = ended(seat, DeliveryState.FAILED, DeliveryState.FAILED, DeliveryState.FAILED)
    with seat.sessions.writing() as session:
        suppressions.suppress(session, PEOPLE[0], reason=SuppressionReason.GONE, source="delivery")
    page = f"/broadcasts/{broadcast_id}"
    said = seat.read(page)
    assert "2 people who failed, and nobody else, are offered the mail once more." in said
    assert "1 is suppressed or has left meanwhile and stays as it is." in said
    assert "2 people are tried again." in seat.done(f"{page}/retry-failed")
    said = seat.read(page)
    assert "0 skipped" in said
    assert "1 person failed and is suppressed or has left meanwhile" in said
    assert "Try again" not in said
    again = seat.post(f"{page}/retry-failed")
    assert again.status_code == 409


def test_without_anybody_due_there_is_no_rate(seat: Seat) -> None:
    broadcast_id = factories.sending(seat.sessions, PEOPLE)
    with seat.sessions.reading() as session:
        standing = Watch(broadcast_id).look(session)
    seen = watching.with_pace(Seen(standing), 2.0)
    assert (seen.per_second, seen.seconds_left) == (2.0, 1.5)
    seen = watching.with_pace(Seen(replace(standing, retrying=3)), 0.0)
    assert (seen.per_second, seen.seconds_left) == (None, None)


def test_the_send_page_says_what_became_of_tests(relayed: Seat) -> None:
    with relayed.sessions.writing() as session:
        issue_id = factories.stored_issue(session).id
    send, polled = f"/broadcasts/new/{issue_id}", f'hx-get="/broadcasts/new/{issue_id}/tests"'
    assert "The last tests" not in relayed.read(send)
    relayed.done("/settings/relays/main/pause")
    why = f"No relay is in use: paused by {relayed.email}."
    assert f"The test waits. {why}" in relayed.done(f"{send}/test", {"to": "ada@example.org"})
    part = relayed.page(f"{send}/tests")
    assert polled in part
    assert "The last tests ada@example.org waiting" in text_of(part)
    assert why in text_of(part)
    with relayed.sessions.writing() as session:
        mail = session.scalars(select(SystemMail)).one()
        mail.state, mail.reason = DeliveryState.FAILED, "gone"
        mail.reply_code, mail.reply_text = 550, "User unknown"
    part = relayed.page(f"{send}/tests")
    assert polled not in part, "nothing waits"
    for page in (text_of(part), relayed.read(send)):
        assert "ada@example.org failed" in page
        assert "the address does not exist: 550 User unknown" in page


def test_an_author_sees_their_own_tests_alone(seat: Seat, seats: Callable[..., Seat]) -> None:
    with seat.sessions.writing() as session:
        issue_id = factories.stored_issue(session).id
    send, author = f"/broadcasts/new/{issue_id}", seats(Role.AUTHOR)
    seat.done(f"{send}/test", {"to": "ada@example.org"})
    said = author.done(f"{send}/test")
    assert f"{author.email} waiting" in said
    assert "ada@example.org" not in said


def test_reasons_are_words_on_a_persons_page(seat: Seat) -> None:
    ended(seat, DeliveryState.FAILED)
    with seat.sessions.writing() as session:
        row = session.scalars(select(Delivery).order_by(Delivery.id)).first()
        assert row
        person, row.reason = f"/subscribers/{row.subscriber_id}", "temporary"
    assert "still put off when it ended" in seat.read(person)
    with seat.sessions.writing() as session:
        session.merge(row).state = DeliveryState.PENDING
    assert "put off by the other side" in seat.read(person)
