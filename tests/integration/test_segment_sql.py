"""A segment means in SQL, on both databases, what it means in plain Python."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import ColumnElement, create_mock_engine, select
from sqlalchemy.orm import Session

from newsletter.core.db import Sessions
from subscribers.filters.language import parse
from subscribers.filters.sql import Surroundings, condition
from subscribers.filters.tree import All, Attribute, Compare, Field, Filter, Not, Operator, Sample
from subscribers.filters.writing import written
from subscribers.models import Subscriber, SubscriberList, Subscription
from tests import segment_people
from tests.segment_evaluator import Person, matches, place_of
from tests.segment_people import NOW
from tests.segment_trees import SLUGS, trees

CANARY = "canary'\"%s\\"
PATH_CANARY = "canary'%s"


@dataclass(repr=False)
class Crowd:
    """Its people, by SQL and by Python."""

    session: Session
    on: SubscriberList
    people: list[Person]
    surroundings: Surroundings

    def inside(self, tree: Filter) -> set[int]:
        found = (
            select(Subscriber.id)
            .join(Subscription, Subscription.subscriber_id == Subscriber.id)
            .where(Subscription.list_id == self.on.id, condition(tree, self.surroundings))
        )
        return set(self.session.scalars(found))

    def expected(self, tree: Filter) -> set[int]:
        return {person.id for person in self.people if matches(tree, person, NOW)}


@pytest.fixture
def crowd(sessions: Sessions) -> Iterator[Crowd]:
    with sessions.writing(rehearse=True) as session:
        on, people = segment_people.insert(session)
        lists = dict(session.execute(select(SubscriberList.slug, SubscriberList.id)).all())
        about = Surroundings(sessions.dialect, on.newsletter_id, lists, NOW)
        yield Crowd(session, on, people, about)


def compiled(asked: ColumnElement[bool], dialect: str) -> str:
    known = create_mock_engine(
        f"{dialect}{'+psycopg' * (dialect == 'postgresql')}://", lambda *_: None
    ).dialect
    return str(select(Subscriber.id).where(asked).compile(dialect=known))


same_crowd = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    max_examples=250,
)


@same_crowd
@given(tree=trees())
@example(tree=parse('attributes.plan != "pro"'))
@example(tree=parse("attributes.a.b > 1 or not attributes.a.b > 1"))
@example(tree=parse("confirmed_at < 2026-01-31 or not confirmed_at < 2026-01-31"))
def test_the_database_finds_whom_python_finds(crowd: Crowd, tree: Filter) -> None:
    assert crowd.inside(tree) == crowd.expected(tree), written(tree)


@same_crowd
@given(tree=trees())
def test_whoever_is_not_inside_is_outside(crowd: Crowd, tree: Filter) -> None:
    everybody = {person.id for person in crowd.people}
    inside, outside = crowd.inside(tree), crowd.inside(Not(tree))
    assert inside | outside == everybody
    assert not inside & outside


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ('not attributes.plan = "pro"', lambda p: p.attributes.get("plan") != "pro"),
        ("attributes.plan is null", lambda p: p.attributes.get("plan") in (None, "")),
        ('domain = "b\u00fccher.example"', lambda p: "xn--bcher-kva" in p.address_key),
        *(
            (f'{part} "{text}"', lambda p: "xn--bcher-kva" in p.address_key)
            for part, text in (
                ("email contains", "\u00dcCHER.ex"),
                ("email contains", "bu\u0308cher"),
                ("domain contains", "b\u00fcch"),
                ("domain starts_with", "B\u00fccher.e"),
            )
        ),
        ('domain starts_with "\u00fccher"', None),
        ('email contains "%"', lambda p: "%" in p.address_key),
        ('email contains "_"', lambda p: "_" in p.address_key),
        ('locale = "de"', lambda p: p.locale in ("de", "DE-at", "de_AT")),
        ('locale = "de-AT"', lambda p: p.locale in ("DE-at", "de_AT")),
        ('on("evenings")', lambda p: "evenings" in p.active_on),
        ("subscribed_at = 2026-01-31", lambda p: p.subscribed_at.date() == date(2026, 1, 31)),
        ("subscribed_at <= 2026-01-31", lambda p: p.subscribed_at.date() <= date(2026, 1, 31)),
        ("subscribed_at > 2026-01-31", lambda p: p.subscribed_at.date() > date(2026, 1, 31)),
        ("opened_within(9999w)", lambda p: p.opened_at and p.tracking == "granted"),
        ("sample(100%)", lambda _: True),
    ],
)
def test_what_a_text_promises_holds(crowd: Crowd, text: str, holds: object) -> None:
    if holds is None:
        assert not crowd.inside(parse(text))
        return
    assert callable(holds)
    expected = {person.id for person in crowd.people if holds(person)}
    assert crowd.inside(parse(text)) == expected
    assert expected, "somebody is inside, or the example shows nothing"


def test_opens_of_another_newsletter_or_of_none_are_not_looked_at(crowd: Crowd) -> None:
    tree = parse("opened_within(9999w)")
    assert crowd.inside(tree)
    for newsletter_id in (None, 999):
        crowd.surroundings = Surroundings(
            crowd.surroundings.dialect, newsletter_id, crowd.surroundings.list_ids, NOW
        )
        assert not crowd.inside(tree)


@same_crowd
@given(share=st.integers(1, 9_999), seed=st.sampled_from(["", "a", "b"]))
def test_a_sample_and_the_rest_are_everybody_and_a_larger_one_holds_a_smaller(
    crowd: Crowd, share: int, seed: str
) -> None:
    smaller, larger = Sample(share, seed), Sample(share + 1, seed)
    assert crowd.inside(smaller) <= crowd.inside(larger)
    rest = crowd.inside(Not(smaller))
    assert len(crowd.inside(smaller)) + len(rest) == len(crowd.people)


@pytest.mark.parametrize("seed", ["", "spring", "summer"])
@pytest.mark.parametrize("first", [1, 700_000, 2**40])
def test_a_sample_is_about_as_large_as_it_says(seed: str, first: int) -> None:
    """By the same arithmetic in Python, which the tests above compare with the databases'."""
    inside = [number for number in range(first, first + 20_000) if place_of(number, seed) < 1_000]
    assert 1_800 < len(inside) < 2_200
    assert (
        0 < sum(place_of(number, "other") < 5_000 for number in inside) / len(inside) - 0.45 < 0.1
    )


def test_an_address_is_found_however_it_is_spelt(crowd: Crowd) -> None:
    for person in crowd.people[:10]:
        assert crowd.inside(parse(f'email = "{person.address_key.upper()}"')) == {person.id}


@given(
    tree=trees([CANARY], [(PATH_CANARY,), (PATH_CANARY, "b")], SLUGS),
    dialect=st.sampled_from(["sqlite", "postgresql"]),
)
def test_nothing_that_was_typed_is_in_the_statement(tree: Filter, dialect: str) -> None:
    about = Surroundings(dialect, 1, dict.fromkeys(SLUGS, 1), NOW)
    statement = compiled(condition(tree, about), dialect)
    assert "canary" not in statement


def test_a_statement_depends_on_the_shape_alone() -> None:
    def statement(value: str) -> str:
        name = Compare(Field.NAME, Operator.CONTAINS, (value,))
        plan = Compare(Attribute((value,)), Operator.IS, (value,))
        about = Surroundings("postgresql", 1, {}, NOW)
        return compiled(condition(All((name, plan)), about), "postgresql")

    assert statement("a") == statement("') OR 1=1 --")
