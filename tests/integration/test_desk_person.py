"""One person at the desk: what is shown, mended, taken off and back, exported."""

import json
from datetime import timedelta
from urllib.parse import quote

import pytest
import time_machine
from sqlalchemy import select

from newsletter.accounts import audit
from newsletter.core.clock import now
from newsletter.web.desk.people import person as person_pages
from newsletter.web.desk.people.words import change_source, form_words, suppression_source
from subscribers import by_hand, subscriptions, suppressions
from subscribers.evidence import Evidence
from subscribers.models import (
    ConsentChange,
    ConsentEvent,
    LeaveReason,
    Subscriber,
    SubscriptionStatus,
    SuppressionReason,
    TrackingConsent,
)
from subscribers.preferences import Wish, change
from tests import factories
from tests.desk import Seat, text_of
from tests.two_newsletters import (
    ADA,
    BOB,
    CYD,
    DEE,
    SECRET,
    Two,
    mailed,
    page_of,
)


def kept(seat: Seat, path: str, **typed: str) -> dict[str, str]:
    """The form about a person, with the edition that the page shows."""
    edition = seat.page(path).partition('name="edition" value="')[2].partition('"')[0]
    empty = {"name": "", "locale": "", "time_zone": "", "attributes": ""}
    return {**empty, "edition": edition, **typed}


def test_the_page_shows_lists_evidence_and_mails(ours: Seat, two: Two) -> None:
    mailed(two, two.ours, ADA, "Measured twice")
    with two.sessions.writing() as session:
        standing = subscriptions.find_subscription(session, two.people[ADA], two.evenings)
        assert standing
        by_mail = Evidence("page", form="preferences: mail")
        subscriptions.set_tracking_consent(session, standing, TrackingConsent.DENIED, by_mail)
    words = ours.read(page_of(two, ADA))
    for said in (
        *(ADA, "Mornings Active", "Evenings Active", "They asked for it.", "by a command"),
        "by the link to the preferences in a mail",
        *("Measured twice", "accepted", "Opened (a person)", "Clicked (a machine)"),
        "Nobody who works here did anything to them.",
    ):
        assert said in words


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ("mornings: page", "on the sign-up page of mornings"),
        ("mornings: embed", "on another site, by a form of mornings"),
        ("mornings: api", "by a program, for mornings"),
        ("preferences: owner", "by the owner’s own link to the preferences"),
        ("preferences: mail", "by the link to the preferences in a mail"),
        ("mornings: confirmation", "on the confirmation page of mornings"),
        ("leave: mail", "by the address in a mail’s header"),
        ("undo: answer", "on the page that said they had left"),
        ("undo: page", "on the sign-up page of undo"),
        ("webform 7", "webform 7"),
    ],
)
def test_the_form_of_a_change_is_told_in_words(form: str, said: str) -> None:
    assert form_words(form) == said


def test_the_mail_that_somebody_left_by_is_told_in_words() -> None:
    assert change_source("delivery 512") == "mail 512"
    assert change_source("people.csv:3") == "people.csv:3"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("delivery 12", "a server's answer to mail 12"),
        ("import gone.csv:7", "the file gone.csv:7"),
        ("desk", "the desk"),
        ("command", "a command"),
        ("erasure", "their erasure"),
        ("old system", "old system"),
    ],
)
def test_the_source_of_a_suppression_is_told_in_words(source: str, said: str) -> None:
    assert suppression_source(source) == said


def test_nothing_of_another_newsletter_is_shown(ours: Seat, two: Two) -> None:
    mailed(two, two.others, CYD, f"{SECRET} issue")
    with two.sessions.writing() as session:
        standing = subscriptions.find_subscription(session, two.people[CYD], two.rivals)
        assert standing
        subscriptions.end(session, standing, Evidence("page", wording=f"Leaving {SECRET}."))
        reason = SuppressionReason.MANUAL
        suppressions.suppress(session, CYD, reason=reason, source=SECRET, list_id=two.rivals)
        audit.record(
            session, f"user of {SECRET}", "subscriber.changed", two.people[CYD], newsletter="rivals"
        )
    page = ours.page(page_of(two, CYD))
    assert SECRET.lower() not in page.lower()
    assert "Suppressed" not in page
    export = ours.post(f"{page_of(two, CYD)}/export")
    assert SECRET.lower() not in export.text.lower()
    assert json.loads(export.text)["newsletter"] == "field-notes"
    assert [each["list"] for each in json.loads(export.text)["subscriptions"]] == ["mornings"]


def test_who_runs_the_installation_exports_everything(seat: Seat, two: Two) -> None:
    document = json.loads(seat.post(f"{page_of(two, CYD)}/export").text)
    assert {each["list"] for each in document["subscriptions"]} == {"mornings", "rivals-daily"}
    assert document["newsletter"] is None
    assert [event.subscriber_id for event in two.audit("subscriber.exported")] == [two.people[CYD]]


