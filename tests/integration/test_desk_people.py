"""Finding people at the desk: who is found, counted, exported, added; and who is not."""

import csv
import io
import json
import re
from collections.abc import Callable
from html import unescape
from typing import Any
from urllib.parse import urlencode

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from newsletter.accounts.permissions import Role
from newsletter.core.db import Sessions
from newsletter.core.tokens import TokenKeys
from newsletter.sending.models import SystemMail
from newsletter.web.desk.people import finding
from subscribers import browsing, lists, segments, subscriptions, suppressions
from subscribers.browsing import Place
from subscribers.directory import Search, narrowed
from subscribers.filters.language import parse
from subscribers.models import SubscriptionStatus, SuppressionReason
from tests import factories
from tests.desk import ERASURE_KEY, Seat, log_in, open_desk, text_of
from tests.two_newsletters import ADA, BOB, CYD, DEE, SECRET, Two


def found(seat: Seat, **asked: object) -> list[str]:
    """The addresses on the page, in order."""
    page = seat.read(f"/subscribers?{urlencode(asked)}")
    places = {address: page.find(address) for address in (ADA, BOB, CYD, DEE)}
    there = {address: at for address, at in places.items() if at >= 0}
    return sorted(there, key=there.__getitem__)


def test_the_newest_come_first_and_nobody_of_another_newsletter(ours: Seat) -> None:
    assert found(ours) == [CYD, BOB, ADA]
    assert SECRET not in ours.page("/subscribers")


def test_people_are_found_by_a_part_a_list_a_status(ours: Seat, two: Two) -> None:
    assert found(ours, q="BO") == [BOB]
    assert found(ours, q=ADA.upper()) == [ADA]
    assert found(ours, q="dee") == []
    assert found(ours, list=two.evenings) == [ADA]
    with two.sessions.writing() as session:
        standing = subscriptions.find_subscription(session, two.people[BOB], two.mornings)
        assert standing
        subscriptions.end(session, standing, factories.EVIDENCE)
    assert found(ours, status="unsubscribed") == [BOB]
    assert found(ours, status="active", q="example.org") == [CYD, ADA]


def test_odd_characters_are_looked_for_as_they_are(ours: Seat) -> None:
    for part in ("%", "_", "\\", "b\0x", "'; --", "%00", "\ud83d", "x" * 100):
        query = urlencode({"q": part.encode("utf-8", "surrogatepass")})
        answer = ours.get(f"/subscribers?{query}")
        assert (answer.status_code, BOB in answer.text) == (200, False), part
    assert found(ours, q="b\0ob") == [BOB]


def test_a_mistake_is_told_at_its_field(ours: Seat) -> None:
    for asked, sentence in [
        ({"q": "x" * 101}, "at most 100"),
        ({"list": "999"}, "no such list"),
        ({"list": "none"}, "no such list"),
        ({"status": "gone"}, "one of the statuses"),
        ({"segment": "sample(10%)"}, "Choose the list"),
    ]:
        answer = ours.get(f"/subscribers?{urlencode(asked)}")
        assert (answer.status_code, sentence in answer.text) == (422, True), asked


def test_the_list_of_another_newsletter_is_no_list(ours: Seat, two: Two) -> None:
    answer = ours.get(f"/subscribers?list={two.rivals}")
    assert answer.status_code == 422
    assert SECRET not in answer.text
    assert DEE not in answer.text


def test_a_segment_filters_and_its_mistakes_are_pointed_at(ours: Seat, two: Two) -> None:
    assert found(ours, list=two.mornings, segment='on("evenings")') == [ADA]
    answer = ours.get(f"/subscribers?{urlencode({'list': two.mornings, 'segment': 'plan = 1'})}")
    assert answer.status_code == 422
    assert "Expected a field" in answer.text
    assert "  ^" in answer.text


def test_a_segment_does_not_reach_the_lists_of_another_newsletter(ours: Seat, two: Two) -> None:
    asked = {"list": str(two.mornings), "segment": 'on("rivals-daily")'}
    query = urlencode(asked)
    index, count = (ours.get(f"/subscribers{part}?{query}") for part in ("", "/count"))
    export = ours.post("/subscribers/export", {**asked, "form": "csv"})
    assert index.status_code == export.status_code == 422
    for answer in (index, count, export):
        assert CYD not in answer.text
        assert "1 person" not in answer.text
        assert SECRET not in answer.text
    assert "there are: evenings, mornings" in index.text


