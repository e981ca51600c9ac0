"""Two who do the same thing at the same moment: threads on PostgreSQL, processes on SQLite."""

import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from newsletter.broadcasts import accounting, freezing
from newsletter.broadcasts.models import Broadcast, BroadcastState, Delivery
from newsletter.core.clock import now
from newsletter.core.db import Sessions
from newsletter.core.errors import RefusedError
from newsletter.core.sections import TrackingMode
from newsletter.core.tokens import TokenKeys
from newsletter.issues.models import Issue
from subscribers import preferences, subscriptions, suppressions
from subscribers.models import (
    ConsentEvent,
    Subscriber,
    SubscriberList,
    Subscription,
    SuppressionReason,
)
from subscribers.preferences import Cadence, Wish
from subscribers.sign_up_counts import MOST_TO_ONE_MAILBOX, letter_is_due
from tests import factories
from tests.integration.test_sweep import wait_for_a_waiter

ROOT = Path(__file__).parents[2]
STEPS = 40
COUNT_UP = f"""
import sys
from newsletter.core.db import connect
from subscribers.models import Subscriber
sessions = connect(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
for _ in range({STEPS}):
    with sessions.writing() as session:
        person = session.get_one(Subscriber, 1)
        person.name = str(int(person.name) + 1)
"""


