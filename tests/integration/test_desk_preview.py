"""The preview of an issue: a mail to look at, in which nothing works and nobody's name leaks."""

import re
from collections.abc import Callable

import pytest

from newsletter.accounts.permissions import Role
from newsletter.issues.models import Issue, Newsletter
from newsletter.issues.newsletters import add_newsletter
from subscribers import lists
from tests import factories
from tests.desk import Seat, text_of
from tests.factories import MARKDOWN

Seats = Callable[..., Seat]


@pytest.fixture
def issue_id(seat: Seat) -> int:
    with seat.sessions.writing() as session:
        return factories.stored_issue(session).id


def test_a_preview_is_a_response_of_its_own_without_script(seat: Seat, issue_id: int) -> None:
    text = MARKDOWN.replace("First summary", "<script>alert(1)</script>")
    for shape in ("html", "text", "web"):
        answer = seat.post(f"/issues/{issue_id}/preview", {"text": text, "shape": shape})
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'; img-src 'self'; style-src 'unsafe-inline'" in policy
        assert "sandbox;" in policy
        assert "script-src" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        if shape != "text":
            assert "<script>alert" not in answer.text
            assert "&lt;script&gt;alert" in answer.text


def test_a_preview_has_the_colours_that_were_asked_for(seat: Seat, issue_id: int) -> None:
    for shape in ("html", "web"):
        asked = f"/issues/{issue_id}/preview?shape={shape}&scheme="
        dark, light = seat.page(f"{asked}dark"), seat.page(f"{asked}light")
        assert "@media all" in dark
        assert "@media not all" in light
        assert "prefers-color-scheme" not in dark + light
        assert "link rel" not in light


def test_a_preview_shows_sample_readers_and_no_working_link(seat: Seat, issue_id: int) -> None:
    page = seat.page(f"/issues/{issue_id}/preview?reader=named")
    assert "survives a crash, Ada Reader" in text_of(page)
    assert "/o/" not in page
    (leave,) = set(re.findall(r'href="[^"]*(/u/[^"]+)"', page))
    assert seat.get(leave).status_code == 404
    nameless = seat.read(f"/issues/{issue_id}/preview?reader=nameless&shape=text")
    assert "crash, reader" in nameless


def test_a_real_reader_is_shown_to_who_may_see_people_alone(
    seat: Seat, seats: Seats, issue_id: int
) -> None:
    with seat.sessions.writing() as session:
        issue = session.get_one(Issue, issue_id)
        to = factories.a_list(session, issue=issue)
        (subscription,) = factories.subscribed(session, to, ["grace@example.org"])
        subscription.subscriber.name = "Grace Hidden"
        other = add_newsletter(session, Newsletter(slug="other", name="Other"))
        others = lists.create_list(session, "Others", other.id)
        factories.subscribed(session, others, ["elsewhere@example.org"])
        for on in (to, others):
            (both,) = factories.subscribed(session, on, ["both@example.org"])
        both.subscriber.name = "Boris Both"
        newsletter_id = issue.newsletter_id
    path = f"/issues/{issue_id}/preview"
    wish = {"text": MARKDOWN, "shape": "html", "address": "Grace@example.org"}
    shown = seat.post(path, wish).text
    assert "Grace Hidden" in text_of(shown)
    assert "grace@example.org" in shown
    assert "Grace" not in str(seat.get("/u/" + re.findall(r"/u/([^\"]+)", shown)[0]).text)
    for role in (Role.AUTHOR, Role.SENDER):
        writer = seats(role)
        told = [writer.post(path, {**wish, "address": who}) for who in (wish["address"], "x@y.org")]
        assert [answer.status_code for answer in told] == [403, 403]
        assert told[0].text == told[1].text
        assert "address" not in writer.page(f"/issues/{issue_id}")
    assert "Nobody with this address" in seat.post(path, {**wish, "address": "x@y.org"}).text
    shared = {**wish, "address": "both@example.org"}
    admin = seats(Role.ADMIN, newsletter_id=newsletter_id)
    texts = [each.post(path, shared).text for each in (seat, admin)]
    assert ["Boris Both" in text_of(each) for each in texts] == [True, False]
    assert all("both@example.org" in each for each in texts)
    away = seat.post(path, {**wish, "address": "elsewhere@example.org"}).text
    assert "Nobody with this address" in away
