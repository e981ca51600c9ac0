"""`/`: the work of the day, and which newsletter the pages are about."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import pytest
import time_machine

from newsletter.accounts.models import User
from newsletter.accounts.permissions import Role
from newsletter.broadcasts.models import Broadcast, BroadcastState, DeliveryState, PauseReason
from newsletter.core.clock import now
from newsletter.issues.models import Newsletter
from newsletter.issues.newsletters import add_newsletter
from tests import factories
from tests.desk import Seat, log_in, stranger

NOON = datetime.fromisoformat("2026-06-17T12:00:00+00:00")


@pytest.fixture(autouse=True)
def midday() -> Iterator[None]:
    with time_machine.travel(NOON, tick=False):
        yield


def planned(seat: Seat, **changes: object) -> int:
    with seat.sessions.writing() as session:
        issue = factories.stored_issue(session)
        readers = factories.a_list(session, "Mornings", issue)
        factories.subscribed(session, readers, ["ada@example.org"])
        broadcast = factories.scheduled(session, issue, [readers])
        for name, value in changes.items():
            setattr(broadcast, name, value)
        return broadcast.id


def test_a_day_without_an_issue_asks_for_one(seat: Seat) -> None:
    assert "Write today's issue" in seat.read("/")


def test_the_day_is_that_of_the_editors_zone(seat: Seat) -> None:
    with seat.sessions.writing() as session:
        factories.stored_issue(session)
        session.get_one(User, seat.editor_id).time_zone = "Pacific/Auckland"
    said = seat.read("/")
    assert "18 Jun 2026" in said
    assert "Not sent yet Measured twice 17 Jun 2026" in said
    with seat.sessions.writing() as session:
        session.get_one(User, seat.editor_id).time_zone = "Europe/Berlin"
    assert "Today's issue Measured twice Go on writing Send it" in seat.read("/")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"start_at": NOON + timedelta(hours=2)}, "Will be sent Measured twice 17 Jun 2026, 14:00"),
        ({"state": BroadcastState.SENDING}, "Being sent Measured twice since 17 Jun 2026, 12:00"),
        (
            {
                "state": BroadcastState.PAUSED,
                "pause_reason": PauseReason.BREAKER,
                "pause_detail": "relay main: login: 535 no",
            },
            (
                "Needs you Measured twice the relay refuses our login, sender or identity: "
                "relay main: login: 535 no"
            ),
        ),
        (
            {"state": BroadcastState.AWAITING_APPROVAL, "asked_by": "user 7: eve@example.org"},
            "Waits for a second person Measured twice asked for by eve@example.org",
        ),
    ],
)
def test_a_broadcast_is_where_its_state_puts_it(
    seat: Seat, changes: dict[str, object], expected: str
) -> None:
    planned(seat, **changes)
    said = seat.read("/")
    assert expected in said
    assert "See its broadcast" in said


def test_a_broadcast_with_mail_in_doubt_needs_somebody(seat: Seat) -> None:
    broadcast_id = factories.sending(seat.sessions, ["ada@example.org"])
    with seat.sessions.writing() as session:
        broadcast = session.get_one(Broadcast, broadcast_id)
        broadcast.state, broadcast.finished_at = BroadcastState.DONE, now()
    assert "Needs you" not in seat.read("/")
    (row,) = factories.deliveries(seat.sessions, broadcast_id).values()
    with seat.sessions.writing() as session:
        session.merge(row).state = DeliveryState.IN_DOUBT
    assert "Needs you Measured twice some recipients are in doubt" in seat.read("/")


def test_an_author_is_not_asked_to_send(seat: Seat, seats: Callable[..., Seat]) -> None:
    with seat.sessions.writing() as session:
        factories.stored_issue(session)
    said = seats(Role.AUTHOR).read("/")
    assert "Go on writing" in said
    assert "Send it" not in said


def test_an_editor_of_several_chooses_one_and_sees_it_alone(
    seat: Seat, seats: Callable[..., Seat]
) -> None:
    planned(seat)
    with seat.sessions.writing() as session:
        other = add_newsletter(session, Newsletter(slug="cooking", name="Cooking")).id
    assert "Measured twice" in seat.read("/")
    done = seat.post("/newsletter", {"newsletter_id": other})
    assert done.headers["location"] == "/"
    assert "Measured twice" not in seat.read("/")
    narrow = seats(Role.AUTHOR, other)
    assert "Switch" not in narrow.read("/"), "there is nothing to choose"
    assert narrow.post("/newsletter", {"newsletter_id": seat.newsletter_id}).status_code == 404


def test_who_has_no_role_yet_is_told_so_and_has_an_account(seat: Seat) -> None:
    with log_in(seat.runtime, Role.AUTHOR) as newcomer:
        with seat.sessions.writing() as session:
            session.get_one(User, newcomer.editor_id).role = None
        assert "no role in any newsletter yet" in newcomer.read("/")
        assert newcomer.get("/account").status_code == 200
        assert newcomer.get("/issues").status_code == 403


def test_what_is_not_there_is_said_inside_the_desk(seat: Seat, seats: Callable[..., Seat]) -> None:
    author = seats(Role.AUTHOR, seat.newsletter_id)
    for path in ("/lists/99", "/settings/nothing", "/issues/abc", "/broadcasts/999"):
        answer = seat.get(path)
        assert answer.status_code in {404, 422}, path
        assert "Field Notes" in answer.text, "the head of the desk"
    assert "only takes what a form sends" in author.get("/newsletter").text
    with stranger(seat.runtime) as client:
        assert "Field Notes" not in client.get("/settings/nothing").text


def test_todays_issue_is_begun_today(seat: Seat) -> None:
    assert 'value="2026-06-17"' in seat.page("/issues/new")
    with seat.sessions.writing() as session:
        factories.stored_issue(session)
    assert 'value="2026-06-18"' in seat.page("/issues/new")
