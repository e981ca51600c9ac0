"""Asking for a sending at the desk: once, looked at before, tried out."""

from collections.abc import Callable
from datetime import timedelta
from email import message_from_bytes, policy

import pytest
from sqlalchemy import select

from newsletter.accounts.models import AuditEvent
from newsletter.accounts.permissions import Role
from newsletter.broadcasts.models import (
    Broadcast,
    BroadcastState,
)
from newsletter.core.clock import now
from newsletter.issues.models import Issue, Newsletter
from newsletter.sending.models import SystemMail
from subscribers import segments
from subscribers.models import Segment, SubscriberList
from tests import factories
from tests.desk import Seat, text_of
from tests.ready_to_send import Ready, broadcasts, change, hidden, wants

Seats = Callable[..., Seat]
B = BroadcastState


def test_a_double_click_makes_one_broadcast(ready: Ready) -> None:
    first = ready.ask()
    assert ready.ask() == first
    assert ready.ask(again="1", request_key="k2") == ready.ask(again="1", request_key="k2") != first
    assert broadcasts(ready.seat.sessions) == 2
    with ready.seat.sessions.reading() as session:
        planned = select(AuditEvent).where(AuditEvent.action == "broadcast.planned")
        assert [event.details["again"] for event in session.scalars(planned)] == [False, True]


def test_the_same_list_again_needs_the_named_box(ready: Ready) -> None:
    ready.ask()
    again = ready.send(ready.look(request_key="k2"))
    assert again.status_code == 409
    assert "Send it again to everybody on it" in text_of(again.text)
    assert broadcasts(ready.seat.sessions) == 1


def test_the_form_counts_people_and_says_who_is_left_out(ready: Ready) -> None:
    path = f"/broadcasts/new/{ready.issue_id}"
    assert "Mornings" in ready.seat.read(path)
    counted = ready.seat.post(f"{path}/audience", ready.order())
    assert text_of(counted.text) == "2 people Left out: 1 unsubscribed"
    inside = ready.seat.post(f"{path}/audience", ready.order(segment='email = "ada@example.org"'))
    assert text_of(inside.text).startswith("1 person Left out: 1 outside the segment")
    wrong = ready.seat.post(f"{path}/audience", ready.order(segment='email = = "ada"'))
    assert "Line 1, character 9: expected" in text_of(wrong.text)
    nothing = ready.seat.post(f"{path}/audience", {"segment": ""})
    assert "Choose a list" in text_of(nothing.text)


def test_the_last_look_says_to_whom_and_when(ready: Ready) -> None:
    path = f"/broadcasts/new/{ready.issue_id}/review"
    seen = ready.seat.post(path, ready.order(count="1"))
    assert seen.status_code == 200
    assert "To 2 people on Mornings, now." in text_of(seen.text)
    at = (now() + timedelta(days=3)).strftime("%Y-%m-%dT08:00")
    later = ready.seat.post(
        f"/broadcasts/new/{ready.issue_id}/summary", ready.order(when="at", at=at)
    )
    assert "at 08:00 UTC." in text_of(later.text)
    assert broadcasts(ready.seat.sessions) == 0


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"lists": ""}, "Choose at least one list."),
        ({"segment": "email ="}, "Line 1, character 8: expected"),
        ({"segment": "vip"}, "There is no segment 'vip'"),
        ({"segment": 'on("elsewhere")'}, "There is no list 'elsewhere' here."),
        ({"when": "at", "at": "soon"}, "Choose a day and a time"),
        ({"when": "at", "at": "2020-01-01T08:00"}, "That is past."),
        ({"stale_hours": "-1"}, "Expected a number of hours"),
    ],
)
def test_what_is_wrong_stands_at_its_field(
    ready: Ready, fields: dict[str, object], said: str
) -> None:
    """Also a filter by the list of another newsletter: nobody counts its readers by that."""
    with ready.seat.sessions.writing() as session:
        factories.a_list(session, "Elsewhere")
    for path in ("", "/review"):
        answer = ready.seat.post(f"/broadcasts/new/{ready.issue_id}{path}", ready.order(**fields))
        assert answer.status_code == 422
        assert said in text_of(answer.text)
    assert broadcasts(ready.seat.sessions) == 0


