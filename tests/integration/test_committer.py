"""The committer: a group is one transaction, a lost database costs nobody, leases stay alive."""

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from sqlalchemy import event, make_url
from sqlalchemy.exc import OperationalError

from newsletter.broadcasts import claims, control
from newsletter.broadcasts.claims import Claim
from newsletter.broadcasts.ledger import Outcome
from newsletter.broadcasts.models import Broadcast, BroadcastState, DeliveryState, PauseReason
from newsletter.broadcasts.offers import Conclusion, Intent
from newsletter.broadcasts.sweep import sweep
from newsletter.core.db import Sessions
from newsletter.core.express import Express
from newsletter.core.runtime import Runtime
from newsletter.core.sections import DeliverySettings
from newsletter.core.tokens import TokenKeys
from newsletter.mail.replies import parse_reply
from newsletter.sending.committer import Committer, Standing
from newsletter.sending.dispatch import Dispatch
from newsletter.sending.feed import prepared_mail
from newsletter.sending.memory import MemoryTransport
from subscribers import suppressions
from subscribers.models import SuppressionReason
from tests import factories
from tests.odd_relays import Telling

S = DeliveryState
PEOPLE = [f"reader{number}@example.org" for number in range(10)]
OK = parse_reply(250, "2.0.0 Ok")
GONE = parse_reply(550, "5.1.1 User unknown")


@pytest.fixture(autouse=True)
def _nothing_prepared() -> None:
    prepared_mail.cache_clear()


@contextmanager
def commits(sessions: Sessions) -> Iterator[list[str]]:
    """The thread of every commit meanwhile, whichever way it went."""
    threads: list[str] = []
    express = Express.transaction

    def count(_: Any) -> None:
        threads.append(threading.current_thread().name)

    @contextmanager
    def counted(self: Express) -> Iterator[None]:
        with express(self):
            yield
        count(self)

    event.listen(sessions.engine, "commit", count)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Express, "transaction", counted)
        yield threads
    event.remove(sessions.engine, "commit", count)


def claim(sessions: Sessions, broadcast_id: int) -> Claim:
    with sessions.writing() as session:
        return claims.claim(session.connection(), broadcast_id, limit=100, lease_seconds=60)


def written(
    sessions: Sessions, broadcast_id: int, *posts: tuple[list[Conclusion], Intent | None]
) -> list[Standing]:
    """What was posted before the committer looked, so that it is one group; the answers."""

    async def post() -> list[Standing]:
        committer = Committer(sessions, 60, asyncio.get_running_loop())
        answers = [committer.post(done, intent, broadcast_id) for done, intent in posts]
        committer.start()
        try:
            return await asyncio.gather(*answers)
        finally:
            await asyncio.to_thread(committer.stop)

    return asyncio.run(post())


def intents(ours: Claim) -> list[Intent]:
    return [Intent(row.delivery_id, ours.token, "main") for row in ours.rows]


def states(sessions: Sessions, broadcast_id: int) -> Counter[DeliveryState]:
    return Counter(row.state for row in factories.deliveries(sessions, broadcast_id).values())


def test_a_group_is_one_transaction_whatever_it_holds(sessions: Sessions) -> None:
    broadcast_id = factories.sending(sessions, PEOPLE)
    ours = claim(sessions, broadcast_id)
    first, second = intents(ours)[:5], intents(ours)[5:]
    with commits(sessions) as counted:
        answers = written(sessions, broadcast_id, *(([], intent) for intent in first))
        assert answers == [Standing.OURS] * 5
        assert counted == ["committer"]
    done = [
        Conclusion(
            ours.token, Outcome(row.delivery_id, S.ACCEPTED, reply=OK), row.recipient.address_key
        )
        for row in ours.rows[:5]
    ]
    posts = [([conclusion], intent) for conclusion, intent in zip(done, second, strict=True)]
    with commits(sessions) as counted:
        assert written(sessions, broadcast_id, *posts) == [Standing.OURS] * 5
        assert counted == ["committer"]
    assert states(sessions, broadcast_id) == {S.ACCEPTED: 5, S.SENDING: 5}


