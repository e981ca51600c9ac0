"""Sending from the desk: asked for once, looked at before, seen while it runs, steered."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from email import message_from_bytes, policy

import pytest
from bs4 import BeautifulSoup
from httpx2 import Response
from sqlalchemy import func, select

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
from newsletter.issues import revisions
from newsletter.issues.models import Issue, Newsletter
from newsletter.sending.models import SystemMail
from subscribers import segments, subscriptions
from subscribers.models import Segment, SubscriberList
from tests import factories
from tests.desk import Seat, log_in, open_desk, text_of

Seats = Callable[..., Seat]
B = BroadcastState


@dataclass
class Ready:
    """An issue that can be sent to a list of three, one of whom has left."""

    seat: Seat
    issue_id: int
    list_id: int

    def order(self, **fields: object) -> dict[str, object]:
        known = {"lists": self.list_id, "when": "now", "stale_hours": "24", "request_key": "k1"}
        return {**known, **fields}

    def ask(self, seat: Seat | None = None, **fields: object) -> int:
        """The broadcast that the form makes."""
        answer = self.send(self.look(seat, **fields), seat)
        assert answer.status_code == 303, text_of(answer.text)
        return int(answer.headers["location"].rsplit("/", 1)[1])

    def look(self, seat: Seat | None = None, **fields: object) -> dict[str, object]:
        """What the last look sends along."""
        path, order = f"/broadcasts/new/{self.issue_id}/review", self.order(**fields)
        answer = (seat or self.seat).post(path, order)
        assert answer.status_code == 200, text_of(answer.text)
        return {**order, **hidden(answer.text, "#order")}

    def send(self, looked: dict[str, object], seat: Seat | None = None) -> Response:
        return (seat or self.seat).post(f"/broadcasts/new/{self.issue_id}", looked)

    def state(self, broadcast_id: int) -> BroadcastState:
        with self.seat.sessions.reading() as session:
            return session.get_one(Broadcast, broadcast_id).state


@pytest.fixture
def ready(seat: Seat) -> Ready:
    return ready_at(seat)


def ready_at(seat: Seat) -> Ready:
    with seat.sessions.writing() as session:
        issue = factories.stored_issue(session)
        readers = factories.a_list(session, issue=issue)
        factories.subscribed(session, readers, ["ada@example.org", "bob@example.org"])
        (left,) = factories.subscribed(session, readers, ["left@example.org"])
        subscriptions.end(session, left, factories.EVIDENCE)
        return Ready(seat, issue.id, readers.id)


def wants(sessions: Sessions, **changes: object) -> None:
    with sessions.writing() as session:
        newsletter = session.scalars(select(Newsletter)).one()
        for name, value in changes.items():
            setattr(newsletter, name, value)


def seen(seat: Seat, path: str) -> dict[str, object]:
    """What the button to approve on that page says was looked at."""
    return hidden(seat.page(path), "form[action$='/approve']")


def hidden(page: str, form: str) -> dict[str, object]:
    fields = BeautifulSoup(page, "html.parser").select(f"{form} [type=hidden]")
    return {str(field["name"]): str(field["value"]) for field in fields}


def change(ready: Ready) -> None:
    """Somebody else edits the issue."""
    with ready.seat.sessions.writing() as session:
        issue = session.get_one(Issue, ready.issue_id)
        text = issue.source.replace("First summary", "Another summary")
        revisions.replace(session, issue, text, revisions.COMMAND)


def broadcasts(sessions: Sessions) -> int:
    with sessions.reading() as session:
        return session.scalar(select(func.count(Broadcast.id))) or 0


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
