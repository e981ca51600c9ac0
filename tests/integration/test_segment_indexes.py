"""Indexes of saved segments: made, used, dropped, and with nothing in them that was typed."""

import random
import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, assume, given, settings
from sqlalchemy import Connection, delete, event, select, text, update
from structlog.testing import capture_logs

from newsletter.core.db import Sessions
from newsletter.core.doorbell import SEGMENTS
from newsletter.core.tokens import TokenKeys
from newsletter.jobs import daily
from newsletter.jobs.segments import keep_indexes
from newsletter.migrations import schema
from newsletter.sending import leases
from newsletter.sending.models import Lease
from subscribers import directory, segment_indexes, segments
from subscribers.directory import Search
from subscribers.filters.language import parse
from subscribers.filters.sql import Surroundings, condition
from subscribers.filters.tree import Filter
from subscribers.filters.writing import written
from subscribers.models import Engagement, Segment, Subscriber, SubscriberList, Subscription
from tests import factories, segment_people
from tests.segment_evaluator import Person, matches
from tests.segment_people import NOW
from tests.segment_trees import trees
from tests.waiting import wait_until

PRO = 'attributes.plan = "pro"'
pytestmark = pytest.mark.parametrize("sessions", ["postgresql"], indirect=True)

Crowd = tuple[SubscriberList, list[Person]]


@pytest.fixture
def crowd(sessions: Sessions) -> Iterator[Crowd]:
    with sessions.writing() as session:
        made = segment_people.insert(session)
    yield made
    saved(sessions, made)


@pytest.fixture
def without_others(sessions: Sessions) -> None:
    """No other index of people answers in place of a segment's."""
    with sessions.writing() as session:
        for name in ("ix_subscribers_domain_key", "ix_subscribers_attributes"):
            session.execute(text(f"DROP INDEX {name}"))


def saved(sessions: Sessions, crowd: Crowd, *texts: str) -> None:
    """These are all the segments there are, the last made last, and what is due is done."""
    with sessions.writing() as session:
        for old in segments.list_segments(session):
            segments.forget(session, old)
        for number, said in enumerate(texts):
            segments.save(session, crowd[0], f"Segment {number}", said)
    segment_indexes.keep(sessions, worth_people=0)


def there(sessions: Sessions) -> dict[str, bool]:
    """Every index of people, and whether it can be used."""
    asked = "SELECT indexrelid::regclass::text, indisvalid FROM pg_index WHERE indrelid = "
    with sessions.reading() as session:
        found = session.execute(text(asked + "'subscribers'::regclass"))
        return {name: valid for name, valid in found if segment_indexes.is_one(name)}


def by_index(sessions: Sessions, tree: Filter) -> set[int]:
    """Who is inside, as an index says; it is not asked again whether they are."""
    about = Surroundings("postgresql", None, {}, NOW)
    asked = select(Subscriber.id).where(condition(tree, about))
    with sessions.reading() as session:
        session.execute(text("SET LOCAL enable_seqscan = off"))
        session.execute(text("SET LOCAL enable_bitmapscan = off"))
        compiled = asked.compile(dialect=sessions.engine.dialect)
        plan = session.connection().exec_driver_sql(f"EXPLAIN {compiled}", compiled.params)
        steps = "\n".join(step for (step,) in plan)
        if "One-Time Filter: false" not in steps:  # PostgreSQL saw that nobody can be inside
            assert "using segment_" in steps, f"{written(tree)}\n{steps}"
            assert "Filter" not in steps
        return set(session.scalars(asked))


def inside(crowd: Crowd, tree: Filter) -> set[int]:
    return {person.id for person in crowd[1] if matches(tree, person, NOW)}


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


def many_people(sessions: Sessions) -> None:
    """As PostgreSQL believes until it next counts."""
    with sessions.writing() as session:
        session.execute(text("UPDATE pg_class SET reltuples = 1e6 WHERE relname = 'subscribers'"))


def counted(
    sessions: Sessions, crowd: Crowd, tree: Filter, *, in_parts: bool = True, times: int = 1
) -> int:
    """The same by both counts there are, cut into parts if an index has who is inside."""
    ran = statements_of(sessions)
    with sessions.reading() as session:
        on = crowd[0]
        condition = segments.condition(session, tree, on.newsletter_id)
        is_at_hand = segment_indexes.has_one(session, tree)
        assert is_at_hand is in_parts
        search = Search(on.id, inside=condition, is_at_hand=is_at_hand)
        for _ in range(times):
            by_status = segments.count(session, on, tree)
            assert directory.count(session, search) == by_status.people
        assert len([said for said in ran if "UNION ALL" in said]) == 2 * times * in_parts
        generic = "SELECT coalesce(sum(generic_plans), 0) FROM pg_prepared_statements"
        named = " WHERE statement LIKE '%subscribers.attributes%'"
        assert session.scalar(text(generic + named)) == 0, "that knows no index of one value"
    return by_status.people