def test_each_of_a_group_gets_its_own_answer(sessions: Sessions) -> None:
    broadcast_id = factories.sending(sessions, PEOPLE)
    ours = claim(sessions, broadcast_id)
    mine, left, taken, *_ = intents(ours)
    stranger = Intent(taken.delivery_id, taken.token ^ 1, "main")
    with sessions.writing() as session:
        suppressions.suppress(session, PEOPLE[1], reason=SuppressionReason.MANUAL, source="test")
    answers = written(sessions, broadcast_id, ([], mine), ([], left), ([], stranger))
    assert answers == [Standing.OURS, Standing.LEFT, Standing.FENCED]
    rows = factories.deliveries(sessions, broadcast_id)
    assert [rows[who].state for who in PEOPLE[:3]] == [S.SENDING, S.SKIPPED, S.CLAIMED]


def test_of_a_paused_broadcast_nothing_is_announced_and_outcomes_are_kept(
    sessions: Sessions,
) -> None:
    broadcast_id = factories.sending(sessions, PEOPLE)
    ours = claim(sessions, broadcast_id)
    assert written(sessions, broadcast_id, ([], intents(ours)[0])) == [Standing.OURS]
    with sessions.writing() as session:
        control.pause(session, broadcast_id, PauseReason.OPERATOR)
    outcome = Outcome(ours.rows[0].delivery_id, S.FAILED, "gone", GONE)
    failed = Conclusion(ours.token, outcome, PEOPLE[0])
    assert written(sessions, broadcast_id, ([failed], intents(ours)[1])) == [Standing.FENCED]
    assert factories.deliveries(sessions, broadcast_id)[PEOPLE[0]].state is S.FAILED
    with sessions.reading() as session:
        assert suppressions.is_suppressed(session, PEOPLE[0]), "in the same transaction"


def test_what_was_posted_before_a_stop_is_written(sessions: Sessions) -> None:
    broadcast_id = factories.sending(sessions, PEOPLE)
    ours = claim(sessions, broadcast_id)

    async def stop_at_once() -> Standing:
        committer = Committer(sessions, 60, asyncio.get_running_loop())
        committer.start()
        answer = committer.post([], intents(ours)[0], broadcast_id)
        await asyncio.to_thread(committer.stop)
        return await answer

    assert asyncio.run(stop_at_once()) is Standing.OURS
    assert states(sessions, broadcast_id)[S.SENDING] == 1


def test_a_message_costs_no_more_than_a_commit_and_a_connection_one_or_two(
    sessions: Sessions, keys: TokenKeys
) -> None:
    people = [f"r{number}@example.org" for number in range(80)]
    broadcast_id = factories.sending(sessions, people)
    relay = Telling(on_verdict=lambda: asyncio.sleep(0.01))
    with commits(sessions) as counted:
        factories.deliver(factories.runtime(sessions, keys), relay, broadcast_id, connections=4)
    assert len(relay.accepted) == 80
    # The outcome of one message and the intent of the next are one post; groups share commits.
    assert counted.count("committer") <= 80 + 2 * 4


def kill_backends(sessions: Sessions) -> None:
    """All but the one that does it: as if the database had been restarted."""
    url = make_url(sessions.engine.url).set(drivername="postgresql")
    with psycopg.connect(url.render_as_string(hide_password=False), autocommit=True) as admin:
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def assert_everybody_got_it_once(
    sessions: Sessions, broadcast_id: int, relay: MemoryTransport
) -> None:
    assert Counter(to for to, _ in relay.accepted) == Counter(PEOPLE)
    rows = factories.deliveries(sessions, broadcast_id).values()
    assert {(row.state, row.attempt) for row in rows} == {(S.ACCEPTED, 1)}
    with sessions.reading() as session:
        assert session.get_one(Broadcast, broadcast_id).state is BroadcastState.DONE


