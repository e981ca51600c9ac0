"""An index of a saved segment: who is in it, and who is counted by it."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, assume, given, settings
from sqlalchemy import delete, text

from benchmarks.plans import statements
from newsletter.core.db import Sessions
from newsletter.migrations import schema
from subscribers import directory, segment_indexes, segments
from subscribers.directory import Search
from subscribers.filters.language import parse
from subscribers.filters.tree import Filter
from subscribers.filters.writing import written
from subscribers.models import Engagement, Subscriber, Subscription
from tests.indexed_segments import PRO, Crowd, by_index, gathered, inside, saved, there
from tests.segment_trees import trees

pytestmark = pytest.mark.parametrize("sessions", ["postgresql"], indirect=True)


@pytest.fixture
def crowd(sessions: Sessions) -> Iterator[Crowd]:
    with gathered(sessions) as made:
        yield made


@pytest.fixture
def without_others(sessions: Sessions) -> None:
    """No other index of people answers in place of a segment's."""
    with sessions.writing() as session:
        for name in ("ix_subscribers_domain_key", "ix_subscribers_attributes"):
            session.execute(text(f"DROP INDEX {name}"))


@pytest.mark.parametrize(
    "said",
    [
        PRO,
        f"not {PRO}",
        'attributes.plan in ("pro", "free")',
        'attributes.plan not in ("pro", 1, true)',
        "attributes.plan exists",
        "attributes.plan > 0.5",
        'attributes.plan <= "pro"',
        'attributes.plan contains "%"',
        'attributes.a.b starts_with "p"',
        'tag != "vip"',
        'attributes."\'" is null',
        'locale = "de"',
        'time_zone in ("Europe/Vienna", "%")',
        'domain starts_with "bücher"',
        f'{PRO} and attributes.a.b > 1 or domain = "example.org"',
        f'{PRO} and locale exists and not (tag = "vip" and attributes."%s" = "%(x)s")',
    ],
)
def test_an_index_says_who_is_inside(sessions: Sessions, crowd: Crowd, said: str) -> None:
    saved(sessions, crowd, said)
    assert by_index(sessions, parse(said)) == inside(crowd, parse(said))
    assert not schema.drift(sessions), "it is none of the models'"


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much],
    max_examples=60,
)
@given(tree=trees())
def test_whatever_lasts_of_a_segment_has_an_index(
    sessions: Sessions, crowd: Crowd, without_others: None, tree: Filter
) -> None:
    part = segment_indexes.lasting_part(tree)
    assume(part is not None)
    assert part is not None
    saved(sessions, crowd, written(part))
    assume(there(sessions))
    assert by_index(sessions, part) == inside(crowd, part)


def test_a_larger_filter_is_counted_by_it_too(sessions: Sessions, crowd: Crowd) -> None:
    saved(sessions, crowd, f"status = active and {PRO} and opened_within(30d)")
    assert by_index(sessions, parse(PRO)) == inside(crowd, parse(PRO))
    larger = parse(f"{PRO} and sample(50%) and status = pending")
    assert counted(sessions, crowd, larger) == len(inside(crowd, larger))
    other = parse(f"{PRO} and locale exists")
    assert counted(sessions, crowd, other, in_parts=False) == len(inside(crowd, other))


def counted(
    sessions: Sessions, crowd: Crowd, tree: Filter, *, in_parts: bool = True, times: int = 1
) -> int:
    """The same by both counts there are, cut into parts if an index has who is inside."""
    with statements(sessions) as ran, sessions.reading() as session:
        on = crowd[0]
        condition = segments.condition(session, tree, on.newsletter_id)
        is_at_hand = segment_indexes.has_one(session, tree)
        assert is_at_hand is in_parts
        search = Search(on.id, inside=condition, is_at_hand=is_at_hand)
        for _ in range(times):
            by_status = segments.count(session, on, tree)
            assert directory.count(session, search) == by_status.people
        assert sum("UNION ALL" in statement.text for statement in ran) == 2 * times * in_parts
        generic = "SELECT coalesce(sum(generic_plans), 0) FROM pg_prepared_statements"
        named = " WHERE statement LIKE '%subscribers.attributes%'"
        assert session.scalar(text(generic + named)) == 0, "that knows no index of one value"
    return by_status.people


def test_everybody_is_in_one_of_the_parts(sessions: Sessions, crowd: Crowd) -> None:
    everybody = parse("attributes.plan exists or attributes.plan is null")
    saved(sessions, crowd, written(everybody))
    assert counted(sessions, crowd, everybody, times=12) == len(crowd[1])


def test_where_nobody_is_left_nobody_is_counted(sessions: Sessions, crowd: Crowd) -> None:
    saved(sessions, crowd, PRO)
    with sessions.writing() as session:
        session.execute(delete(Engagement))
        session.execute(delete(Subscription))
        session.execute(delete(Subscriber))
    with sessions.reading() as session:
        assert segment_indexes.has_one(session, parse(PRO))
        assert segments.count(session, crowd[0], parse(PRO)).people == 0


def test_it_follows_the_people(sessions: Sessions, crowd: Crowd) -> None:
    saved(sessions, crowd, PRO)
    outside = next(person.id for person in crowd[1] if person.attributes.get("plan") != "pro")
    with sessions.writing() as session:
        session.get_one(Subscriber, outside).attributes = {"plan": "pro"}
    assert outside in by_index(sessions, parse(PRO))
