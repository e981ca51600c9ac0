"""The public pages when something is unusual: a lost commit, a machine, a late undo."""

import asyncio
from collections.abc import MutableMapping
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.testclient import TestClient

from newsletter.broadcasts import control
from newsletter.broadcasts.models import Broadcast, Delivery, DeliveryState
from newsletter.core.clock import now
from newsletter.core.db import Sessions
from newsletter.core.tokens import TokenKeys
from newsletter.tracking.classification import Hit, Reader, classify
from newsletter.tracking.models import Event, EventKind
from newsletter.web.app import create_app
from subscribers import subscriptions
from subscribers.models import Subscription
from tests import factories
from tests.integration.conftest import Mailed, to_undo

NOTES = factories.MARKDOWN.replace("Measured twice", "Cut once").replace("06-17", "06-24")


@pytest.mark.parametrize(
    "what", ["one-click", "undo", "confirm", "pixel", "click", "preferences", "letter"]
)
def test_what_was_not_committed_is_answered_by_an_error(
    mailed: Mailed, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    with mailed.runtime.sessions.reading() as session:
        subscription = session.scalars(select(Subscription)).first()
    assert subscription
    method, url = {
        "one-click": ("POST", mailed.one_click),
        "undo": ("POST", to_undo(mailed.client.post(mailed.body_link).text)),
        "confirm": (
            "POST",
            f"/confirm/{factories.confirm_token(mailed.runtime.keys, subscription)}",
        ),
        "pixel": ("GET", mailed.pixel),
        "preferences": ("POST", mailed.preferences),
        "letter": ("POST", f"{mailed.preferences}/letter"),
        "click": ("GET", mailed.links[0]),
    }[what]

    def lost(session: Session) -> None:
        raise RuntimeError("the commit is lost")

    monkeypatch.setattr(Session, "commit", lost)
    app = create_app(mailed.runtime)
    with TestClient(app, raise_server_exceptions=False, follow_redirects=False) as client:
        answer = client.request(method, url)
    assert answer.status_code == 500
    assert "Something went wrong on our side" in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_who_goes_away_in_the_middle_of_a_form_is_no_failure_of_ours(mailed: Mailed) -> None:
    sent: list[MutableMapping[str, Any]] = []

    async def gone() -> dict[str, str]:
        return {"type": "http.disconnect"}

    async def unheard(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    headers = [(b"content-type", b"application/x-www-form-urlencoded"), (b"content-length", b"9")]
    scope = {"type": "http", "method": "POST", "path": "/s/mornings", "raw_path": b"/s/mornings"}
    scope |= {"query_string": b"", "headers": headers, "client": ("192.0.2.1", 1)}
    scope |= {"server": ("testserver", 80), "scheme": "http", "root_path": ""}
    asyncio.run(create_app(mailed.runtime)(scope, gone, unheard))
    assert sent[0]["status"] == 400


def readers_of(events: list[Event]) -> list[Reader]:
    hits = [Hit(e.delivery_id, e.at, e.method, e.user_agent, e.link, e.is_prefetch) for e in events]
    return [classify(hit).reader for hit in hits]


@pytest.mark.parametrize("kind", [EventKind.OPEN, EventKind.CLICK])
def test_a_head_and_a_prefetch_are_a_machines(mailed: Mailed, kind: EventKind) -> None:
    url = mailed.pixel if kind is EventKind.OPEN else mailed.links[0]
    assert mailed.client.head(url).status_code in (200, 302)
    for name, value in (
        ("Purpose", "prefetch"),
        ("Sec-Purpose", "prefetch;prerender"),
        ("X-Moz", "prefetch"),
    ):
        mailed.client.get(url, headers={name: value})
    assert mailed.client.options(url).status_code == 405, "not routed, so no hit"
    mailed.client.get(url)
    events = mailed.events(kind)
    assert [event.method for event in events] == ["HEAD", *["GET"] * 4]
    assert [event.is_prefetch for event in events] == [False, True, True, True, False]
    assert readers_of(events) == [*[Reader.MACHINE] * 4, Reader.HUMAN]


def test_a_user_agent_with_a_nul_is_recorded_without_it(mailed: Mailed) -> None:
    answer = mailed.client.get(mailed.pixel, headers={"User-Agent": "a\0b"})
    assert answer.status_code == 200
    assert [event.user_agent for event in mailed.events(EventKind.OPEN)] == ["ab"]


def test_one_click_may_come_as_multipart(mailed: Mailed) -> None:
    """RFC 8058 section 3.2 allows both form encodings."""
    answer = mailed.client.post(
        mailed.one_click,
        content=(
            b'--x\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\n'
            b"One-Click\r\n--x--\r\n"
        ),
        headers={"Content-Type": "multipart/form-data; boundary=x"},
    )
    assert answer.status_code == 200
    assert ["unsubscribed" in status for status in mailed.standing()[0]] == [True, False]


def test_undo_brings_back_only_what_that_leaving_ended(mailed: Mailed) -> None:
    undo = to_undo(mailed.client.post(mailed.body_link).text)
    assert mailed.client.post(undo).status_code == 200
    with mailed.runtime.sessions.writing() as session:
        subscription = session.scalars(select(Subscription).order_by(Subscription.id)).first()
        assert subscription
        subscriptions.end(session, subscription, factories.EVIDENCE)
    answer = mailed.client.post(undo)
    assert (answer.status_code, "You stay unsubscribed" in answer.text) == (409, True)
    assert ["unsubscribed" in status for status in mailed.standing()[0]] == [True, False]
    assert len(mailed.events(EventKind.RESUBSCRIBE)) == 1


def test_no_mail_of_theirs_takes_back_what_the_owner_did(mailed: Mailed) -> None:
    """A forwarded link makes less mail only: whoever has it finds nothing to undo with."""
    mailed.client.post(mailed.one_click, content="List-Unsubscribe=One-Click")
    for link in (mailed.body_link, mailed.one_click):
        assert "/undo/" not in mailed.client.post(link).text, "it ended nothing"
        assert mailed.client.post(f"{link}/undo").status_code == 404
        assert mailed.client.post(f"/undo/{link.rpartition('/')[2]}").status_code == 404
    assert ["unsubscribed" in status for status in mailed.standing()[0]] == [True, False]


def test_undo_works_for_a_day_and_twice_is_once(mailed: Mailed) -> None:
    undo = to_undo(mailed.client.post(mailed.body_link).text)
    with time_machine.travel(now() + timedelta(hours=25)):
        assert mailed.client.post(undo).status_code == 409
    for _ in range(2):
        assert mailed.client.post(undo).status_code == 200
    assert all("active" in status.lower() for status in mailed.standing()[0])
    assert len(mailed.events(EventKind.RESUBSCRIBE)) == 1


def test_the_archive_has_only_what_somebody_got(sessions: Sessions, keys: TokenKeys) -> None:
    got = factories.sending(sessions, ["ada@example.org"])
    never = factories.sending(sessions, ["bob@example.org"], NOTES, "Evenings")
    with sessions.writing() as session:
        for row in session.scalars(select(Delivery).where(Delivery.broadcast_id == got)):
            row.state = DeliveryState.ACCEPTED
        control.cancel(session, never)
    with TestClient(create_app(factories.runtime(sessions, keys))) as client:
        index = client.get("/archive/field-notes").text
        assert client.get("/archive/field-notes/2026-06-17").status_code == 200
        assert client.get("/archive/field-notes/2026-06-24").status_code == 404
        for none in (
            "/archive/%00",
            "/archive/%00/2026-06-17",
            "/archive/%00/colours.css",
            "/s/%00",
            "/i/%00",
        ):
            assert client.get(none).status_code == 404, none
    assert ("Measured twice" in index, "Cut once" in index) == (True, False)


def test_the_archive_keeps_the_version_that_was_sent(sessions: Sessions, keys: TokenKeys) -> None:
    """A second sending was forced, with another text, and cancelled before anybody got it."""
    got = factories.sending(sessions, ["ada@example.org"])
    with sessions.writing() as session:
        for row in session.scalars(select(Delivery)):
            row.state = DeliveryState.ACCEPTED
        issue = session.get_one(Broadcast, got).issue
        lists = [found.list for found in session.get_one(Broadcast, got).lists]
        issue.source = issue.source.replace("First summary", "Never sent")
        again = factories.scheduled(session, issue, lists, force=True)
        again.frozen_at = now()
        control.cancel(session, again.id)
    with TestClient(create_app(factories.runtime(sessions, keys))) as client:
        page = client.get("/archive/field-notes/2026-06-17").text
    assert ("First summary" in page, "Never sent" in page) == (True, False)
