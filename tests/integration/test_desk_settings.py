"""Settings at the desk: identity, relays, the audit trail."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from sqlalchemy import select, update

from newsletter.accounts import audit
from newsletter.accounts.models import AuditEvent
from newsletter.accounts.permissions import Role
from newsletter.core.clock import now
from newsletter.core.db import Sessions
from newsletter.core.sections import RelaySettings, TrackingMode
from newsletter.core.tokens import TokenKeys
from newsletter.issues.models import Newsletter
from newsletter.sending import relays
from tests.desk import Seat, open_desk, text_of
from tests.smtp_server import SmtpServer

IDENTITY = {
    "name": "Field Notes",
    "sender_name": "The Editor",
    "sender_address": "Editor@EXAMPLE.org",
    "reply_to": "",
    "postal_address": "1 Example Street\r\nSpringfield",
    "tracking_mode": "off",
}


def newsletter(seat: Seat, newsletter_id: int | None = None) -> Newsletter:
    with seat.sessions.reading() as session:
        return session.get_one(Newsletter, newsletter_id or seat.newsletter_id)


def actions(seat: Seat) -> list[str]:
    with seat.sessions.reading() as session:
        return list(session.scalars(select(AuditEvent.action).order_by(AuditEvent.id)))


def test_identity_is_read_and_kept(seat: Seat) -> None:
    path = f"/settings/newsletters/{seat.newsletter_id}"
    hold = {"has_wants_approval": "1", "wants_approval": "1", "hold_minutes": "10"}
    assert "Saved." in seat.done(path, IDENTITY | hold)
    kept = newsletter(seat)
    assert (kept.sender_name, kept.sender_address) == ("The Editor", "Editor@example.org")
    assert kept.postal_address == "1 Example Street, Springfield"
    assert kept.tracking_mode is TrackingMode.OFF
    assert (kept.wants_approval, kept.hold_minutes) == (True, 10)
    assert "Nothing was changed." in seat.done(path, IDENTITY | hold)
    seat.done(path, IDENTITY | {"has_wants_approval": "1", "hold_minutes": ""})
    kept = newsletter(seat)
    assert (kept.wants_approval, kept.hold_minutes) == (False, 0)
    assert actions(seat) == ["newsletter.changed"] * 2


@pytest.mark.parametrize(
    ("field", "typed", "said"),
    [
        ("name", " ", "Expected a name"),
        ("name", "!!!", "has no letter or digit"),
        ("name", "x" * 201, "at most 200 characters"),
        ("sender_address", "nobody", "is not an e-mail address"),
        ("reply_to", "a@b\r\nBcc: c@d.example", "is not an e-mail address"),
        ("postal_address", "one\x1b[31m", "without control characters"),
        ("tracking_mode", "everything", "Expected one of off, aggregate, individual"),
        ("hold_minutes", "-1", "a number of minutes"),
        ("hold_minutes", "1441", "at most 1440 minutes"),
    ],
)
def test_what_is_wrong_is_said_at_its_field_and_nothing_is_lost(
    seat: Seat, field: str, typed: str, said: str
) -> None:
    path = f"/settings/newsletters/{seat.newsletter_id}"
    answer = seat.post(path, IDENTITY | {"sender_name": "Kept <b>", field: typed})
    assert answer.status_code == 422
    assert said in text_of(answer.text)
    assert f'id="{field}-problem"' in answer.text or field == "tracking_mode"
    assert "Kept &lt;b&gt;" in answer.text
    assert newsletter(seat).sender_name == ""


def test_a_sender_that_mail_came_from_is_changed_but_not_taken_away(seat: Seat) -> None:
    path = f"/settings/newsletters/{seat.newsletter_id}"
    seat.done(path, IDENTITY)
    with seat.sessions.writing() as session:
        session.execute(update(Newsletter).values(list_id="field-notes.example.org"))
    answer = seat.post(path, IDENTITY | {"sender_address": ""})
    assert answer.status_code == 422
    assert "keeps a sender address" in answer.text
    assert "Saved." in seat.done(path, IDENTITY | {"sender_address": "other@example.org"})


def test_another_newsletter_begins_and_the_pages_are_about_it(
    seat: Seat, seats: Callable[..., Seat]
) -> None:
    assert "editor@example.org" in seat.page("/settings/newsletters/new"), "as newsletter.toml says"
    said = seat.done("/settings/newsletters/new", IDENTITY | {"name": "Second Helping"})
    assert "Second Helping is there." in said
    assert "Second Helping" in seat.read("/settings").partition("Identity")[0]
    assert "Field Notes" in seat.read("/settings/newsletters")
    answer = seat.post("/settings/newsletters/new", IDENTITY | {"name": "Second  helping"})
    assert answer.status_code == 422
    assert "already" in text_of(answer.text)
    ours = seats(Role.ADMIN, newsletter_id=seat.newsletter_id)
    assert ours.get("/settings/newsletters/new").status_code == 403
    assert ours.get("/settings/newsletters/2").status_code == 404, "another one's is not there"
    assert ours.get(f"/settings/newsletters/{seat.newsletter_id}").status_code == 200
    assert "Relays" not in ours.read("/settings")


@pytest.fixture
def relayed(sqlite_sessions: Sessions, keys: TokenKeys) -> Iterator[tuple[Seat, SmtpServer]]:
    with SmtpServer() as server:
        main = f"smtp://127.0.0.1:{server.port}?tls=none"
        gone = "smtp://someone:hunter2-hunter2@127.0.0.1:1?tls=none"
        both = (RelaySettings(name="main", url=main), RelaySettings(name="gone", url=gone, rate=5))
        with open_desk(sqlite_sessions, keys, relays=both) as seat:
            yield seat, server


def test_relays_are_shown_without_secrets_and_tried_out(relayed: tuple[Seat, SmtpServer]) -> None:
    seat, server = relayed
    page = seat.page("/settings/relays")
    assert "hunter2" not in page
    assert "someone" not in page
    assert "127.0.0.1:1" in page
    assert "5 a second" in text_of(page)
    works = seat.post("/settings/relays/main/test")
    assert "It answers, over no encryption at all; no user name is set" in text_of(works.text)
    assert "It offers: " in works.text
    gone = seat.post("/settings/relays/gone/test")
    assert gone.status_code == 200
    assert "No mail server can be reached there." in text_of(gone.text)
    assert "hunter2" not in gone.text
    assert server.accepted == []
    assert seat.post("/settings/relays/none/test").status_code == 404


def test_a_relay_is_paused_and_used_again(relayed: tuple[Seat, SmtpServer]) -> None:
    seat, _ = relayed
    assert "main is paused." in seat.done("/settings/relays/main/pause")
    said = " ".join(seat.read("/settings/relays/state").split())
    assert f"Paused by {seat.email}, " in said
    assert f"paused by {seat.email}" not in said
    with seat.sessions.writing() as session:
        usable = relays.choose(session, seat.runtime.settings.relays, now())
    assert [choice.relay.name for choice in usable] == ["gone"]
    assert seat.post("/settings/relays/main/pause").status_code == 409
    assert "main is in use." in seat.done("/settings/relays/main/resume")
    assert actions(seat) == ["relay.paused", "relay.resumed"]


def test_an_open_breaker_is_shown_with_its_reason(relayed: tuple[Seat, SmtpServer]) -> None:
    seat, _ = relayed
    with seat.sessions.writing() as session:
        relays.faulted(session, "gone", "535 <b>no</b>", now(), is_configuration=True)
    page = seat.page("/settings/relays")
    assert "left alone for a while" in page
    assert "535 &lt;b&gt;no&lt;/b&gt;" in page


def test_without_a_relay_the_page_says_which_lines_are_missing(seat: Seat) -> None:
    said = seat.read("/settings/relays")
    assert "[[relays]]" in said
    assert "NEWSLETTER_RELAYS=" in said


@pytest.fixture
def trail(seat: Seat) -> Seat:
    """120 acts, two a day, the last one on 29 June."""
    first = datetime(2026, 5, 1, 1, tzinfo=UTC)
    for number in range(120):
        actor = "command: root" if number % 3 else "user 7: <i>ada</i>"
        action = "list.changed" if number % 2 else "suppression.added"
        at = time_machine.travel(first + timedelta(hours=12 * number), tick=False)
        with at, seat.sessions.writing() as session:
            audit.record(session, actor, action, number=f"n{number}.")
    return seat


def test_the_audit_trail_is_read_page_by_page(trail: Seat) -> None:
    seen = ""
    path = "/settings/audit"
    for _ in range(3):
        page = trail.page(path)
        seen += text_of(page)
        after = page.partition('rel="next" href="')[2].partition('"')[0].replace("&amp;", "&")
        path = f"/settings/audit{after}"
    assert after == ""
    assert [seen.count(f"n{number}.") for number in range(120)] == [1] * 120
    assert seen.index("n119.") < seen.index("n118.") < seen.index("n0.")
    assert "<i>ada</i>" not in page


def test_the_audit_trail_speaks_in_sentences(seat: Seat) -> None:
    with seat.sessions.writing() as session:
        ada = "user 1: ada@x.example"
        audit.record(session, ada, "broadcast.planned", broadcast=3, again=False)
        audit.record(session, "command: root", "subscriber.added", 4, list="mornings")
        audit.record(session, "command: root", "odd.done", again=False)
    page = seat.page("/settings/audit")
    said = " ".join(text_of(page).split()).replace(" ,", ",")
    assert "ada@x.example Sent off a broadcast broadcast 3" in said
    assert "user 1: ada" not in said
    assert "root, on the command line Added a person person 4, list: mornings" in said
    assert "odd.done again: no" in said
    for href in ("/broadcasts/3", "/subscribers/4", "/settings/users/1"):
        assert f'<a href="{href}">' in page


def test_the_audit_trail_by_who_what_and_day(trail: Seat) -> None:
    said = trail.read("/settings/audit?actor=user+7%3A+%3Ci%3Eada%3C%2Fi%3E&action=list.changed")
    assert "n117." in said
    assert "n119." not in said
    assert "n114." not in said
    said = trail.read("/settings/audit?since=2026-06-29&until=2026-06-29")
    assert [f"n{n}." in said for n in (117, 118, 119)] == [False, True, True]
    assert "Expected a day" in trail.read("/settings/audit?since=yesterday")
    assert "Nothing here" in trail.read("/settings/audit?action=nothing.done")
    late, early = "2026-01-01T00:00:00%2B00:00", "0001-01-01T00:00:00%2B14:00"
    assert trail.get(f"/settings/audit?after={late}~3000000000").status_code == 200
    for odd in (f"after={late}~{'9' * 20}", f"after={late}~-1", f"after={early}~1", "actor=%00"):
        assert "n119." in trail.read(f"/settings/audit?{odd}"), odd
    for odd in ("after=x~1", "after=2026-06-17T00:00:00", "since=9999-12-31&until=9999-12-31"):
        assert trail.get(f"/settings/audit?{odd}").status_code == 200


@pytest.mark.parametrize(
    ("scheme", "said"),
    [
        ("smtp://ada:wrong@127.0.0.1:{port}", "Put ?tls=none behind the URL"),
        ("smtp://ada:wrong@127.0.0.1:{port}?tls=none", "It does not let us in."),
        ("smtps://127.0.0.1:1", "No"),
    ],
)
def test_what_to_look_at_is_said_by_what_went_wrong(
    sqlite_sessions: Sessions, keys: TokenKeys, scheme: str, said: str
) -> None:
    with SmtpServer() as server:
        url = scheme.format(port=server.port)
        with open_desk(sqlite_sessions, keys, relays=(RelaySettings(name="m", url=url),)) as seat:
            answer = text_of(seat.post("/settings/relays/m/test").text)
    assert said in answer
    assert "wrong" not in answer
