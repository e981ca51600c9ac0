"""The public pages: what a GET may not change, what a POST does, what a stranger gets."""

import re
from html import unescape

import pytest
import time_machine
from sqlalchemy import select
from starlette.testclient import TestClient

from newsletter.broadcasts.models import (
    Broadcast,
    BroadcastState,
    Delivery,
    DeliveryLog,
    DeliveryState,
    Proof,
)
from newsletter.core.clock import now
from newsletter.core.db import Sessions
from newsletter.core.sections import SiteSettings
from newsletter.core.tokens import TokenKeys
from newsletter.rendering.mail_tokens import TrackingToken
from newsletter.tracking.models import Event, EventKind
from newsletter.tracking.recording import MOST_ROWS
from newsletter.web.app import create_app
from subscribers import subscriptions
from subscribers.models import ConsentEvent, Subscription
from tests import factories
from tests.integration.conftest import Mailed, to_undo


def test_get_and_head_of_every_address_change_no_subscription(mailed: Mailed) -> None:
    before = mailed.standing()
    for url in mailed.urls:
        for method in ("GET", "HEAD", "OPTIONS"):
            assert mailed.client.request(method, url).status_code < 500
    assert mailed.standing() == before
    kinds = {url.split("/")[1] for url in mailed.urls}
    assert kinds == {"u", "o", "c", "p", "archive"}
    assert "/archive/field-notes/2026-06-17" in mailed.urls, "the web version"


def test_one_click_unsubscribes_without_cookie_or_page(mailed: Mailed) -> None:
    # At one moment: a minute later the second would be a leaving of its own.
    with time_machine.travel(now(), tick=False):
        answer = mailed.client.post(
            mailed.one_click,
            content="List-Unsubscribe=One-Click",
            headers={"Content-Type": "application/x-www-form-urlencoded"},
        )
        again = mailed.client.post(mailed.one_click)
    assert answer.status_code == 200
    assert "set-cookie" not in answer.headers
    statuses, _ = mailed.standing()
    assert ["unsubscribed" in status for status in statuses] == [True, False]
    assert again.status_code == 200
    with mailed.runtime.sessions.reading() as session:
        last = session.scalars(select(ConsentEvent).order_by(ConsentEvent.id.desc())).first()
    assert last
    assert (last.change, last.method) == ("unsubscribed", "one-click")
    assert "Firefox" in last.user_agent


def test_the_page_asks_acts_and_takes_back(mailed: Mailed) -> None:
    page = mailed.client.get(mailed.body_link)
    assert page.status_code == 200
    assert "a•••a@example.org" in page.text
    assert "ada@example.org" not in page.text
    form = re.findall(r'<form method="post" action="([^"]+)"', page.text)
    assert form == [mailed.body_link, f"{mailed.body_link}/pause"], "the button comes first"
    left = mailed.client.post(form[0])
    undo, _ = re.findall(r'<form method="post" action="([^"]+)"', left.text)
    back = mailed.client.post(undo)
    assert back.status_code == 200
    statuses, changes = mailed.standing()
    assert all("active" in status.lower() for status in statuses)
    assert changes == 4
    assert (
        len(mailed.events(EventKind.UNSUBSCRIBE)) == len(mailed.events(EventKind.RESUBSCRIBE)) == 1
    )


def test_a_click_leads_to_what_was_frozen_and_nowhere_else(mailed: Mailed) -> None:
    for url, destination in zip(
        dict.fromkeys(mailed.links),
        ["https://example.org/one", "https://example.org/inside", "https://example.org/two"],
        strict=True,
    ):
        answer = mailed.client.get(f"{url}?to=https://evil.example")
        assert (answer.status_code, answer.headers["location"]) == (302, destination)
    assert [event.link for event in mailed.events(EventKind.CLICK)] == [1, 2, 3]
    assert mailed.client.get(mailed.links[0].rpartition("/")[0] + "/99").status_code == 404


def test_the_pixel_is_a_picture_that_nobody_stores(mailed: Mailed) -> None:
    answer = mailed.client.get(mailed.pixel)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/gif")
    assert answer.content.startswith(b"GIF89a")
    assert "no-store" in answer.headers["cache-control"]
    (event,) = mailed.events(EventKind.OPEN)
    assert (event.delivery_id, event.method) == (mailed.delivery_id, "GET")
    assert "Firefox" in event.user_agent