def statements_of(sessions: Sessions) -> list[str]:
    ran: list[str] = []
    event.listen(sessions.engine, "before_cursor_execute", lambda *about: ran.append(str(about[2])))
    return ran


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


@pytest.mark.parametrize(
    "said",
    [
        "status = active",
        "opened_within(30d)",
        "created_within(30d)",
        "sample(10%)",
        f"{PRO} or status = active",
        'name = "Ada"',
        'not email contains "ada"',
        'attributes.boss = "ada@example.org"',
        'attributes.boss in ("nobody", "ada@example.org")',
    ],
)
def test_what_does_not_last_or_names_somebody_has_none(
    sessions: Sessions, crowd: Crowd, said: str
) -> None:
    saved(sessions, crowd, said)
    assert not there(sessions)


def test_one_that_nobody_asks_for_goes(sessions: Sessions, crowd: Crowd) -> None:
    saved(sessions, crowd, PRO, f"status = active and {PRO}")
    (first,) = there(sessions)
    saved(sessions, crowd, 'attributes.plan = "free"')
    (second,) = there(sessions)
    assert first != second
    saved(sessions, crowd)
    assert not there(sessions)


def test_those_saved_last_have_one(sessions: Sessions, crowd: Crowd) -> None:
    many = [f"attributes.score > {number}" for number in range(segment_indexes.MOST_TERMS + 2)]
    saved(sessions, crowd, *many)
    before = there(sessions)
    assert len(before) == segment_indexes.MOST_TERMS
    assert by_index(sessions, parse(many[-1])) == inside(crowd, parse(many[-1]))
    saved(sessions, crowd, *many[2:])
    assert there(sessions) == before


def test_what_asks_much_has_none_and_takes_no_room(sessions: Sessions, crowd: Crowd) -> None:
    values = ", ".join(f'"{number}"' for number in range(segment_indexes.MOST_TERMS + 1))
    saved(sessions, crowd, PRO, f"attributes.plan in ({values})")
    assert len(there(sessions)) == 1
    saved(sessions, crowd, PRO, f'attributes.plan = "{"x" * 500}"')
    assert len(there(sessions)) == 1


def test_the_longest_that_has_one_fits(sessions: Sessions, crowd: Crowd) -> None:
    """PostgreSQL keeps the words of an index in one page; letters that do not compress."""
    letters = iter(random.Random(1).sample(range(0x4E00, 0x9FA5), 600))
    values = ", ".join(
        f'"{"".join(chr(next(letters)) for _ in range(34))}"'
        for _ in range(segment_indexes.MOST_TERMS)
    )
    saved(sessions, crowd, f"attributes.plan in ({values})")
    assert set(there(sessions).values()) == {True}


def test_who_ends_begins_nothing(sessions: Sessions, crowd: Crowd) -> None:
    with sessions.writing() as session:
        segments.save(session, crowd[0], "Paying", PRO)
    segment_indexes.keep(sessions, worth_people=0, stop=lambda: True)
    assert not there(sessions)


def test_few_people_are_read_through(sessions: Sessions, crowd: Crowd) -> None:
    saved(sessions, crowd, PRO)
    made = there(sessions)
    segment_indexes.keep(sessions)
    assert there(sessions) == made, "one that is there stays, or it would come and go"
    saved(sessions, crowd)
    with sessions.writing() as session:
        segments.save(session, crowd[0], "Paying", PRO)
    segment_indexes.keep(sessions)
    assert not there(sessions)


def test_one_that_was_cut_off_is_made_again(sessions: Sessions, crowd: Crowd) -> None:
    saved(sessions, crowd, PRO)
    (name,) = there(sessions)
    with sessions.writing() as session:
        broken = f"UPDATE pg_index SET indisvalid = false WHERE indexrelid = '{name}'::regclass"
        session.execute(text(broken))
    assert there(sessions) == {name: False}
    segment_indexes.keep(sessions, worth_people=0)
    assert there(sessions) == {name: True}