def test_pages_lead_on_and_back(ours: Seat, two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding, "PAGE_PEOPLE", 1)
    people = two.people
    assert found(ours) == [CYD]
    assert f"?older={people[CYD]}" in ours.page("/subscribers")
    middle = ours.page(f"/subscribers?older={people[CYD]}")
    assert BOB in middle
    assert f"older={people[BOB]}" in middle
    assert f"newer={people[BOB]}" in middle
    assert found(ours, newer=people[BOB]) == [CYD]
    assert "newer=" not in ours.page(f"/subscribers?newer={people[BOB]}")
    last = ours.page(f"/subscribers?older={people[BOB]}")
    assert ADA in last
    assert "older=" not in last


def test_a_place_that_is_none_is_not_there(ours: Seat) -> None:
    for place in ("older=x", "newer=-1", f"older={'9' * 30}"):
        assert ours.get(f"/subscribers?{place}").status_code == 404, place


def test_people_are_counted_apart_from_the_page(ours: Seat) -> None:
    assert "3 people" not in ours.read("/subscribers")
    assert 'hx-get="/subscribers/count?"' in ours.page("/subscribers")
    assert ours.read("/subscribers/count") == "3 people"
    assert ours.read("/subscribers/count?q=bob") == "1 person"
    assert "3 people" in ours.read("/subscribers?counted=1")


def test_people_on_no_list_are_for_who_runs_the_installation(
    seat: Seat, ours: Seat, two: Two
) -> None:
    with two.sessions.writing() as session:
        lonely = factories.person(session, "lonely@example.org").id
    assert "lonely@" in seat.page("/subscribers?list=none")
    assert "lonely@" in seat.page(f"/subscribers/{lonely}")
    assert "lonely@" not in ours.get("/subscribers?list=none").text
    assert ours.get(f"/subscribers/{lonely}").status_code == 404


def test_an_export_has_what_was_found_and_no_word_of_other_newsletters(
    ours: Seat, two: Two
) -> None:
    with two.sessions.writing() as session:
        session.merge(two.person(BOB)).name = '=HYPERLINK("x")'
        for list_id, source in ((two.rivals, SECRET), (two.mornings, "a complaint")):
            suppressions.suppress(
                session,
                CYD,
                reason=SuppressionReason.MANUAL,
                source=source,
                list_id=list_id,
            )
    answer = ours.post("/subscribers/export", {"form": "csv"})
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [(row["list"], row["email"]) for row in rows] == [
        *[("mornings", ADA), ("evenings", ADA), ("mornings", BOB), ("mornings", CYD)]
    ]
    assert rows[2]["name"].startswith("'=")
    assert SECRET.lower() not in answer.text.lower()
    assert "attachment" in answer.headers["content-disposition"]
    of_list = ours.post("/subscribers/export", {"form": "jsonl", "list": str(two.evenings)})
    assert [json.loads(line)["email"] for line in of_list.text.splitlines()] == [ADA]
    first, second = two.audit("subscribers.exported")
    assert (first.actor, first.details["newsletter"]) == (
        f"user {ours.editor_id}: {ours.email}",
        "field-notes",
    )
    assert second.details["list"] == "evenings"


def test_an_export_of_a_search_names_nobody_in_the_trail(ours: Seat, two: Two) -> None:
    answer = ours.post("/subscribers/export", {"form": "csv", "q": BOB, "status": "active"})
    assert (BOB in answer.text, ADA in answer.text) == (True, False)
    [noted] = two.audit("subscribers.exported")
    assert noted.details["narrowed_by"] == ["part", "status"]
    assert BOB not in json.dumps(noted.details)


def test_an_export_changes_hands_by_post_alone(ours: Seat) -> None:
    assert ours.get("/subscribers/export").status_code in (404, 405)
    assert ours.post("/subscribers/export", {"form": "xlsx"}).status_code == 422


def add(seat: Seat, address: str, list_id: int, **more: str) -> str:
    """The form, sent; the words of the page that answers."""
    fields = {"address": address, "list": str(list_id), "way": "stated", "statement": "Said so."}
    answer = seat.post("/subscribers/new", {**fields, **more})
    if answer.status_code == 303:
        return seat.read(answer.headers["location"])
    assert answer.status_code == 422
    return answer.text