def test_hits_are_rows_up_to_a_cap_and_counted_behind_it(
    mailed: Mailed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("newsletter.tracking.recording.MOST_ROWS", 5)
    assert MOST_ROWS == 100
    for _ in range(8):
        mailed.client.get(mailed.pixel)
    events = mailed.events(EventKind.OPEN)
    assert [event.hits for event in events] == [1, 1, 1, 1, 4]


@pytest.mark.parametrize(
    ("method", "kind", "proof"),
    [
        ("GET", "pixel", Proof.OPEN),
        ("HEAD", "pixel", Proof.OPEN),  # a machine's, and it has the mail too
        ("GET", "click", Proof.CLICK),
        ("HEAD", "click", Proof.CLICK),
        ("POST", "one_click", Proof.UNSUBSCRIBE),
        ("POST", "body_link", Proof.UNSUBSCRIBE),
        ("POST", "undo", Proof.UNSUBSCRIBE),
    ],
)
def test_whatever_bears_the_readers_token_proves_that_a_mail_in_doubt_arrived(
    mailed: Mailed, method: str, kind: str, proof: Proof
) -> None:
    urls = {"click": mailed.links[0]}
    if kind == "undo":
        urls["undo"] = to_undo(mailed.client.post(mailed.body_link).text)
    with mailed.runtime.sessions.writing() as session:
        session.get_one(Delivery, mailed.delivery_id).state = DeliveryState.IN_DOUBT
        session.get_one(Broadcast, mailed.broadcast_id).state = BroadcastState.DONE
    answer = mailed.client.request(method, urls.get(kind) or getattr(mailed, kind))
    assert answer.status_code in (200, 302)
    with mailed.runtime.sessions.reading() as session:
        found = session.get_one(Delivery, mailed.delivery_id)
        broadcast = session.get_one(Broadcast, mailed.broadcast_id)
        (line,) = session.scalars(select(DeliveryLog))
    assert (found.state, found.reason) == (DeliveryState.ACCEPTED, proof)
    assert (line.delivery_id, line.state, line.reason) == (found.id, found.state, proof)
    assert broadcast.state is BroadcastState.DONE


@pytest.mark.parametrize("kind", ["one_click", "body_link"])
def test_looking_at_the_unsubscribe_page_proves_nothing(mailed: Mailed, kind: str) -> None:
    with mailed.runtime.sessions.writing() as session:
        session.get_one(Delivery, mailed.delivery_id).state = DeliveryState.IN_DOUBT
    mailed.client.get(getattr(mailed, kind))
    with mailed.runtime.sessions.reading() as session:
        assert session.get_one(Delivery, mailed.delivery_id).state is DeliveryState.IN_DOUBT


@pytest.mark.parametrize("kind", ["one_click", "pixel"])
def test_a_forged_or_flipped_token_is_a_friendly_404(mailed: Mailed, kind: str) -> None:
    url: str = getattr(mailed, kind)
    head, _, token = url.rpartition("/")
    before = mailed.standing()
    for place in range(0, len(token.removesuffix(".gif")), 7):
        other = "A" if token[place] != "A" else "B"
        forged = f"{head}/{token[:place]}{other}{token[place + 1 :]}"
        for method in ("GET", "POST") if kind == "one_click" else ("GET",):
            answer = mailed.client.request(method, forged)
            assert answer.status_code == 404
            assert "This link leads nowhere" in answer.text
    assert mailed.standing() == before
    assert mailed.events(EventKind.OPEN) == []


@pytest.mark.parametrize(
    "path",
    [
        *("/u/x", "/u/" + "A" * 5000, "/u/%00", "/o/x.gif", "/c/x/1", "/c/x/one", "/confirm/x"),
        *("/archive/none", "/archive/field-notes/2020-01-01", "/archive/field-notes/yesterday"),
        "/nothing",
    ],
)
def test_what_leads_nowhere_says_so(mailed: Mailed, path: str) -> None:
    answer = mailed.client.get(path)
    assert answer.status_code in (404, 422)
    assert "<html lang=" in answer.text
    assert "Traceback" not in answer.text


def test_confirming_needs_a_post(mailed: Mailed) -> None:
    with mailed.runtime.sessions.writing() as session:
        readers = session.scalars(select(Subscription)).first()
        assert readers
        person = factories.person(session, "new@example.org")
        wanted = subscriptions.request(session, person, readers.list, factories.EVIDENCE)
    url = f"/confirm/{factories.confirm_token(mailed.runtime.keys, wanted)}"
    assert mailed.client.get(url).status_code == 200
    assert mailed.client.head(url).status_code == 200
    with mailed.runtime.sessions.reading() as session:
        assert str(session.get_one(Subscription, wanted.id).status) == "pending"
    assert mailed.client.post(url).status_code == 200
    assert mailed.client.post(url).status_code == 200
    with mailed.runtime.sessions.reading() as session:
        confirmed = session.get_one(Subscription, wanted.id)
    assert str(confirmed.status) == "active"
    assert confirmed.confirmed_at


def test_the_archive_shows_the_issue_without_anybodys_data(mailed: Mailed) -> None:
    index = mailed.client.get("/archive/field-notes")
    assert "Measured twice" in index.text
    for language, day in (("en", "17 June 2026"), ("de", "17. Juni 2026")):
        said = mailed.client.get("/archive/field-notes", headers={"Accept-Language": language}).text
        assert f'<time datetime="2026-06-17">{day}</time>' in said
    page = mailed.client.get("/archive/field-notes/2026-06-17")
    assert page.status_code == 200
    assert "A ledger survives a crash, reader." in unescape(page.text)
    assert 'href="https://example.org/one"' in page.text
    for personal in ("ada@", "/u/", "/c/", "/o/"):
        assert personal not in page.text


def test_every_answer_is_guarded_and_sets_no_cookie(mailed: Mailed) -> None:
    for url in [*mailed.urls, "/healthz", "/nothing"]:
        answer = mailed.client.get(url)
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert "set-cookie" not in answer.headers
        assert "<script" not in answer.text
        assert " style=" not in answer.text


def test_health(mailed: Mailed) -> None:
    assert mailed.client.get("/healthz").text == "ok\n"
    assert mailed.client.get("/readyz").text == "ready\n"
    with mailed.runtime.sessions.writing() as session:
        session.connection().exec_driver_sql("UPDATE alembic_version SET version_num = '0000'")
    answer = mailed.client.get("/readyz")
    assert (answer.status_code, answer.text) == (503, "run `newsletter db upgrade`\n")


def test_a_body_too_large_is_refused(mailed: Mailed) -> None:
    answer = mailed.client.post(mailed.one_click, content=b"x" * 10_000)
    assert answer.status_code == 413
    assert all("active" in status.lower() for status in mailed.standing()[0])


def test_a_proxys_word_counts_only_when_it_is_trusted(sessions: Sessions, keys: TokenKeys) -> None:
    broadcast_id = factories.sending(sessions, ["ada@example.org"])
    (row,) = factories.deliveries(sessions, broadcast_id).values()
    url = f"/o/{TrackingToken(broadcast_id, row.id).mint(keys)}.gif"
    forwarded = {"X-Forwarded-For": "203.0.113.9, 198.51.100.7"}
    for trusted in ((), ("192.0.2.1/32",), ("192.0.2.1/32", "198.51.100.0/24")):
        site = SiteSettings(trusted_proxies=trusted)
        app = create_app(factories.runtime(sessions, keys, site=site))
        with TestClient(app, client=("192.0.2.1", 1234)) as client:
            client.get(url, headers=forwarded)
    with sessions.reading() as session:
        seen = list(session.scalars(select(Event.ip).order_by(Event.id)))
    assert seen == ["192.0.2.1", "198.51.100.7", "203.0.113.9"]


@pytest.mark.parametrize(
    ("peer", "lines", "seen"),
    [
        ("10.0.0.1", ["203.0.113.9", "198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", ["203.0.113.9", "198.51.100.7, 10.0.0.2"], "198.51.100.7"),
        ("::ffff:10.0.0.1", ["198.51.100.7"], "198.51.100.7"),
        ("::ffff:172.16.0.1", ["198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", ["198.51.100.7, ::ffff:10.0.0.2"], "198.51.100.7"),
        ("10.0.0.1", ["::ffff:198.51.100.7"], "198.51.100.7"),
        ("::ffff:192.0.2.1", ["198.51.100.7"], "192.0.2.1"),
        ("10.0.0.1", ["203.0.113.9, 198.51.100.7:5678, 10.0.0.2:443"], "198.51.100.7"),
        ("10.0.0.1", ["[2001:db8::1]:443"], "2001:db8::1"),
        ("10.0.0.1", ["198.51.100.7, [::ffff:10.0.0.2]"], "198.51.100.7"),
        ("10.0.0.1", ["198.51.100.7, 203.0.113.9:http"], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.7, [203.0.113.9]:5678"], "10.0.0.1"),
    ],
)
def test_a_visitor_is_who_the_last_trusted_proxy_saw_in_whatever_lines_it_says_so(
    sqlite_sessions: Sessions, keys: TokenKeys, peer: str, lines: list[str], seen: str
) -> None:
    broadcast_id = factories.sending(sqlite_sessions, ["ada@example.org"])
    (row,) = factories.deliveries(sqlite_sessions, broadcast_id).values()
    site = SiteSettings(trusted_proxies=("10.0.0.0/8", "::ffff:172.16.0.0/108"))
    app = create_app(factories.runtime(sqlite_sessions, keys, site=site))
    with TestClient(app, client=(peer, 1234)) as client:
        url = f"/o/{TrackingToken(broadcast_id, row.id).mint(keys)}.gif"
        client.get(url, headers=[("X-Forwarded-For", line) for line in lines])
    with sqlite_sessions.reading() as session:
        assert session.scalars(select(Event.ip)).all() == [seen]
