"""The doorbell: rings carry ids, a dead broker costs nothing, one process sends when embedded."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from celery import Celery
from pydantic import SecretStr
from sqlalchemy import event, select

from newsletter.broadcasts.models import Broadcast, BroadcastState, DeliveryState
from newsletter.core.db import Sessions, connect
from newsletter.core.doorbell import OUTBOX
from newsletter.core.sections import BounceSettings, BrokerSettings, RelaySettings
from newsletter.core.tokens import TokenKeys
from newsletter.jobs import bell
from newsletter.jobs.celery import DELIVER_SLICE, create_app
from newsletter.jobs.embedded import sending
from newsletter.mail.replies import parse_reply
from newsletter.sending import system_mail
from newsletter.sending.memory import MemoryTransport
from newsletter.sending.transport import Connection
from tests import factories
from tests.odd_relays import Counting
from tests.waiting import wait_until

RELAYS = (RelaySettings(name="main", url=SecretStr("smtp://127.0.0.1?tls=none"), connections=3),)


@pytest.mark.parametrize(("work", "rings"), [(7, 4), (OUTBOX, 1)])
def test_a_ring_is_a_few_small_messages_for_several_workers_to_hear(
    sessions: Sessions, keys: TokenKeys, redis_url: str, work: int, rings: int
) -> None:
    broker = BrokerSettings(url=SecretStr(redis_url))
    runtime = factories.runtime(sessions, keys, broker=broker, relays=RELAYS)
    app = create_app(runtime.settings)
    heard = []
    with app.connection_for_read() as connection:
        queue = connection.SimpleQueue("celery")
        queue.clear()
        bell.ring(app, work)
        for _ in range(rings):
            message = queue.get(timeout=5)
            heard.append((message.headers["task"], message.payload[0]))
            message.ack()
        with pytest.raises(queue.Empty):
            queue.get(block=False)
        queue.close()
    assert heard == [(DELIVER_SLICE, [work])] * rings


def test_a_broker_that_is_away_does_not_stop_the_work(sessions: Sessions, keys: TokenKeys) -> None:
    broker = BrokerSettings(url=SecretStr("redis://127.0.0.1:1/0"))
    runtime = factories.runtime(sessions, keys, broker=broker, relays=RELAYS)
    bell.attach_bell(runtime)
    broadcast_id = factories.sending(sessions, ["ada@example.org"])
    assert len(factories.deliveries(sessions, broadcast_id)) == 1


def test_no_secret_travels_with_a_task(keys: TokenKeys, sessions: Sessions) -> None:
    settings = factories.settings(broker=BrokerSettings(url=SecretStr("redis://x")), relays=RELAYS)
    app: Celery = create_app(settings)
    assert app.conf.accept_content == ["json"]
    assert app.conf.task_ignore_result
    assert app.conf.worker_concurrency == 16


def test_a_mailbox_is_polled_by_the_beat_where_one_is_kept() -> None:
    broker = BrokerSettings(url=SecretStr("redis://x"))
    mailbox = SecretStr("imaps://ada:a-password@mail.example.org")
    for bounces, polled in (
        (BounceSettings(), False),
        (BounceSettings(mailbox=mailbox), False),
        (BounceSettings(domain="example.org", mailbox=mailbox), True),
    ):
        schedule = create_app(factories.settings(broker=broker, bounces=bounces)).conf.beat_schedule
        assert ("mailbox" in schedule) == polled


def test_the_embedded_sender_hears_of_new_work_at_once(
    sessions: Sessions, keys: TokenKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("newsletter.jobs.embedded.PERIOD_SECONDS", 60)  # only the bell can tell
    relay, runtime = MemoryTransport(), factories.runtime(sessions, keys)
    with sending(runtime, [relay]):
        time.sleep(0.3)
        factories.sending(sessions, ["ada@example.org", "bob@example.org"])
        wait_until(lambda: len(relay.accepted) == 2)
    assert {to for to, _ in relay.accepted} == {"ada@example.org", "bob@example.org"}


def test_of_two_embedded_senders_one_sends(sessions: Sessions, keys: TokenKeys) -> None:
    runtime = factories.runtime(sessions, keys)
    relays = [MemoryTransport(), MemoryTransport()]
    broadcast_id = factories.sending(sessions, [f"r{n}@example.org" for n in range(50)])
    with sending(runtime, relays[:1]), sending(runtime, relays[1:]):
        wait_until(
            lambda: all(
                row.state is DeliveryState.ACCEPTED
                for row in factories.deliveries(sessions, broadcast_id).values()
            )
        )
    assert sorted(len(relay.accepted) for relay in relays) == [0, 50]


def test_a_sender_that_fails_once_goes_on(
    sessions: Sessions, keys: TokenKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("newsletter.jobs.embedded.PERIOD_SECONDS", 0.1)
    failed = threading.Event()

    class Flaky(MemoryTransport):
        async def connect(self) -> Connection:
            if not failed.is_set():
                failed.set()
                raise ValueError("a defect of ours")
            return await super().connect()

    relay = Flaky()
    factories.sending(sessions, ["ada@example.org"])
    with sending(factories.runtime(sessions, keys), [relay]):
        wait_until(lambda: len(relay.accepted) == 1)
    assert failed.is_set()


def test_a_stop_does_not_wait_for_the_next_sweep(
    sessions: Sessions, keys: TokenKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("newsletter.jobs.embedded.PERIOD_SECONDS", 30)
    relay = MemoryTransport()
    factories.sending(sessions, ["ada@example.org"])
    with sending(factories.runtime(sessions, keys), [relay]):
        wait_until(lambda: len(relay.accepted) == 1)
        wait_until(lambda: has_ended(sessions))
        began = time.monotonic()
    assert time.monotonic() - began < 15


def has_ended(sessions: Sessions) -> bool:
    with sessions.reading() as session:
        return session.scalars(select(Broadcast.state)).one() is BroadcastState.DONE


@contextmanager
def lease_statements(sessions: Sessions) -> Iterator[list[str]]:
    """What is asked and written about leases meanwhile, over these connections."""
    asked: list[str] = []

    def keep(*details: Any) -> None:
        if "leases" in details[2]:
            asked.append(details[2])

    event.listen(sessions.engine, "before_cursor_execute", keep)
    yield asked
    event.remove(sessions.engine, "before_cursor_execute", keep)


def test_a_process_that_may_not_send_waits_without_asking_on_and_on(
    sessions: Sessions, keys: TokenKeys
) -> None:
    """Another process is the sender; its own bell may have it ask once more."""
    other = connect(sessions.engine.url.render_as_string(hide_password=False))
    relays = [MemoryTransport(), MemoryTransport()]
    with sending(factories.runtime(sessions, keys), relays[:1]):
        factories.sending(sessions, ["ada@example.org"])
        wait_until(lambda: len(relays[0].accepted) == 1)
        with lease_statements(other) as asked, sending(factories.runtime(other, keys), relays[1:]):
            factories.sending(
                other,
                ["bob@example.org"],
                factories.MARKDOWN.replace("field-notes", "night-notes"),
                "Evenings",
            )
            time.sleep(2)
            assert 1 <= len(asked) <= 6, "three times at most: a look and a try each"
        wait_until(lambda: len(relays[0].accepted) == 2)
    assert relays[1].accepted == []
    other.engine.dispose()


@pytest.mark.parametrize("work", ["broadcast", "outbox"])
def test_a_dead_relay_is_not_connected_to_in_a_tight_loop(
    sessions: Sessions, keys: TokenKeys, work: str
) -> None:
    relay = Counting(refuse_connections=parse_reply(421, "4.3.2 later"))
    with sending(factories.runtime(sessions, keys), [relay]):
        if work == "broadcast":
            factories.sending(sessions, ["ada@example.org"])
        else:
            with sessions.writing() as session:
                system_mail.enqueue(
                    session,
                    key="x",
                    kind="test",
                    sender="editor@example.org",
                    to="ada@example.org",
                    wire=b"Subject: x\r\n\r\nx\r\n",
                )
        wait_until(lambda: relay.connects > 0)
        time.sleep(3)
        assert relay.connects <= 3