def test_an_issue_with_errors_is_not_sent(ready: Ready) -> None:
    with ready.seat.sessions.writing() as session:
        issue = session.get_one(Issue, ready.issue_id)
        issue.source = issue.source.replace("subscriber.name", "subscriber.nmae")
    assert "has to be mended" in ready.seat.read(f"/broadcasts/new/{ready.issue_id}")
    refused = ready.seat.post(f"/broadcasts/new/{ready.issue_id}", ready.order())
    assert "has to be mended" in text_of(refused.text)
    assert broadcasts(ready.seat.sessions) == 0


def test_another_text_than_the_last_look_showed_is_not_sent(ready: Ready) -> None:
    looked = ready.look()
    change(ready)
    for fields in (looked, ready.order()):
        answer = ready.send(fields)
        assert answer.status_code == 409
        assert "was changed since you looked" in text_of(answer.text)
    assert broadcasts(ready.seat.sessions) == 0
    assert ready.send({**looked, **hidden(answer.text, "#order")}).status_code == 303


def test_what_was_to_go_out_now_is_not_held_or_approved_instead_unsaid(ready: Ready) -> None:
    for changes in ({"hold_minutes": 10}, {"wants_approval": True}, {"wants_approval": False}):
        looked = ready.look()
        wants(ready.seat.sessions, **changes)
        answer = ready.send(looked)
        assert answer.status_code == 409
        assert "how long it is held, was changed since you looked" in text_of(answer.text)
        assert broadcasts(ready.seat.sessions) == 0
    looked = ready.look(when="at", at=f"{now() + timedelta(days=3):%Y-%m-%dT08:00}")
    wants(ready.seat.sessions, hold_minutes=0)
    assert ready.send(looked).status_code == 303, "what has its own time is not held"


def test_a_filter_that_was_saved_anew_after_the_last_look_is_not_used(ready: Ready) -> None:
    with ready.seat.sessions.writing() as session:
        readers = session.get_one(SubscriberList, ready.list_id)
        segments.save(session, readers, "vip", 'email = "ada@example.org"')
    looked = ready.look(segment="vip")
    with ready.seat.sessions.writing() as session:
        session.scalars(select(Segment)).one().text = 'email = "bob@example.org"'
    answer = ready.send(looked)
    assert answer.status_code == 409
    assert "The saved filter was changed" in text_of(answer.text)
    assert broadcasts(ready.seat.sessions) == 0
    again = ready.send({**looked, **hidden(answer.text, "#order")})
    with ready.seat.sessions.reading() as session:
        assert "bob@" in session.scalars(select(Broadcast.segment)).one()
    assert again.status_code == 303


def test_a_test_is_marked_and_fixes_nothing(ready: Ready, seats: Seats) -> None:
    path = f"/broadcasts/new/{ready.issue_id}/test"
    said = ready.seat.done(path, {"to": "ed@example.org, ED@example.org; flo@example.org"})
    assert "2 addresses" in said or "no relay is configured" in said
    author = seats(Role.AUTHOR)
    author.done(path, {"to": "elsewhere@example.org"})
    with ready.seat.sessions.reading() as session:
        mails = session.scalars(select(SystemMail).order_by(SystemMail.id)).all()
        assert session.scalars(select(Newsletter)).one().list_id == ""
    addresses = ["ed@example.org", "flo@example.org", author.email]
    assert [mail.address for mail in mails] == addresses
    parsed = message_from_bytes(mails[0].wire or b"", policy=policy.default)
    assert parsed["Subject"] == "[Test] Measured twice"
    wrong = ready.seat.post(path, {"to": "nobody"})
    assert wrong.status_code == 422
    assert "is not an e-mail address" in text_of(wrong.text)


def test_an_author_asks_for_tests_only(ready: Ready, seats: Seats) -> None:
    author = seats(Role.AUTHOR)
    page = author.page(f"/broadcasts/new/{ready.issue_id}")
    assert "Send test" in page
    assert "Mornings" not in page
    for path in ("", "/review", "/audience", "/summary"):
        answer = author.post(f"/broadcasts/new/{ready.issue_id}{path}", ready.order())
        assert answer.status_code == 403
    broadcast_id = ready.ask()
    assert "Undo" not in author.page(f"/broadcasts/{broadcast_id}")
    for act in ("pause", "undo", "cancel", "approve", "retry-failed", "in-doubt"):
        assert author.post(f"/broadcasts/{broadcast_id}/{act}").status_code == 403