def both(act: Callable[[int], object]) -> list[object]:
    """What came of `act(0)` and `act(1)`, errors included, begun together."""
    start = threading.Barrier(2)
    came: list[object] = [None, None]

    def one(number: int) -> None:
        start.wait()
        try:
            came[number] = act(number)
        except Exception as error:  # noqa: BLE001 - judged by the test
            came[number] = error

    threads = [threading.Thread(target=one, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return came


def test_of_two_sends_of_an_issue_one_is_refused(sessions: Sessions) -> None:
    """Both have looked at the issue before either says send."""
    with sessions.writing() as session:
        issue = factories.stored_issue(session)
        issue_id, readers = issue.id, factories.a_list(session, issue=issue).id
    looked = threading.Barrier(2)

    def send(number: int) -> int:
        del number
        with sessions.writing() as session:
            issue = session.get_one(Issue, issue_id)
            to = session.get_one(SubscriberList, readers)
            if sessions.dialect == "postgresql":  # SQLite lets one in at a time
                looked.wait(10)
            return factories.scheduled(session, issue, [to]).id

    came = both(send)
    assert sorted(type(result).__name__ for result in came) == ["AlreadySentError", "int"], came
    assert any(isinstance(result, RefusedError) for result in came)
    with sessions.reading() as session:
        assert session.scalar(select(func.count(Broadcast.id))) == 1


def test_two_freeze_one_audience(sessions: Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(freezing, "CHUNK_ROWS", 5)
    with sessions.writing() as session:
        issue = factories.stored_issue(session)
        readers = factories.a_list(session, issue=issue)
        factories.subscribed(session, readers, [f"r{n}@example.org" for n in range(60)])
        broadcast = factories.scheduled(session, issue, [readers])
        broadcast.state = BroadcastState.FREEZING
    came = both(lambda _: freezing.freeze(sessions, broadcast.id, TrackingMode.AGGREGATE))
    assert came == [None, None]
    with sessions.reading() as session:
        frozen = session.get_one(Broadcast, broadcast.id)
        assert (frozen.state, frozen.candidates) == (BroadcastState.SENDING, 60)
        assert session.scalar(select(func.count(Delivery.id))) == 60
        assert accounting.account(session, broadcast.id).gap == 0


def test_two_suppress_one_address(sessions: Sessions) -> None:
    """Two workers hear of one full reply each; the first reason stays and nobody fails."""
    if sessions.dialect == "sqlite":
        pytest.skip("SQLite has one writer")
    added = threading.Event()
    later: list[bool] = []

    def second() -> None:
        added.wait(10)
        with sessions.writing() as session:
            later.append(_suppress(session, "second"))

    thread = threading.Thread(target=second)
    thread.start()
    with sessions.writing() as session:
        assert _suppress(session, "first")
        added.set()
        wait_for_a_waiter(sessions)
    thread.join()
    assert later == [False]
    with sessions.reading() as session:
        (kept,) = suppressions.each_suppression(session)
    assert kept.source == "first"


def test_two_addresses_of_a_mailbox_do_not_both_get_its_last_letter(
    sessions: Sessions, keys: TokenKeys
) -> None:
    if sessions.dialect == "sqlite":
        pytest.skip("SQLite has one writer")
    with sessions.writing() as session:
        for number in range(MOST_TO_ONE_MAILBOX - 1):
            assert letter_is_due(session, keys, f"ada+{number}@example.org")
    later: list[bool] = []

    def second() -> None:
        with sessions.writing() as session:
            later.append(letter_is_due(session, keys, "ada+b@example.org"))

    thread = threading.Thread(target=second)
    with sessions.writing() as session:
        assert letter_is_due(session, keys, "ada+a@example.org")
        thread.start()
        wait_for_a_waiter(sessions)
    thread.join()
    assert later == [False]


def _suppress(session: Session, source: str) -> bool:
    return suppressions.suppress(
        session,
        "ada@example.org",
        reason=SuppressionReason.GONE,
        source=source,
    )


def test_sqlite_is_told_to_be_durable(sessions: Sessions) -> None:
    if sessions.dialect != "sqlite":
        pytest.skip("about SQLite")
    with sessions.reading() as session:
        told = [
            session.scalar(text(f"PRAGMA {name}"))
            for name in ("journal_mode", "synchronous", "foreign_keys")
        ]
    assert told == ["wal", 2, 1], "2 is FULL"


def test_two_processes_write_one_sqlite_file_in_turn(sessions: Sessions) -> None:
    """Each reads, then writes: a lock taken only at the write would fail or lose a step."""
    if sessions.dialect != "sqlite":
        pytest.skip("about SQLite")
    with sessions.writing() as session:
        person = factories.person(session, "ada@example.org", "0")
        assert person.id == 1
    command = [sys.executable, "-c", COUNT_UP, str(sessions.engine.url)]
    started = [
        subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    for process in started:
        assert process.stdout.readline() == "ready\n"
    for process in started:
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in started:
        process.communicate(timeout=60)
    assert [process.returncode for process in started] == [0, 0]
    with sessions.reading() as session:
        assert session.scalars(select(Subscriber.name)).one() == str(2 * STEPS)


def two_lists(sessions: Sessions) -> list[int]:
    """Ada is on the first of them."""
    with sessions.writing() as session:
        issue = factories.stored_issue(session)
        lists = [factories.a_list(session, name, issue) for name in ("Mornings", "Evenings")]
        factories.subscribed(session, lists[0], ["ada@example.org"])
        return [found.id for found in lists]


def test_of_two_who_join_a_list_by_the_owners_link_one_is_witnessed(sessions: Sessions) -> None:
    lists = two_lists(sessions)
    wish = Wish(dict.fromkeys(lists, True))

    def join(_: int) -> object:
        with sessions.writing() as session:
            person = session.get_one(Subscriber, 1)
            changes = preferences.change(
                session, person, 1, wish, factories.EVIDENCE, by_owner=True
            )
            return len(changes.joined)

    assert sorted(both(join), key=str) == [0, 1]
    with sessions.reading() as session:
        assert session.scalar(select(func.count()).select_from(Subscription)) == 2
        assert session.scalar(select(func.count()).select_from(ConsentEvent)) == 3


def test_saving_preferences_and_leaving_at_once_wait_for_each_other(sessions: Sessions) -> None:
    """Neither ends in a deadlock, and whoever comes second sees what the first did."""
    two_lists(sessions)
    until = now() + timedelta(days=30)

    def act(number: int) -> object:
        with sessions.writing() as session:
            if number:
                return len(subscriptions.leave(session, 1, 1, factories.EVIDENCE))
            person = session.get_one(Subscriber, 1)
            wish = Wish({}, Cadence.PAUSE, until)
            preferences.change(session, person, 1, wish, factories.EVIDENCE, by_owner=True)
            return 1

    for _ in range(5):
        assert both(act) == [1, 1]
        with sessions.writing() as session:
            found = session.scalars(select(Subscription)).one()
            assert found.status.value == "unsubscribed"
            session.delete(found)
            session.flush()
            first = session.get_one(SubscriberList, 1)
            factories.subscribed(session, first, ["ada@example.org"])