def test_somebody_is_added_by_what_they_said(ours: Seat, two: Two) -> None:
    page = add(ours, "Eve@Example.org", two.mornings, name="Eve", statement="At the fair.")
    assert "Eve@example.org is on Mornings now." in page
    assert "At the fair." in page
    [noted] = two.audit("subscriber.added")
    assert noted.details == {"newsletter": "field-notes", "list": "mornings", "asked": False}


def test_somebody_is_asked_by_mail_in_the_language_of_the_page(ours: Seat, two: Two) -> None:
    ours.client.headers["Accept-Language"] = "de"
    page = add(ours, "eve@example.org", two.mornings, way="ask")
    assert "A mail with a link is on its way" in page
    standing = two.standing("eve@example.org", two.mornings)
    assert standing
    assert standing.status is SubscriptionStatus.PENDING
    with two.sessions.reading() as session:
        [letter] = session.scalars(select(SystemMail)).all()
    assert letter.kind == "confirmation"
    assert b"Anmeldung best" in (letter.wire or b"")


def test_who_is_asked_and_gets_no_mail_is_not_said_to_have_been_asked_before(
    ours: Seat, two: Two
) -> None:
    for number in range(5):
        asked = add(ours, f"eve+{number}@example.org", two.mornings, way="ask")
        assert "A mail with a link is on its way" in asked
    page = add(ours, "eve@example.org", two.mornings, way="ask")
    assert "eve@example.org has to confirm still; no mail goes out now" in page


def test_who_left_is_never_brought_back(ours: Seat, two: Two) -> None:
    with two.sessions.writing() as session:
        standing = subscriptions.find_subscription(session, two.people[BOB], two.mornings)
        assert standing
        subscriptions.end(session, standing, factories.EVIDENCE)
    for way in ("ask", "stated"):
        for on in (two.mornings, two.evenings):
            assert "only they can come back" in add(ours, BOB, on, way=way)
    after = two.standing(BOB, two.mornings)
    assert after
    assert after.status is SubscriptionStatus.UNSUBSCRIBED
    assert two.standing(BOB, two.evenings) is None


def test_the_suppressed_and_the_erased_are_not_added(ours: Seat, two: Two) -> None:
    with two.sessions.writing() as session:
        reason = SuppressionReason.COMPLAINT
        suppressions.suppress(session, "@spam.example", reason=reason, source="test")
        hashed = suppressions.erased_suppression(ERASURE_KEY, "gone@example.org")
        suppressions.suppress(session, hashed, reason=SuppressionReason.ERASED, source="test")
    for way in ("ask", "stated"):
        assert "must not be mailed" in add(ours, "eve@spam.example", two.mornings, way=way)
        assert "asked to be forgotten" in add(ours, "gone@example.org", two.mornings, way=way)
    with two.sessions.reading() as session:
        assert session.scalar(select(SystemMail.id)) is None


def test_the_mistakes_of_the_form_are_told(ours: Seat, two: Two) -> None:
    sent = {"address": "eve@example.org", "list": str(two.mornings), "way": "stated"}
    for fields, sentence in [
        ({"address": "no address"}, "Type an address"),
        ({"address": ""}, "Type an address"),
        ({"list": ""}, "Choose one of the lists"),
        ({"list": "999"}, "Choose one of the lists"),
        ({"statement": " "}, "how they agreed"),
        ({"statement": "x" * 1_001}, "how they agreed"),
        ({"name": "x" * 201}, "at most 200"),
        ({"address": ADA}, "already"),
    ]:
        answer = ours.post("/subscribers/new", {**sent, "statement": "Yes.", **fields})
        assert (answer.status_code, sentence in text_of(answer.text)) == (422, True), fields
    assert two.audit("subscriber.added") == []
    assert two.standing("eve@example.org", two.mornings) is None


def test_nobody_is_put_on_the_list_of_another_newsletter(ours: Seat, two: Two) -> None:
    assert "Choose one of the lists" in add(ours, ADA, two.rivals)
    assert two.standing(ADA, two.rivals) is None


def test_people_are_for_admins(two: Two, seats: Callable[..., Seat]) -> None:
    sender, other = seats(Role.SENDER), seats(Role.ADMIN, newsletter_id=two.others)
    for path in ("/subscribers", "/subscribers/new", "/subscribers/count", "/lists", "/segments"):
        assert sender.get(path).status_code == 403
    assert found(other) == [DEE, CYD]
    assert other.get(f"/subscribers/{two.people[ADA]}").status_code == 404
    assert other.get(f"/subscribers/{two.people[CYD]}").status_code == 200


