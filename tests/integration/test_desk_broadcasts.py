"""Broadcasts at the desk: held, approved, seen while they run, steered."""

from collections.abc import Callable
from datetime import timedelta

from sqlalchemy import select

from newsletter.accounts.models import AuditEvent, User
from newsletter.accounts.permissions import Role
from newsletter.broadcasts import control, freezing
from newsletter.broadcasts.models import (
    Broadcast,
    BroadcastState,
    Delivery,
    DeliveryState,
    PauseReason,
)
from newsletter.core.clock import now
from newsletter.core.db import Sessions
from newsletter.core.sections import TrackingMode
from newsletter.core.tokens import TokenKeys
from newsletter.issues.models import Newsletter
from tests import factories
from tests.desk import Seat, log_in, open_desk, text_of
from tests.ready_to_send import Ready, change, ready_at, seen, wants

Seats = Callable[..., Seat]
B = BroadcastState


def test_another_newsletters_broadcast_is_not_there(ready: Ready, seats: Seats) -> None:
    broadcast_id = ready.ask()
    with ready.seat.sessions.writing() as session:
        session.add(Newsletter(slug="other", name="Other"))
        session.flush()
        other = session.scalars(select(Newsletter.id).where(Newsletter.slug == "other")).one()
    stranger = seats(Role.ADMIN, newsletter_id=other)
    for path in ("", "/mail", "/stream", "/in-doubt"):
        assert stranger.get(f"/broadcasts/{broadcast_id}{path}").status_code == 404
    assert stranger.post(f"/broadcasts/{broadcast_id}/cancel").status_code == 404
    assert stranger.get(f"/broadcasts/new/{ready.issue_id}").status_code == 404
    assert "Measured twice" not in stranger.read("/broadcasts")


def test_a_held_sending_is_undone_and_the_issue_is_free_again(ready: Ready) -> None:
    wants(ready.seat.sessions, hold_minutes=5)
    broadcast_id = ready.ask()
    page = ready.seat.page(f"/broadcasts/{broadcast_id}")
    assert 'class="countdown"' in page
    assert "Undo" in page
    with ready.seat.sessions.reading() as session:
        held = session.get_one(Broadcast, broadcast_id)
        assert (held.start_at - held.created_at) >= timedelta(minutes=4, seconds=59)
    assert "Nobody got it" in ready.seat.done(f"/broadcasts/{broadcast_id}/undo")
    assert ready.state(broadcast_id) is B.CANCELLED
    assert "Nothing was sent." in ready.seat.read(f"/broadcasts/{broadcast_id}")
    assert ready.ask(request_key="k2") != broadcast_id


def test_a_stale_page_does_not_undo_what_has_begun(ready: Ready) -> None:
    broadcast_id = ready.ask()
    with ready.seat.sessions.writing() as session:
        session.get_one(Broadcast, broadcast_id).state = B.FREEZING
    answer = ready.seat.post(f"/broadcasts/{broadcast_id}/undo")
    assert answer.status_code == 409
    assert "it has begun and cannot be undone" in text_of(answer.text)
    assert ready.state(broadcast_id) is B.FREEZING


def test_a_second_person_approves_and_an_edit_voids_it(ready: Ready, seats: Seats) -> None:
    wants(ready.seat.sessions, wants_approval=True)
    broadcast_id = ready.ask()
    page, path = f"/broadcasts/{broadcast_id}", f"/broadcasts/{broadcast_id}/approve"
    assert "Waits for approval" in ready.seat.read(page)
    assert "a second person has to approve" in text_of(ready.seat.post(path).text)
    second = seats(Role.SENDER)
    with ready.seat.sessions.writing() as session:
        session.scalars(select(Newsletter)).one().postal_address = "2 Another Street"
    assert "cannot be approved any more" in second.read(page)
    assert second.post(path).status_code == 409
    assert ready.state(broadcast_id) is B.AWAITING_APPROVAL
    assert "as it is now" in ready.seat.done(f"{page}/ask-again")
    assert "Approved." in second.done(path, seen(second, page))
    assert ready.state(broadcast_id) is B.SCHEDULED
    assert f"Approved by {second.email}" in ready.seat.read(page)
    assert second.post(path).status_code == 409, "it does not wait any more"


def test_a_text_that_was_asked_for_after_somebody_looked_is_not_approved(
    ready: Ready, seats: Seats
) -> None:
    wants(ready.seat.sessions, wants_approval=True)
    broadcast_id = ready.ask()
    page, second = f"/broadcasts/{broadcast_id}", seats(Role.SENDER)
    looked = seen(second, page)
    change(ready)
    ready.seat.done(f"{page}/ask-again")
    for fields in (looked, {}):
        answer = second.post(f"{page}/approve", fields)
        assert answer.status_code == 409
        assert "asked for anew since you looked" in text_of(answer.text)
    assert ready.state(broadcast_id) is B.AWAITING_APPROVAL
    assert "Approved." in second.done(f"{page}/approve", seen(second, page))


