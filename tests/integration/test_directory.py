"""Everybody, page by page."""

import json

import pytest
from sqlalchemy import delete, event, select

from newsletter.core.db import Sessions
from newsletter.core.errors import InputError
from subscribers import directory, exporting, segments, subscriptions
from subscribers.directory import Search
from subscribers.exporting import Form, Selection
from subscribers.filters.language import parse
from subscribers.models import (
    ConsentEvent,
    Subscriber,
    SubscriberList,
    Subscription,
    SubscriptionStatus,
)
from tests import factories

PEOPLE = [f"reader{number}@example.org" for number in range(7)]


@pytest.fixture
def lists(sessions: Sessions) -> tuple[SubscriberList, SubscriberList]:
    """Everybody on the first; the first three on the second too; reader 1 left that."""
    with sessions.writing() as session:
        first, second = (factories.a_list(session, name) for name in ("Mornings", "Evenings"))
        factories.subscribed(session, first, PEOPLE)
        _, left, _ = factories.subscribed(session, second, PEOPLE[:3])
        subscriptions.end(session, left, factories.EVIDENCE)
        factories.person(session, "Ada.Ärger@example.com", "Zoë 50%_Off")
    return first, second


def found(sessions: Sessions, search: Search, size: int = 3) -> list[str]:
    """All pages, one behind the other."""
    people: list[str] = []
    after: int | None = 0
    with sessions.reading() as session:
        while after is not None:
            page = directory.page(session, search, after=after, limit=size)
            assert len(page.people) == size or page.next_after is None
            people += [person.email for person in page.people]
            after = page.next_after
        assert directory.count(session, search) == len(people)
    return people


@pytest.mark.parametrize("size", [1, 3, 7, 8, 100])
def test_the_pages_together_are_everybody_once(
    sessions: Sessions, lists: tuple[SubscriberList, SubscriberList], size: int
) -> None:
    first, second = lists
    assert found(sessions, Search(), size) == [*PEOPLE, "Ada.Ärger@example.com"]
    assert found(sessions, Search(first.id), size) == PEOPLE
    assert found(sessions, Search(second.id), size) == PEOPLE[:3]


def test_people_are_found_by_status_on_a_list_or_on_any(
    sessions: Sessions, lists: tuple[SubscriberList, SubscriberList]
) -> None:
    first, second = lists
    active, left = SubscriptionStatus.ACTIVE, SubscriptionStatus.UNSUBSCRIBED
    assert found(sessions, Search(second.id, active)) == [PEOPLE[0], PEOPLE[2]]
    assert found(sessions, Search(first.id, left)) == []
    assert found(sessions, Search(status=left)) == [PEOPLE[1]]
    assert found(sessions, Search(status=active)) == PEOPLE


@pytest.mark.parametrize(
    ("part", "people"),
    [
        ("READER3", [PEOPLE[3]]),
        ("@example.org", PEOPLE),
        ("ärger", ["Ada.Ärger@example.com"]),
        ("ÄRGER", ["Ada.Ärger@example.com"]),
        ("ZOë", ["Ada.Ärger@example.com"]),
        ("50%_o", ["Ada.Ärger@example.com"]),
        ("zo", ["Ada.Ärger@example.com"]),
        ("%", ["Ada.Ärger@example.com"]),
        ("_", ["Ada.Ärger@example.com"]),
        ("\\", []),
        ("/", []),
        ("'; DROP TABLE subscribers; --", []),
        ("a", ["Ada.Ärger@example.com", *PEOPLE]),
    ],
)
def test_people_are_found_by_a_part_of_address_or_name(
    sessions: Sessions,
    lists: tuple[SubscriberList, SubscriberList],
    part: str,
    people: list[str],
) -> None:
    assert sorted(found(sessions, Search(part=part))) == sorted(people)


def test_a_domain_of_another_alphabet_is_found_as_people_write_it(sessions: Sessions) -> None:
    typed = "Ada@bücher.example"
    with sessions.writing() as session:
        factories.person(session, typed)
    for part in ("BÜCHER.ex", "büc", "bu\u0308cher", "ada@bücher.example", "xn--b", "@BÜ"):
        assert found(sessions, Search(part=part)) == [typed], part
    assert found(sessions, Search(part="bäcker")) == []


