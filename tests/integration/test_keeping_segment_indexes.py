"""Indexes of saved segments: which are made, when they go, and beside whom."""

import random
import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection, event, text, update
from structlog.testing import capture_logs

from benchmarks.plans import statements
from newsletter.core.db import Sessions
from newsletter.core.doorbell import SEGMENTS
from newsletter.core.tokens import TokenKeys
from newsletter.jobs import daily
from newsletter.jobs.segments import keep_indexes
from newsletter.sending import leases
from newsletter.sending.models import Lease
from subscribers import segment_indexes, segments
from subscribers.filters.language import parse
from subscribers.models import Segment, Subscriber
from tests import factories
from tests.indexed_segments import PRO, Crowd, by_index, gathered, inside, saved, there
from tests.waiting import wait_until

pytestmark = pytest.mark.parametrize("sessions", ["postgresql"], indirect=True)


@pytest.fixture
def crowd(sessions: Sessions) -> Iterator[Crowd]:
    with gathered(sessions) as made:
        yield made


def many_people(sessions: Sessions) -> None:
    """As PostgreSQL believes until it next counts."""
    with sessions.writing() as session:
        session.execute(text("UPDATE pg_class SET reltuples = 1e6 WHERE relname = 'subscribers'"))


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
    with statements(sessions) as ran:
        saved(sessions, crowd, said)
    assert any("CREATE INDEX" in statement.text for statement in ran)
    assert not any("canary" in statement.text for statement in ran)
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