def test_an_address_that_only_suppressions_hold_is_exported_for_who_runs_them_all(
    seat: Seat, ours: Seat, two: Two
) -> None:
    address, part_of_adas = "gone@example.org", ADA[1:]
    with two.sessions.writing() as session:
        for each in (address, part_of_adas, ADA):
            suppressions.suppress(session, each, reason=SuppressionReason.GONE, source="x")
    kept, ask = "Something is kept about this very address", "/subscribers/kept?q="
    for each in (address, part_of_adas):
        assert f'hx-get="{ask}{quote(each)}"' in seat.page(f"/subscribers?q={each}")
        assert kept in seat.read(f"/subscribers?q={each}&kept=1")
    assert ADA in seat.read(f"/subscribers?q={part_of_adas}"), "of whose it is a part"
    assert kept in seat.read(f"{ask}{address}")
    for nothing in ("nobody@example.org", "gone"):
        assert "Nothing is kept" in seat.read(f"{ask}{nothing}")
    for page in (seat.page(f"/subscribers?q={ADA}"), ours.page(f"/subscribers?q={address}")):
        assert ask not in page, "she has a page, and others may not know"
    assert ours.get(f"{ask}{address}").status_code == 403
    export = "/subscribers/export-address"
    assert ours.post(export, {"address": address}).status_code == 403
    assert seat.post(export, {"address": "nobody@example.org"}).status_code == 404
    document = json.loads(seat.post(export, {"address": address.upper()}).text)
    assert [each["reason"] for each in document["suppressions"]] == ["gone"]
    document = json.loads(seat.post(export, {"address": CYD}).text)
    assert document["subscriber"]["id"] == two.people[CYD]
    exported = [event.subscriber_id for event in two.audit("subscriber.exported")]
    assert sorted(exported, key=str) == [two.people[CYD], None]


def test_people_of_another_newsletter_are_not_there(ours: Seat, two: Two) -> None:
    gone = f"/subscribers/{two.people[DEE]}"
    for path in (gone, f"{gone}/erase", "/subscribers/999", "/subscribers/0", "/subscribers/x"):
        assert ours.get(path).status_code == 404, path
    for deed in ("details", "take-off", "put-back", "export", "erase"):
        assert ours.post(f"{gone}/{deed}", {"list": two.rivals}).status_code == 404, deed
    assert two.audit("subscriber.exported") == []


