"""Many requests at the same moment, over a real server: all answered, and the sender goes on."""

import http.client
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from sqlalchemy import func, select

from newsletter.broadcasts.models import Broadcast
from newsletter.cli.serve import listen_locally, serving
from newsletter.core.db import Sessions
from newsletter.core.tokens import TokenKeys
from newsletter.rendering.mail_tokens import Door, LeaveToken, TrackingToken
from newsletter.tracking.models import Event, EventKind
from newsletter.tracking.recording import MOST_ROWS
from subscribers.models import Subscription, SubscriptionStatus
from tests import factories

AT_ONCE = 100


@pytest.fixture
def port(sessions: Sessions, keys: TokenKeys) -> Iterator[int]:
    listening = listen_locally()
    with serving(factories.runtime(sessions, keys), listening):
        number: int = listening.getsockname()[1]
        yield number


def ask(port: int, method: str, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, headers={"User-Agent": "Mozilla/5.0 Firefox/140.0"})
        return connection.getresponse().status
    finally:
        connection.close()


def all_at_once(asks: Sequence[Callable[[], int]]) -> Counter[int]:
    """Every caller waits for the last one, then all ask."""
    start = threading.Barrier(len(asks))

    def one(call: Callable[[], int]) -> int:
        start.wait()
        return call()

    with ThreadPoolExecutor(len(asks)) as pool:
        return Counter(pool.map(one, asks))


def test_a_hundred_requests_at_once_are_all_answered(
    sessions: Sessions, keys: TokenKeys, port: int
) -> None:
    broadcast_id = factories.sending(sessions, [f"r{n}@example.org" for n in range(AT_ONCE)])
    with sessions.reading() as session:
        newsletter_id = session.get_one(Broadcast, broadcast_id).issue.newsletter_id
    asks = []
    for number, row in enumerate(factories.deliveries(sessions, broadcast_id).values()):
        tracked = TrackingToken(broadcast_id, row.id).mint(keys)
        left = LeaveToken(Door.HEADER, newsletter_id, row.subscriber_id, broadcast_id, row.id)
        method, path = [
            ("GET", f"/o/{tracked}.gif"),
            ("GET", f"/c/{tracked}/1"),
            ("POST", f"/u/{left.mint(keys)}"),
            ("GET", f"/u/{left.mint(keys)}"),
        ][number % 4]
        asks.append(partial(ask, port, method, path))
    assert all_at_once(asks) == {200: 75, 302: 25}
    with sessions.writing() as session:
        kinds = Counter(session.scalars(select(Event.kind)))
        gone = select(func.count()).where(Subscription.status == SubscriptionStatus.UNSUBSCRIBED)
        assert session.scalar(gone) == 25
    assert kinds == {EventKind.OPEN: 25, EventKind.CLICK: 25, EventKind.UNSUBSCRIBE: 25}


def test_the_cap_holds_when_everybody_comes_at_once(
    sessions: Sessions, keys: TokenKeys, port: int
) -> None:
    """Over two processes' worth of web servers, since each takes its own hits in turn."""
    broadcast_id = factories.sending(sessions, ["ada@example.org"])
    (row,) = factories.deliveries(sessions, broadcast_id).values()
    path = f"/o/{TrackingToken(broadcast_id, row.id).mint(keys)}.gif"
    other = listen_locally()
    ports = [port, other.getsockname()[1]]
    with serving(factories.runtime(sessions, keys), other):
        for _ in range(4):
            asks = [partial(ask, ports[n % 2], "GET", path) for n in range(60)]
            assert all_at_once(asks) == {200: 60}
    with sessions.reading() as session:
        rows, hits = session.execute(select(func.count(), func.sum(Event.hits))).one()
    assert (rows, hits) == (MOST_ROWS, 240)


def test_a_database_that_stays_busy_is_a_503_that_says_when_to_come_back(
    sessions: Sessions, keys: TokenKeys, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if sessions.dialect != "sqlite":
        pytest.skip("PostgreSQL has no such queue")
    monkeypatch.setattr("newsletter.core.db.BUSY_TIMEOUT_SECONDS", 0.2)
    broadcast_id = factories.sending(sessions, ["ada@example.org"])
    (row,) = factories.deliveries(sessions, broadcast_id).values()
    path = f"/o/{TrackingToken(broadcast_id, row.id).mint(keys)}.gif"
    with sessions.writing():
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("GET", path)
        answer = connection.getresponse()
        assert (answer.status, answer.headers["Retry-After"]) == (503, "30")
        assert b"Please try again" in answer.read()
        connection.close()
    assert ask(port, "GET", path) == 200
