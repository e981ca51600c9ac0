"""The preferences page: what a forwarded link may do, what its owner may, and what nobody may."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from html import unescape

import pytest
import time_machine
from bs4 import BeautifulSoup
from sqlalchemy import select
from starlette.testclient import TestClient

from newsletter.core.clock import now
from newsletter.core.db import Sessions
from newsletter.core.erasure_key import ErasureKey
from newsletter.core.runtime import Runtime
from newsletter.core.tokens import TokenKeys
from newsletter.mail.address import Address
from newsletter.rendering.mail_tokens import Door, LeaveToken, OwnerToken, PreferencesToken
from newsletter.sending.models import SystemMail
from newsletter.web.app import create_app
from subscribers import suppressions
from subscribers.models import (
    ConsentEvent,
    Subscriber,
    SubscriberList,
    Subscription,
    SuppressionReason,
    TrackingConsent,
)
from tests import factories

ERASURE = ErasureKey(b"a key of the tests")
IN_A_WEEK = (now() + timedelta(days=7)).date()


@dataclass
class Reader:
    """Ada, on one of three lists of a newsletter; another list is private."""

    runtime: Runtime
    client: TestClient
    subscriber_id: int
    lists: Mapping[str, int]

    @property
    def link(self) -> str:
        return f"/p/{PreferencesToken(1, self.subscriber_id).mint(self.runtime.keys)}"

    @property
    def own_link(self) -> str:
        until = int((now() + timedelta(hours=24)).timestamp())
        return f"/p/{OwnerToken(1, self.subscriber_id, until).mint(self.runtime.keys)}"

    def save(self, url: str, status: int = 200, **fields: object) -> str:
        """Send the form as a browser does that shows it, with these changes."""
        answer = self.client.post(url, data={**self.form(url), **fields})
        assert answer.status_code == status
        return unescape(answer.text)

    def form(self, url: str) -> dict[str, list[str] | str]:
        page = BeautifulSoup(self.client.get(url).text, "html.parser")
        form = page.find("form", action=url)
        sent: dict[str, list[str] | str] = {"list": []}
        for field in form.select("input") if form else ():
            name, value = str(field["name"]), str(field.get("value", ""))
            if field.get("type") in ("checkbox", "radio") and not field.has_attr("checked"):
                continue
            known = sent.get(name, [])
            sent[name] = [*known, value] if isinstance(known, list) else value
        return sent

    def standing(self) -> dict[str, tuple[str, str, datetime | None]]:
        """By list: status, consent, pause."""
        with self.runtime.sessions.reading() as session:
            found = session.scalars(select(Subscription).order_by(Subscription.id))
            return {
                one.list.slug: (one.status.value, one.tracking_consent.value, one.paused_until)
                for one in found
            }

    def changes(self) -> list[str]:
        """What was witnessed after the first subscription, and how."""
        with self.runtime.sessions.reading() as session:
            lines = session.scalars(select(ConsentEvent).order_by(ConsentEvent.id)).all()
            return [f"{line.change.value} by {line.form or line.method}" for line in lines[1:]]

    def letters(self) -> list[EmailMessage]:
        with self.runtime.sessions.reading() as session:
            wires = session.scalars(select(SystemMail.wire).order_by(SystemMail.id)).all()
        return [
            message_from_bytes(wire or b"", EmailMessage, policy=policy.default) for wire in wires
        ]


@pytest.fixture
def reader(sessions: Sessions, keys: TokenKeys) -> Iterator[Reader]:
    with sessions.writing() as session:
        issue = factories.stored_issue(session)
        mornings = factories.a_list(session, "Mornings", issue)
        evenings = factories.a_list(session, "Evenings", issue)
        factories.a_list(session, "Staff", issue).is_public = False
        (subscription,) = factories.subscribed(session, mornings, ["ada@example.org"])
        subscription.subscriber.name = "Ada Lovelace"
        lists = {found.slug: found.id for found in session.scalars(select(SubscriberList))}
        assert evenings.id in lists.values()
    runtime = replace(factories.runtime(sessions, keys), erasure_key=ERASURE)
    with TestClient(create_app(runtime), follow_redirects=False) as client:
        yield Reader(runtime, client, subscription.subscriber_id, lists)


def test_a_forwarded_link_shows_little_and_offers_less_mail_alone(reader: Reader) -> None:
    page = unescape(reader.client.get(reader.link).text)
    assert "a•••a@example.org" in page
    assert "ada@example.org" not in page
    assert "Lovelace" not in page
    assert "Mornings" in page
    for hidden in ("Evenings", "Staff", 'name="name"', 'value="granted"', "/data", "/erase"):
        assert hidden not in page
    assert reader.own_link not in page


def test_the_owners_page_shows_everything_but_private_lists(reader: Reader) -> None:
    page = unescape(reader.client.get(reader.own_link).text)
    for shown in ("ada@example.org", "Ada Lovelace", "Evenings", "granted", "/data", "/erase"):
        assert shown in page
    assert "Staff" not in page
    assert ">Europe/London</option>" in page


def test_get_and_head_change_nothing(reader: Reader) -> None:
    for link in (reader.link, reader.own_link):
        for path in ("", "/letter", "/data", "/erase"):
            for method in ("GET", "HEAD", "OPTIONS"):
                assert reader.client.request(method, link + path).status_code < 500
    assert (reader.changes(), reader.letters()) == ([], [])
    assert reader.standing() == {"mornings": ("active", "unknown", None)}


@pytest.mark.parametrize("who", ["link", "own_link"])
def test_what_makes_less_mail_works_by_either_link(reader: Reader, who: str) -> None:
    url = getattr(reader, who)
    form = "preferences: mail" if who == "link" else "preferences: owner"
    said = reader.save(url, cadence="pause", until=IN_A_WEEK.isoformat(), tracking="denied")
    assert "No issue comes before" in said
    assert "Nothing is measured" in said
    until = datetime.combine(IN_A_WEEK, datetime.min.time(), UTC)
    assert reader.standing() == {"mornings": ("active", "denied", until)}
    assert "You have left Mornings." in reader.save(url, list=[])
    assert reader.standing()["mornings"][0] == "unsubscribed"
    assert reader.changes() == [
        f"paused by {form}",
        f"tracking_denied by {form}",
        f"unsubscribed by {form}",
    ]


def test_a_forwarded_link_makes_no_more_mail_whatever_is_sent(reader: Reader) -> None:
    far = (now() + timedelta(days=30)).date()
    reader.save(reader.own_link, cadence="pause", until=far.isoformat(), tracking="denied")
    before = reader.standing()
    everything = [str(number) for number in reader.lists.values()]
    answer = reader.client.post(
        reader.link,
        data={
            "list": everything,
            "shown": everything,
            "cadence": "every",
            "tracking": "granted",
            "name": "Mallory",
            "locale": "de",
        },
    )
    assert "there was nothing to change" in answer.text
    assert reader.standing() == before
    said = reader.save(reader.link, 422, cadence="pause", until=IN_A_WEEK.isoformat())
    assert "Choose a later day" in said
    for path in ("/data", "/erase"):
        assert reader.client.get(reader.link + path).status_code == 403
    assert reader.client.post(reader.link + "/erase").status_code == 403
    with reader.runtime.sessions.reading() as session:
        assert session.get_one(Subscriber, reader.subscriber_id).name == "Ada Lovelace"


def test_the_owner_joins_resumes_grants_and_says_who_they_are(reader: Reader) -> None:
    reader.save(reader.own_link, cadence="pause", until=IN_A_WEEK.isoformat(), tracking="denied")
    said = reader.save(
        reader.own_link,
        list=[str(reader.lists[name]) for name in ("mornings", "evenings", "staff")],
        cadence="every",
        tracking="granted",
        name="  Ada   King ",
        locale="PT_br",
        time_zone="Europe/London",
    )
    for sentence in ("You are on Evenings.", "Every issue comes again.", "Your language is kept."):
        assert sentence in said
    assert "Staff" not in said
    active = ("active", "granted", None)
    assert reader.standing() == {"mornings": active, "evenings": active}
    with reader.runtime.sessions.reading() as session:
        person = session.get_one(Subscriber, reader.subscriber_id)
        granted = session.scalars(select(ConsentEvent).order_by(ConsentEvent.id.desc())).first()
    assert (person.name, person.locale, person.time_zone) == (
        "Ada King",
        "pt-BR",
        "Europe/London",
    )
    assert granted
    assert granted.wording == "Yes, the editors may see what I open and which links I follow"
    assert reader.changes()[2:] == [
        f"{change} by preferences: owner"
        for change in (
            "requested",
            "confirmed",
            "unpaused",
            "tracking_granted",
            "tracking_granted",
        )
    ]
    assert "there was nothing to change" in reader.save(reader.own_link, time_zone="Europe/London")


def test_the_owner_comes_back_to_a_list_they_left(reader: Reader) -> None:
    reader.save(reader.link, list=[])
    said = reader.save(reader.own_link, list=[str(reader.lists["mornings"])])
    assert "You are on Mornings." in said
    assert reader.standing()["mornings"][0] == "active"


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("until", "", "Choose the day when issues should come again."),
        ("until", "tomorrow", "Choose the day when issues should come again."),
        ("until", "2020-01-01", "Choose a day that is still to come."),
        ("until", "2999-01-01", "Choose a day within a year."),
        ("name", "x" * 201, "Expected at most 200 characters."),
        ("name", "a\x1bb", "Expected letters, not control characters."),
        ("locale", "klingon!", "Expected a language such as en, pt-BR or zh-Hant."),
        ("time_zone", "Mars/Olympus", "Expected a time zone such as Europe/London."),
    ],
)
def test_what_is_wrong_is_said_beside_the_field_and_nothing_is_saved(
    reader: Reader, field: str, value: str, sentence: str
) -> None:
    right = {"until": IN_A_WEEK.isoformat(), "name": "Mallory", "locale": "de", "list": []}
    sent = {**right, "cadence": "pause", "tracking": "denied", field: value}
    page = BeautifulSoup(reader.save(reader.own_link, 422, **sent), "html.parser")
    wrong = page.find(id=field)
    assert wrong
    assert wrong["aria-invalid"] == "true"
    assert page.find(id=str(wrong["aria-describedby"])).get_text() == sentence
    assert page.find("a", href=f"#{field}").get_text() == sentence
    assert reader.changes() == []
    with reader.runtime.sessions.reading() as session:
        assert session.get_one(Subscriber, reader.subscriber_id).name == "Ada Lovelace"


def test_a_form_without_fields_changes_nothing(reader: Reader) -> None:
    for content in (b"", b"%", b"list=9&shown=99999999999999999999", b"\xff=1", b"name"):
        for url in (reader.link, reader.own_link):
            assert reader.client.post(url, content=content).status_code == 200
    assert reader.changes() == []


def test_a_list_that_was_joined_meanwhile_is_not_left(reader: Reader) -> None:
    shown_before = reader.form(reader.link)
    reader.save(reader.own_link, list=[str(number) for number in reader.lists.values()])
    reader.client.post(reader.link, data=shown_before)
    assert {status for status, _, _ in reader.standing().values()} == {"active"}


def test_the_owners_link_comes_by_letter_and_works_for_a_day(reader: Reader) -> None:
    answer = reader.client.post(f"{reader.link}/letter")
    assert "a•••a@example.org" in answer.text
    (letter,) = reader.letters()
    assert letter["To"] == "ada@example.org"
    assert letter["Auto-Submitted"] == "auto-generated"
    assert "Lovelace" not in str(letter)
    text = letter.get_body(["plain"]).get_content()
    (path,) = re.findall(r"http://[^/\s]+(/p/\S+)", text)
    assert "Ada Lovelace" in reader.client.get(path).text
    with time_machine.travel(now() + timedelta(hours=25)):
        late = unescape(reader.client.get(path).text)
        assert "too old" in late
        assert "ada@example.org" not in late
        assert reader.client.get(f"{path}/data").status_code == 403


def test_one_link_while_the_last_still_works_and_none_to_the_suppressed(reader: Reader) -> None:
    midnight = (now() + timedelta(days=1)).replace(hour=0, minute=0)
    for hours, expected in ((-0.1, 1), (0.1, 1), (23.8, 1), (24.1, 2), (48.2, 3), (72.3, 4)):
        with time_machine.travel(midnight + timedelta(hours=hours), tick=False):
            assert reader.client.post(f"{reader.link}/letter").status_code == 200
        assert len(reader.letters()) == expected, hours
    with reader.runtime.sessions.writing() as session:
        why = SuppressionReason.COMPLAINT
        suppressions.suppress(session, "ada@example.org", reason=why, source="test")
    with time_machine.travel(midnight + timedelta(days=9), tick=False):
        assert reader.client.post(f"{reader.link}/letter").status_code == 200
    assert len(reader.letters()) == 4


def test_who_has_left_is_written_to_three_times_a_month_at_most(reader: Reader) -> None:
    reader.save(reader.own_link, list=[])
    for day, expected in ((0, 1), (2, 2), (4, 3), (6, 3), (29, 3), (31, 4)):
        with time_machine.travel(now() + timedelta(days=day), tick=False):
            assert reader.client.post(f"{reader.link}/letter").status_code == 200
        assert len(reader.letters()) == expected, day


def test_who_left_by_a_forwarded_link_is_told_and_can_undo(reader: Reader) -> None:
    reader.save(reader.link, list=[])
    (letter,) = reader.letters()
    assert letter["Subject"] == "You have left Mornings"
    (path,) = re.findall(r"http://[^/\s]+(/undo/\S+)", letter.get_body(["plain"]).get_content())
    assert reader.client.get(path).status_code == 200
    assert reader.standing()["mornings"][0] == "unsubscribed", "a look undoes nothing"
    assert "As if nothing had happened" in reader.client.post(path).text
    assert reader.standing()["mornings"][0] == "active"
    reader.save(reader.own_link, list=[])
    assert len(reader.letters()) == 1, "the owner knows what they did"


def test_everything_that_is_kept_can_be_downloaded(reader: Reader) -> None:
    answer = reader.client.get(f"{reader.own_link}/data")
    assert answer.headers["content-disposition"] == 'attachment; filename="my-data.json"'
    assert "no-store" in answer.headers["cache-control"]
    assert json.loads(answer.text)["subscriber"]["email"] == "ada@example.org"


def test_erasing_asks_first_and_leaves_nothing(reader: Reader) -> None:
    own_link, link = reader.own_link, reader.link
    assert "There is no undo" in reader.client.get(f"{own_link}/erase").text
    answer = reader.client.post(f"{own_link}/erase")
    assert "Everything is erased" in answer.text
    assert "a•••a@example.org" in answer.text
    with reader.runtime.sessions.reading() as session:
        assert session.scalars(select(Subscriber)).all() == []
        assert suppressions.covering(
            session,
            Address.parse("ada@example.org"),
            erased=ERASURE,
        )
    for url in (own_link, link):
        assert reader.client.get(url).status_code == 404


def test_without_a_key_nobody_can_be_erased_and_the_page_says_so(
    sessions: Sessions, reader: Reader
) -> None:
    runtime = factories.runtime(sessions, reader.runtime.keys)
    with TestClient(create_app(runtime)) as client:
        page = client.get(f"{reader.own_link}/erase")
        assert "a person will do it" in page.text
        assert client.post(f"{reader.own_link}/erase").status_code == 404


def test_no_token_opens_what_another_is_for(reader: Reader) -> None:
    keys, person = reader.runtime.keys, reader.subscriber_id
    leave = LeaveToken(Door.BODY, 1, person, 1, 1).mint(keys)
    own = reader.own_link.removeprefix("/p/")
    flipped = [f"{own[:n]}{'A' if own[n] != 'A' else 'B'}{own[n + 1 :]}" for n in range(len(own))]
    for token in (leave, PreferencesToken(2, person).mint(keys), *flipped):
        assert reader.client.get(f"/p/{token}").status_code == 404
    assert reader.client.get(reader.link.replace("/p/", "/u/")).status_code == 404


def test_a_pause_begins_and_ends_where_the_person_lives(reader: Reader) -> None:
    with reader.runtime.sessions.writing() as session:
        session.get_one(Subscriber, reader.subscriber_id).time_zone = "Pacific/Auckland"
    reader.save(reader.link, cadence="pause", until=IN_A_WEEK.isoformat())
    until = reader.standing()["mornings"][2]
    assert until
    assert until.date() == IN_A_WEEK - timedelta(days=1), "it begins there first"
    assert f'value="{IN_A_WEEK.isoformat()}"' in reader.client.get(reader.link).text


@pytest.mark.parametrize("zone", ["Mars/Olympus", "../../etc/passwd", "\x7f"])
def test_an_imported_time_zone_that_is_none_harms_nothing(reader: Reader, zone: str) -> None:
    with reader.runtime.sessions.writing() as session:
        session.get_one(Subscriber, reader.subscriber_id).time_zone = zone
    assert reader.client.get(reader.link).status_code == 200
    assert reader.client.get(reader.own_link).status_code == 200
    reader.save(reader.link, cadence="pause", until=IN_A_WEEK.isoformat())


def test_consent_is_one_for_the_newsletter_and_denied_weighs_most(reader: Reader) -> None:
    with reader.runtime.sessions.writing() as session:
        evenings = session.get_one(SubscriberList, reader.lists["evenings"])
        factories.subscribed(session, evenings, ["ada@example.org"], TrackingConsent.DENIED)
    assert reader.form(reader.own_link)["tracking"] == ["denied"]
    reader.save(reader.own_link, tracking="granted")
    assert {consent for _, consent, _ in reader.standing().values()} == {"granted"}