def everybody(sessions: Sessions, search: Search, size: int) -> list[str]:
    """Leafed through to the end, then back to the beginning: the same people both ways."""
    there: list[str] = []
    back: list[str] = []
    place: Place | None = Place()
    with sessions.reading() as session:
        while place:
            sheet = browsing.sheet(session, search, place, limit=size)
            there += [person.email for person in sheet.people]
            last, place = sheet, sheet.older
        place = last.newer
        back += [person.email for person in reversed(last.people)]
        while place:
            sheet = browsing.sheet(session, search, place, limit=size)
            back += [person.email for person in reversed(sheet.people)]
            place = sheet.newer
    assert back == there[::-1]
    return there


def test_everybody_is_seen_once_on_both_databases(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = [f"reader{number}@example.org" for number in range(7)]
    with sessions.writing() as session:
        first, second = (factories.a_list(session, name) for name in ("One", "Two"))
        other = factories.a_list(session, "Other")
        factories.subscribed(session, first, people[::2])
        factories.subscribed(session, second, people[1:5])
        factories.subscribed(session, other, ["stranger@example.org"])
        inside = segments.condition(session, parse('email contains "reader"'), None)
    both = (first.id, second.id)
    for size, nearby in ((1, 0), (1, 3), (2, 1_000), (5, 3), (50, 1_000)):
        monkeypatch.setattr(browsing, "_NEARBY", nearby)
        seen = everybody(sessions, Search(among=both), size)
        assert sorted(seen) == sorted([*people[:5], people[6]])
        assert everybody(sessions, Search(among=both, part="reader"), size) == seen
        of_list = everybody(sessions, Search(first.id, among=both), size)
        assert of_list == [each for each in seen if each in people[::2]]
        assert everybody(sessions, Search(first.id, inside=inside, among=both), size) == of_list
        active = SubscriptionStatus.ACTIVE
        assert everybody(sessions, Search(status=active, among=both), size) == seen
        assert everybody(sessions, Search(among=()), size) == []
    with sessions.reading() as session:
        whole = narrowed(session, Search(part="READER1@example.org", among=both))
        assert whole.is_whole
        assert not narrowed(session, Search(part="reader1@example.or", among=both)).is_whole
        assert not narrowed(session, Search(part="stranger@example.org", among=both)).is_whole
        assert lists.sizes_of(session, 1) == {}


def test_before_the_first_newsletter_there_is_nobody(
    sqlite_sessions: Sessions, keys: TokenKeys
) -> None:
    runtime = factories.runtime(sqlite_sessions, keys)
    with sqlite_sessions.writing() as session:
        waiting = factories.a_list(session, "Waiting")
        [standing] = factories.subscribed(session, waiting, [ADA])
    with log_in(runtime, Role.ADMIN) as seat:
        for path in ("/subscribers", "/subscribers/new", "/lists", "/lists/new", "/segments"):
            assert "There is no newsletter yet" in seat.read(path), path
        for path in (
            *("/subscribers/count", "/lists/sizes", f"/lists/{waiting.id}"),
            *(f"/subscribers/{standing.subscriber_id}", f"/lists/{waiting.id}/preview"),
        ):
            assert seat.get(path).status_code == 404, path
        for path in ("/subscribers/new", "/subscribers/export", "/lists/new", "/segments/new"):
            answer = seat.post(path, {"name": "A", "form": "csv", "address": "a@example.org"})
            assert answer.status_code == 404, path


def test_a_search_that_takes_long_follows_the_page(
    postgresql: Sessions, keys: TokenKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(session: Session, *asked: Any, **how: Any) -> browsing.Sheet:
        session.execute(text("SELECT pg_sleep(0.3)"))
        return quick(session, *asked, **how)

    quick = browsing.sheet
    monkeypatch.setattr(browsing, "sheet", slow)
    with open_desk(postgresql, keys) as seat:
        with seat.sessions.writing() as session:
            readers = lists.create_list(session, "Mornings", seat.newsletter_id)
            factories.subscribed(session, readers, ["ada@example.org"])
        page = seat.page("/subscribers?q=ada&older=99")
        assert "Looking through everybody" in text_of(page)
        assert "ada@example.org" not in page
        (then,) = set(re.findall(r'(?:hx-get|href)="(/subscribers\?[^"]*patiently[^"]*)"', page))
        assert "ada@example.org" in seat.read(unescape(then))