def test_who_writes_does_not_wait_for_it(sessions: Sessions, crowd: Crowd) -> None:
    """It waits for who began before, and meanwhile others come and go."""
    with sessions.writing() as session:
        segments.save(session, crowd[0], "Paying", PRO)
    with sessions.writing() as earlier:
        earlier.get_one(Subscriber, crowd[1][0].id).attributes = {"plan": "pro"}
        earlier.flush()
        keeper = threading.Thread(
            target=segment_indexes.keep, args=[sessions], kwargs={"worth_people": 0}
        )
        keeper.start()
        while not there(sessions):
            assert keeper.is_alive()
        with sessions.writing() as session:
            session.get_one(Subscriber, crowd[1][1].id).attributes = {"plan": "pro"}
        assert keeper.is_alive()
    keeper.join(30)
    assert {person.id for person in crowd[1][:2]} <= by_index(sessions, parse(PRO))


def test_who_has_to_wait_too_long_says_so_and_comes_again(
    sessions: Sessions, crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segment_indexes, "_WAIT_SECONDS", 1)
    with sessions.writing() as session:
        session.get_one(Subscriber, crowd[1][0].id).name = "Ada"
        session.flush()
        with capture_logs() as said:
            saved(sessions, crowd, PRO)
    assert [line["event"] for line in said] == ["segment_index.failed"]
    assert "pro" not in str(said)
    assert set(there(sessions).values()) == {False}
    segment_indexes.keep(sessions, worth_people=0)
    assert set(there(sessions).values()) == {True}
    with sessions.reading() as session:
        assert session.scalar(text("SHOW lock_timeout")) == "0", "whoever has it next waits"


def test_nothing_that_was_typed_is_in_a_statement(sessions: Sessions, crowd: Crowd) -> None:
    said = 'attributes."canary\'%s:x" = "canary\'; DROP TABLE subscribers; --"'
    ran = statements_of(sessions)
    saved(sessions, crowd, said)
    assert any("CREATE INDEX" in statement for statement in ran)
    assert not any("canary" in statement for statement in ran)
    assert by_index(sessions, parse(said)) == set()


def test_a_ring_after_every_change(sessions: Sessions, crowd: Crowd) -> None:
    rung: list[int] = []
    sessions.ring = rung.append
    with sessions.writing() as session:
        made = segments.save(session, crowd[0], "Paying", PRO)
    with sessions.writing() as session:
        segments.change(session, session.merge(made), "Paying", 'attributes.plan = "free"')
    with sessions.writing() as session:
        segments.forget(session, session.get_one(Segment, made.id))
    assert rung == [SEGMENTS] * 3


def test_one_process_at_a_time_and_until_nothing_is_left(
    sessions: Sessions, keys: TokenKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = [True, True, False]
    monkeypatch.setattr(segment_indexes, "keep", lambda _sessions, **_: left.pop(0))
    runtime = factories.runtime(sessions, keys)
    with leases.hold(sessions, "segment indexes", 60) as held:
        assert held
        daily.look_after_all(runtime)
    assert len(left) == 3
    daily.look_after_all(runtime)
    assert not left


def test_whoever_lost_the_right_to_it_ends(
    sessions: Sessions, keys: TokenKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("newsletter.jobs.segments._LEASE_SECONDS", 1)
    asked: list[bool] = []

    def keep(_sessions: Sessions, *, stop: Callable[[], bool]) -> bool:
        asked.append(stop())
        with sessions.writing() as session:
            session.execute(update(Lease).values(token=1))
        wait_until(stop)
        return True

    monkeypatch.setattr(segment_indexes, "keep", keep)
    keep_indexes(factories.runtime(sessions, keys))
    assert asked == [False]


def test_a_database_that_goes_away_is_said_and_found_again(
    sessions: Sessions, crowd: Crowd, keys: TokenKeys
) -> None:
    with sessions.writing() as session:
        segments.save(session, crowd[0], "Paying", PRO)
    url = sessions.engine.url.set(drivername="postgresql")

    def cut_off(connection: Connection, _cursor: object, statement: str, *_: object) -> None:
        if "CREATE INDEX" in statement:
            driver: Any = connection.connection.driver_connection
            with psycopg.connect(url.render_as_string(hide_password=False)) as other:
                other.execute("SELECT pg_terminate_backend(%s)", [driver.info.backend_pid])

    many_people(sessions)
    event.listen(sessions.engine, "before_cursor_execute", cut_off)
    with capture_logs() as said:
        keep_indexes(factories.runtime(sessions, keys))
    event.remove(sessions.engine, "before_cursor_execute", cut_off)
    assert [line["event"] for line in said] == ["segment_index.failed"]
    keep_indexes(factories.runtime(sessions, keys))
    assert set(there(sessions).values()) == {True}
