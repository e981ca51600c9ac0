"""The doorbell: rings carry ids, a dead broker costs nothing, one process sends when embedded."""

import threading
import time
from collections.abc import Callable

import pytest
from celery import Celery
from pydantic import SecretStr

from newsletter.broadcasts.models import DeliveryState
from newsletter.core.config import BrokerSettings, RelaySettings
from newsletter.core.db import Sessions
from newsletter.core.tokens import TokenKeys
from newsletter.jobs import bell
from newsletter.jobs.celery import DELIVER_SLICE, create_app
from newsletter.jobs.embedded import sending
from newsletter.sending.memory import MemoryTransport
from newsletter.sending.transport import Connection
from tests import factories

RELAYS = (RelaySettings(name="main", url=SecretStr("smtp://127.0.0.1?tls=none"), connections=3),)


def test_a_ring_is_one_small_message_per_connection(
    sessions: Sessions, keys: TokenKeys, redis_url: str
) -> None:
    broker = BrokerSettings(url=SecretStr(redis_url))
    runtime = factories.runtime(sessions, keys, broker=broker, relays=RELAYS)
    app = create_app(runtime.settings)
    heard = []
    with app.connection_for_read() as connection:
        queue = connection.SimpleQueue("celery")
        queue.clear()
        bell.ring(app, runtime, 7)
        for _ in range(3):
            message = queue.get(timeout=5)
            heard.append((message.headers["task"], message.payload[0]))
            message.ack()
        with pytest.raises(queue.Empty):
            queue.get(block=False)
        queue.close()
    assert heard == [(DELIVER_SLICE, [7])] * 3


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
    assert app.conf.worker_concurrency == 5


def wait_until(done: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_the_embedded_sender_hears_of_new_work_at_once(
    sessions: Sessions, keys: TokenKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("newsletter.jobs.embedded.PERIOD_SECONDS", 60)  # only the bell can tell
    relay, runtime = MemoryTransport(), factories.runtime(sessions, keys)
    with sending(runtime, relay):
        time.sleep(0.3)
        factories.sending(sessions, ["ada@example.org", "bob@example.org"])
        wait_until(lambda: len(relay.accepted) == 2)
    assert {to for to, _ in relay.accepted} == {"ada@example.org", "bob@example.org"}


def test_of_two_embedded_senders_one_sends(sessions: Sessions, keys: TokenKeys) -> None:
    runtime = factories.runtime(sessions, keys)
    relays = [MemoryTransport(), MemoryTransport()]
    broadcast_id = factories.sending(sessions, [f"r{n}@example.org" for n in range(50)])
    with sending(runtime, relays[0]), sending(runtime, relays[1]):
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
        def connect(self) -> Connection:
            if not failed.is_set():
                failed.set()
                raise ValueError("a defect of ours")
            return super().connect()

    relay = Flaky()
    factories.sending(sessions, ["ada@example.org"])
    with sending(factories.runtime(sessions, keys), relay):
        wait_until(lambda: len(relay.accepted) == 1)
    assert failed.is_set()