def test_people_with_very_long_addresses_write_ask_and_approve(
    postgresql: Sessions, keys: TokenKeys
) -> None:
    with open_desk(postgresql, keys) as seat, log_in(seat.runtime, Role.SENDER) as second:
        with postgresql.writing() as session:
            for one in (seat, second):
                user = session.get_one(User, one.editor_id)
                user.email = f"{one.editor_id}{'a' * 59}@{'b' * 60}.{'c' * 60}.{'d' * 60}.example"
        ready = ready_at(seat)
        wants(postgresql, wants_approval=True)
        fields = {"text": factories.MARKDOWN + "\nMore.\n", "revision": 1}
        assert "More." in seat.done(f"/issues/{ready.issue_id}/save", fields)
        page = f"/broadcasts/{ready.ask()}"
        assert "Approved." in second.done(f"{page}/approve", seen(second, page))
        with postgresql.reading() as session:
            broadcast = session.scalars(select(Broadcast)).one()
            assert broadcast.issue.saved_by_name.startswith("1aaa")
            assert broadcast.asked_by.startswith("user 1: 1aaa")
            assert broadcast.approved_by.startswith("user 2: 2aaa")


def test_the_page_shows_the_line_and_what_can_be_done(ready: Ready) -> None:
    broadcast_id = factories.sending(
        ready.seat.sessions, [f"r{n}@example.org" for n in range(5)], name="Evenings"
    )
    ends = [DeliveryState.ACCEPTED, DeliveryState.FAILED, DeliveryState.IN_DOUBT]
    with ready.seat.sessions.writing() as session:
        for row, state in zip(
            session.scalars(select(Delivery).order_by(Delivery.id)), ends, strict=False
        ):
            row.state, row.reason = state, "gone" if state is DeliveryState.FAILED else ""
    page = f"/broadcasts/{broadcast_id}"
    read = ready.seat.read(page)
    line = (
        "5 candidates = 1 accepted + 1 failed + 0 skipped + 1 in doubt + 0 left out + 2 still open"
    )
    assert line in read
    assert "the address does not exist 1" in read
    assert "Paused." in ready.seat.done(f"{page}/pause")
    assert ready.seat.post(f"{page}/pause").status_code == 409
    assert "It goes on." in ready.seat.done(f"{page}/resume")
    assert "1 person is tried again." in ready.seat.done(f"{page}/retry-failed")
    assert "Nobody failed who may still be mailed." in text_of(
        ready.seat.post(f"{page}/retry-failed").text
    )
    doubted = ready.seat.read(f"{page}/in-doubt")
    assert "r2@example.org" in doubted
    none = ready.seat.post(f"{page}/in-doubt", {"who": "ticked", "decision": "accept"})
    assert none.status_code == 409
    said = ready.seat.done(f"{page}/in-doubt", {"who": "all", "decision": "accept"})
    assert "1 person counts as accepted." in said
    cancelled = ready.seat.done(f"{page}/cancel")
    assert "2 mails were accepted before it was cancelled. 3 people do not get it." in cancelled
    with ready.seat.sessions.reading() as session:
        acts = session.scalars(select(AuditEvent.action).order_by(AuditEvent.id)).all()
    assert acts[-5:] == [
        *("broadcast.paused", "broadcast.resumed", "broadcast.retried"),
        *("broadcast.doubts_accepted", "broadcast.cancelled"),
    ]


def test_one_in_doubt_is_resent_alone(ready: Ready) -> None:
    broadcast_id = factories.sending(
        ready.seat.sessions, ["ada@example.org", "bob@example.org"], name="Evenings"
    )
    with ready.seat.sessions.writing() as session:
        rows = session.scalars(select(Delivery).order_by(Delivery.id)).all()
        for row in rows:
            row.state, row.last_at = DeliveryState.IN_DOUBT, now()
        fields = {"who": "ticked", "decision": "resend", "delivery": rows[1].id}
    said = ready.seat.done(f"/broadcasts/{broadcast_id}/in-doubt", fields)
    assert "1 person is offered the mail once more." in said
    states = [row.state for row in factories.deliveries(ready.seat.sessions, broadcast_id).values()]
    assert states == [DeliveryState.IN_DOUBT, DeliveryState.PENDING]


def test_a_pause_says_why(ready: Ready) -> None:
    broadcast_id = factories.sending(ready.seat.sessions, ["ada@example.org"], name="Evenings")
    with ready.seat.sessions.writing() as session:
        control.pause(session, broadcast_id, PauseReason.BREAKER, "535 <b>no</b>")
    page = ready.seat.page(f"/broadcasts/{broadcast_id}")
    assert "The relay refuses our login" in page
    assert "535 &lt;b&gt;no" in page


def test_an_author_learns_nothing_of_a_filter(ready: Ready, seats: Seats) -> None:
    broadcast_id = ready.ask(segment='email = "ada@example.org"')
    with ready.seat.sessions.writing() as session:
        session.get_one(Broadcast, broadcast_id).state = B.FREEZING
    freezing.freeze(ready.seat.sessions, broadcast_id, TrackingMode.AGGREGATE)
    page = f"/broadcasts/{broadcast_id}"
    assert "outside the segment 1" in ready.seat.read(page)
    seen = seats(Role.AUTHOR).read(page)
    assert "3 candidates =" in seen
    assert "ada@example.org" not in seen
    assert "outside the segment" not in seen


def test_the_list_shows_states_and_the_mail_is_framed_alone(ready: Ready) -> None:
    broadcast_id = ready.ask()
    assert "Measured twice Scheduled Mornings" in ready.seat.read("/broadcasts")
    mail = ready.seat.get(f"/broadcasts/{broadcast_id}/mail")
    assert "A ledger survives a crash, reader." in text_of(mail.text)
    assert "sandbox" in mail.headers["content-security-policy"]
    assert "Measured twice" in ready.seat.read("/broadcasts/new")
    assert ready.seat.get(f"/broadcasts/new?issue={ready.issue_id}").status_code == 303