def test_mails_and_consent_are_leafed_through(
    ours: Seat, two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(person_pages, "_LINES", 1)
    first = mailed(two, two.ours, ADA, "The first issue", 1)
    second = mailed(two, two.ours, ADA, "The second issue", 2)
    page = ours.page(page_of(two, ADA))
    assert ("The second issue" in page, "The first issue" in page) == (True, False)
    assert f"?mails={second}#mails" in page
    assert page.count('class="history') == 1
    assert "?consent=" in page
    before = ours.page(f"{page_of(two, ADA)}?mails={second}")
    assert ("The second issue" in before, "The first issue" in before) == (False, True)
    assert f"?mails={first}" not in before
    for odd in ("x", "9" * 18, "9" * 23, "3000000000"):
        assert ours.get(f"{page_of(two, ADA)}?mails={odd}").status_code == 404, odd
    assert ours.get(f"{page_of(two, ADA)}?consent={'9' * 23}").status_code == 404
    assert ours.get(f"{page_of(two, ADA)}?consent={'9' * 18}").status_code == 200


def test_what_is_kept_is_mended_and_noted(ours: Seat, two: Two) -> None:
    path = page_of(two, ADA)
    typed = {"name": "Ada  Lovelace", "locale": "en_gb", "time_zone": "Europe/London"}
    attributes = '{"plan": "pro", "tags": ["vip"]}'
    sent = kept(ours, path, **typed, attributes=attributes)
    assert "Saved." in ours.done(f"{path}/details", sent)
    person = two.person(ADA)
    assert (person.name, person.locale) == ("Ada Lovelace", "en-GB")
    assert person.time_zone == "Europe/London"
    assert person.attributes == {"plan": "pro", "tags": ["vip"]}
    [noted] = two.audit("subscriber.changed")
    assert noted.details["changes"] == ["name", "locale", "time_zone", "attributes"]
    again = kept(ours, path, **{**typed, "locale": "en-GB"}, attributes=attributes)
    assert "Saved." not in ours.done(f"{path}/details", again)
    assert len(two.audit("subscriber.changed")) == 1


def test_mistakes_in_what_is_kept_are_told_at_their_place(ours: Seat, two: Two) -> None:
    path = page_of(two, ADA)
    whole = kept(ours, path, name="New")
    for typed, sentence in [
        ({"attributes": '{"plan": }'}, "Line 1, column 10"),
        ({"attributes": '{\n "a": 1,\n "b"\n}'}, "Line 4, column 1"),
        ({"attributes": "[1]"}, "Expected a JSON object"),
        ({"attributes": '{"a": NaN}'}, "Expected a JSON object"),
        ({"attributes": '{"a": "\\u0000"}'}, "Expected a JSON object"),
        ({"attributes": '{"a": "\\ud800"}'}, "Expected a JSON object"),
        ({"attributes": "[" * 20_000}, "JSON"),
        ({"attributes": "x" * 20_001}, "at most 20,000"),
        ({"locale": "klingon language"}, "Expected a language"),
        ({"time_zone": "Mars/Olympus"}, "Expected a time zone"),
        ({"name": "x" * 201}, "at most 200"),
    ]:
        answer = ours.post(f"{path}/details", {**whole, **typed})
        words = text_of(answer.text)
        assert (answer.status_code, sentence in words) == (422, True), typed
        assert 'value="New"' in answer.text or "name" in typed, "what was typed is not lost"
    assert ours.post(f"{path}/details", {"name": "New"}).status_code == 422
    assert two.person(ADA).name == ""


def test_what_somebody_else_changed_meanwhile_is_not_overwritten_unseen(
    ours: Seat, two: Two
) -> None:
    path = page_of(two, ADA)
    mine, theirs = (kept(ours, path, name=name) for name in ("Mine", "Theirs"))
    ours.done(f"{path}/details", theirs)
    late = ours.post(f"{path}/details", mine)
    assert late.status_code == 422
    assert "Somebody else changed this meanwhile" in late.text
    assert "name Theirs" in text_of(late.text)
    assert 'value="Mine"' in late.text
    assert two.person(ADA).name == "Theirs"
    edition = late.text.partition('name="edition" value="')[2].partition('"')[0]
    ours.done(f"{path}/details", {**mine, "edition": edition})
    assert two.person(ADA).name == "Mine"


def test_what_an_import_brought_is_not_lost_by_saving(ours: Seat, two: Two) -> None:
    with two.sessions.writing() as session:
        ada = session.get_one(Subscriber, two.people[ADA])
        ada.time_zone, ada.locale = "EST5EDT", "x-odd"
    path = page_of(two, ADA)
    assert "<option selected>EST5EDT</option>" in ours.page(path)
    sent = kept(ours, path, name="Ada", locale="x-odd", time_zone="EST5EDT")
    assert "Saved." in ours.done(f"{path}/details", sent)
    person = two.person(ADA)
    assert (person.name, person.locale, person.time_zone) == ("Ada", "x-odd", "EST5EDT")


def test_who_is_taken_off_can_be_put_back_for_a_day(ours: Seat, two: Two) -> None:
    with time_machine.travel(now(), tick=False) as clock:
        words = ours.done(f"{page_of(two, ADA)}/take-off", {"list": two.mornings})
        assert "They are off Mornings." in words
        assert "at the desk" in words
        standing = two.standing(ADA, two.mornings)
        assert standing
        assert standing.status is SubscriptionStatus.UNSUBSCRIBED
        other = two.standing(ADA, two.evenings)
        assert other
        assert other.status is SubscriptionStatus.ACTIVE
        assert "as before" in ours.done(f"{page_of(two, ADA)}/put-back", {"list": two.mornings})
        assert two.standing(ADA, two.mornings).status is SubscriptionStatus.ACTIVE
        ours.done(f"{page_of(two, ADA)}/take-off", {"list": two.mornings})
        clock.shift(timedelta(hours=25))
        assert "Take this back" not in ours.read(page_of(two, ADA))
        late = ours.done(f"{page_of(two, ADA)}/put-back", {"list": two.mornings})
        assert "cannot be taken back any more" in late
    assert two.standing(ADA, two.mornings).status is SubscriptionStatus.UNSUBSCRIBED
    assert [e.action for e in two.audit("subscriber.put_back")] == ["subscriber.put_back"]


def test_who_left_by_themselves_is_not_put_back(ours: Seat, two: Two) -> None:
    with two.sessions.writing() as session:
        subscriptions.leave(session, two.people[BOB], two.ours, Evidence("one-click"))
        left = session.scalars(
            select(ConsentEvent).where(ConsentEvent.change == ConsentChange.UNSUBSCRIBED)
        ).all()
        left[-1].reason = LeaveReason.TOO_OFTEN
    read = ours.read(page_of(two, BOB))
    assert "Take this back" not in read
    assert "Why they left: It came too often" in read
    words = ours.done(f"{page_of(two, BOB)}/put-back", {"list": two.mornings})
    assert "cannot be taken back" in words
    assert two.standing(BOB, two.mornings).status is SubscriptionStatus.UNSUBSCRIBED
    again = ours.done(f"{page_of(two, BOB)}/take-off", {"list": two.mornings})
    assert "had left Mornings already" in again


def test_who_leaves_after_they_were_taken_off_is_not_put_back(ours: Seat, two: Two) -> None:
    for address in (ADA, BOB):
        ours.done(f"{page_of(two, address)}/take-off", {"list": two.mornings})
    with two.sessions.writing() as session:
        assert not subscriptions.leave(session, two.people[BOB], two.ours, Evidence("one-click"))
        ada, wish = session.get_one(Subscriber, two.people[ADA]), Wish({two.evenings: False})
        assert change(session, ada, two.ours, wish, Evidence("page"), by_owner=False).left
    assert "Unsubscribed once more" in ours.read(page_of(two, BOB))
    for address in (ADA, BOB):
        words = ours.done(f"{page_of(two, address)}/put-back", {"list": two.mornings})
        assert "cannot be taken back" in words
        assert two.standing(address, two.mornings).status is SubscriptionStatus.UNSUBSCRIBED


def test_the_lists_of_another_newsletter_are_left_alone(ours: Seat, two: Two) -> None:
    for deed in ("take-off", "put-back"):
        for number in (two.rivals, "", "x", 999):
            answer = ours.post(f"{page_of(two, CYD)}/{deed}", {"list": number})
            assert answer.status_code in (404, 422)
    assert two.standing(CYD, two.rivals).status is SubscriptionStatus.ACTIVE


def test_the_trail_of_a_person_says_who_did_what(seat: Seat, ours: Seat, two: Two) -> None:
    ours.done(f"{page_of(two, ADA)}/take-off", {"list": two.evenings})
    words = ours.read(page_of(two, ADA))
    assert f"Took a person off a list: evenings {ours.email}" in words
    with two.sessions.reading() as session:
        trail = audit.trail(session, subscriber_id=two.people[ADA])
    assert [event.details["newsletter"] for event in trail] == ["field-notes"]
    assert factories.EVIDENCE.wording in words


def test_what_another_newsletter_may_have_written_is_not_shown_or_changed(
    seat: Seat, ours: Seat, two: Two
) -> None:
    """Adding somebody's address to one's own list opens nothing of theirs."""
    with two.sessions.writing() as session:
        dee = session.get_one(Subscriber, two.people[DEE])
        dee.name, dee.locale, dee.time_zone = "Dee Doe", "pt-BR", "Asia/Tokyo"
        dee.attributes = {"plan": "theirs"}
        edition = by_hand.edition(dee)
    told = ("Dee Doe", "pt-BR", "Asia/Tokyo", "theirs")
    typed = {"address": DEE, "name": "", "list": two.mornings, "way": "ask", "statement": ""}
    ours.done("/subscribers/new", typed)
    path = page_of(two, DEE)
    page = ours.page(path)
    assert "Another newsletter here knows this person too." in page
    assert "known since" not in page
    export = json.loads(ours.post(f"{path}/export").text)
    assert export["subscriber"] == {"id": two.people[DEE], "email": DEE}
    lists = [
        ours.page("/subscribers"),
        *(ours.post("/subscribers/export", {"form": form}).text for form in ("csv", "jsonl")),
        ours.post("/segments/inside", {"list": two.mornings, "text": 'name = "Dee Doe"'}).text,
    ]
    for shown in (page, json.dumps(export), *lists):
        assert not [word for word in told if f">{word}" in shown or f'"{word}"' in shown]
    assert all(DEE in shown for shown in lists[:3])
    taken = {"name": "H", "locale": "", "time_zone": "", "attributes": "", "edition": edition}
    late = ours.post(f"{path}/details", taken)
    assert (late.status_code, "another newsletter knows" in late.text.lower()) == (409, True)
    assert two.person(DEE).name == "Dee Doe"
    assert all(word in seat.page(path) for word in told), "who runs everything sees it"
    assert "Dee Doe" in seat.page("/subscribers")


def test_a_person_of_two_newsletters_gets_no_name_by_one(ours: Seat, two: Two) -> None:
    typed = {"list": two.mornings, "way": "stated", "statement": "She said so."}
    ours.done("/subscribers/new", {**typed, "address": DEE, "name": "Wrong"})
    ours.done("/subscribers/new", {**typed, "address": "eve@example.org", "name": "Eve"})
    assert (two.person(DEE).name, two.person("eve@example.org").name) == ("", "Eve")