def test_everything_can_be_asked_at_once(
    sessions: Sessions, lists: tuple[SubscriberList, SubscriberList]
) -> None:
    first, _ = lists
    with sessions.reading() as session:
        inside = segments.condition(session, parse('on("evenings")'), first.newsletter_id)
    search = Search(first.id, SubscriptionStatus.ACTIVE, inside, "READER")
    assert found(sessions, search, 1) == [PEOPLE[0], PEOPLE[2]]


def test_what_is_found_nearby_and_what_is_looked_for_everywhere_are_one_order(
    sessions: Sessions,
    lists: tuple[SubscriberList, SubscriberList],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for nearby in (0, 2, 4, 1_000):
        monkeypatch.setattr(directory, "_NEARBY", nearby)
        assert found(sessions, Search(part="reader"), 2) == PEOPLE
        assert found(sessions, Search(lists[1].id, part="reader"), 2) == PEOPLE[:3]


def test_who_goes_between_two_pages_moves_nobody(
    sessions: Sessions, lists: tuple[SubscriberList, SubscriberList]
) -> None:
    with sessions.writing() as session:
        page = directory.page(session, Search(lists[0].id), limit=3)
        assert page.next_after
        gone = factories.person(session, PEOPLE[0])
        session.execute(delete(Subscriber).where(Subscriber.id == gone.id))
        rest = directory.page(session, Search(lists[0].id), after=page.next_after)
        assert [person.email for person in rest.people] == PEOPLE[3:]


@pytest.mark.parametrize("sessions", ["postgresql"], indirect=True)
def test_who_goes_while_a_page_is_read_does_not_end_it(
    sessions: Sessions,
    lists: tuple[SubscriberList, SubscriberList],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On PostgreSQL: on SQLite a page is of one moment."""
    monkeypatch.setattr(directory, "_NEARBY", 0)

    waiting = [PEOPLE[0]]

    def erase(_: object, __: object, statement: str, *___: object) -> None:
        if "subscribers.id IN" in statement and waiting:
            found = select(Subscriber).where(Subscriber.email == waiting.pop())
            with sessions.writing() as other:
                gone = other.scalars(found).one()
                for table in (ConsentEvent, Subscription):
                    other.execute(delete(table).where(table.subscriber_id == gone.id))
                other.delete(gone)

    with sessions.reading() as session:
        event.listen(sessions.engine, "before_cursor_execute", erase)
        page = directory.page(session, Search(part="reader"), limit=3)
        assert [person.email for person in page.people] == PEOPLE[1:3]
        assert page.next_after
        rest = directory.page(session, Search(part="reader"), after=page.next_after, limit=7)
    assert [person.email for person in rest.people] == PEOPLE[3:]


def test_what_cannot_be_asked_is_refused() -> None:
    with pytest.raises(InputError, match="a segment is a filter over one"):
        Search(inside=Subscriber.name == "")
    with pytest.raises(InputError, match="at most 100"):
        Search(part="x" * 101)


def test_an_export_of_some_lists_streams_those_who_were_found_and_names_no_other_list(
    sessions: Sessions, lists: tuple[SubscriberList, SubscriberList]
) -> None:
    _, second = lists
    search = Search(status=SubscriptionStatus.ACTIVE, part="reader", among=(second.id,))
    chosen = Selection(where=directory.conditions(search), among=search.among)
    with sessions.reading() as session:
        header, *rows = exporting.stream(session, chosen, Form.CSV)
        people = [json.loads(line) for line in exporting.stream(session, chosen, Form.JSONL)]
        nobody = directory.is_on_none() & directory.conditions(Search(on_none=True))
        alone = list(exporting.stream(session, Selection(where=nobody), Form.JSONL))
    assert header.startswith("list,email,")
    assert [row.split(",")[:2] for row in rows] == [["evenings", PEOPLE[n]] for n in (0, 2)]
    assert [person["email"] for person in people] == [PEOPLE[0], PEOPLE[2]]
    assert {each["list"] for person in people for each in person["subscriptions"]} == {"evenings"}
    assert [json.loads(line)["email"] for line in alone] == ["Ada.Ärger@example.com"]