def deliver_all(runtime: Runtime, relay: MemoryTransport, broadcast_id: int) -> None:
    """Slices until it is done; a slice may end early when the database goes away."""
    for _ in range(10):
        if not factories.deliver(runtime, relay, broadcast_id):
            return


def test_a_database_lost_between_groups_costs_nobody_and_mails_nobody_twice(
    postgresql: Sessions, keys: TokenKeys
) -> None:
    broadcast_id = factories.sending(postgresql, PEOPLE)
    verdicts = 0

    async def kill_now_and_then() -> None:
        nonlocal verdicts
        verdicts += 1
        if verdicts % 3 == 0:
            await asyncio.to_thread(kill_backends, postgresql)

    relay = Telling(on_verdict=kill_now_and_then)
    deliver_all(factories.runtime(postgresql, keys), relay, broadcast_id)
    assert verdicts == 10
    assert_everybody_got_it_once(postgresql, broadcast_id, relay)


def test_a_database_lost_inside_a_group_repeats_the_group(
    postgresql: Sessions, keys: TokenKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    broadcast_id = factories.sending(postgresql, PEOPLE)
    passed: list[str] = []

    def kill_third(name: str) -> None:
        passed.append(name)
        if len(passed) == 3:
            kill_backends(postgresql)

    monkeypatch.setattr("newsletter.sending.committer.failpoint", kill_third)
    relay = MemoryTransport()
    deliver_all(factories.runtime(postgresql, keys), relay, broadcast_id)
    assert len(passed) > 3
    assert_everybody_got_it_once(postgresql, broadcast_id, relay)


def test_a_commit_whose_answer_is_lost_is_repeated_and_counts_once(
    sessions: Sessions, keys: TokenKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    broadcast_id = factories.sending(sessions, PEOPLE)
    write, groups = Committer._written, 0

    def lose_the_answer(*group: Any, **how: Any) -> list[Standing]:
        nonlocal groups
        answers = write(*group, **how)
        groups += 1
        if groups in {1, 4, 7}:
            raise OperationalError("COMMIT", None, ConnectionError("lost"))
        return answers

    monkeypatch.setattr(Committer, "_written", lose_the_answer)
    relay = MemoryTransport()
    deliver_all(factories.runtime(sessions, keys), relay, broadcast_id)
    assert groups > 10
    assert_everybody_got_it_once(sessions, broadcast_id, relay)


def test_a_slow_relay_costs_no_lease(sessions: Sessions, keys: TokenKeys) -> None:
    """The verdict takes longer than the lease: whoever waits for it renews by a timer."""
    broadcast_id = factories.sending(sessions, PEOPLE[:1])
    runtime = factories.runtime(sessions, keys, delivery=DeliverySettings(lease_seconds=5))
    relay = Telling(on_verdict=lambda: asyncio.sleep(7))
    seen: set[DeliveryState] = set()
    with Dispatch(runtime, [relay]) as dispatch, ThreadPoolExecutor(1) as pool:
        slice_ = pool.submit(dispatch.deliver, broadcast_id)
        while not slice_.done():
            sweep(sessions)  # which ends expired leases
            seen |= set(states(sessions, broadcast_id))
            threading.Event().wait(0.2)
        assert slice_.result() is False
    assert S.IN_DOUBT not in seen
    assert states(sessions, broadcast_id) == {S.ACCEPTED: 1}
    assert len(relay.accepted) == 1


def test_leases_end_once_nothing_is_at_work(sessions: Sessions, keys: TokenKeys) -> None:
    broadcast_id = factories.sending(sessions, PEOPLE)
    factories.deliver(factories.runtime(sessions, keys), MemoryTransport(), broadcast_id)
    rows = factories.deliveries(sessions, broadcast_id).values()
    assert {(row.lease_token, row.lease_until) for row in rows} == {(None, None)}
