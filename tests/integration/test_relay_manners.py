"""What a relay can bear: connections over all workers, a rate, slow domains, short connections."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import cast

import pytest
from pydantic import SecretStr
from sqlalchemy import select

from newsletter.broadcasts.models import Broadcast, BroadcastState, DeliveryState
from newsletter.core.clock import now
from newsletter.core.db import Sessions
from newsletter.core.runtime import Runtime
from newsletter.core.sections import RelaySettings
from newsletter.core.tokens import TokenKeys
from newsletter.mail.replies import parse_reply
from newsletter.sending import port, relays
from newsletter.sending.breaker import FIRST_OPEN_FOR
from newsletter.sending.dispatch import Dispatch
from newsletter.sending.feed import prepared_mail
from newsletter.sending.lane import Lane
from newsletter.sending.memory import MemoryTransport
from newsletter.sending.models import Lease
from newsletter.sending.port import RelayPort
from newsletter.sending.ratelimit import Grant, Limit, domain_bucket, relay_bucket
from newsletter.sending.ratelimit_memory import MemoryLimiter
from newsletter.sending.smtp_transport import SmtpTransport
from tests import factories
from tests.odd_relays import Counting, Stingy, refusing
from tests.smtp_server import Moment, SmtpServer, Step

TOO_FAST = parse_reply(451, "4.7.1 rate limited, slow down")
UNTIL_RECOVERED = 100
"""Seconds, at a hundredth of the full rate each."""


@pytest.fixture(autouse=True)
def _nothing_prepared() -> None:
    prepared_mail.cache_clear()


def a_runtime(sessions: Sessions, keys: TokenKeys, **of_relay: object) -> Runtime:
    relay = RelaySettings.model_validate({"name": "memory", "url": SecretStr("x"), **of_relay})
    return factories.runtime(sessions, keys, relays=(relay,))


def readers(count: int, domain: str = "example.org") -> list[str]:
    return [f"reader{number}@{domain}" for number in range(count)]


def reached(*transports: MemoryTransport) -> Counter[str]:
    return Counter(to for transport in transports for to, _ in transport.accepted)


def is_done(sessions: Sessions, broadcast_id: int) -> bool:
    with sessions.reading() as session:
        return session.get_one(Broadcast, broadcast_id).state is BroadcastState.DONE


def poll(done: Callable[[], bool], act: Callable[[], object], seconds: float = 30) -> None:
    """Act until it is done."""
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end
        act()
        time.sleep(0.05)


# Connections.


def test_two_processes_together_hold_no_more_connections_than_the_relay_allows(
    sessions: Sessions, keys: TokenKeys
) -> None:
    broadcast_id = factories.sending(sessions, readers(300))
    runtime = a_runtime(sessions, keys, connections=3)
    relay = Counting(pace_seconds=0.01)
    with (
        Dispatch(runtime, [relay]) as one,
        Dispatch(runtime, [relay]) as other,
        ThreadPoolExecutor(2) as pool,
    ):

        def both() -> None:
            list(pool.map(lambda dispatch: dispatch.deliver(broadcast_id), (one, other)))

        poll(lambda: is_done(sessions, broadcast_id), both)
    assert reached(relay) == Counter(readers(300))
    assert 1 < relay.most <= 3
    assert relay.open == 0
    with sessions.reading() as session:
        assert session.scalars(select(Lease.name)).all() == [], "slots are given back"


class Idle:
    """A lane without work."""

    async def run(self) -> None:
        """End at once."""


def test_a_slot_is_promised_to_one_lane_only(sessions: Sessions) -> None:
    settings = RelaySettings(name="memory", url=SecretStr("x"), connections=1)

    async def act() -> int:
        port = RelayPort(
            MemoryTransport(), settings, 30, sessions, MemoryLimiter(), asyncio.to_thread
        )
        has_slot = asyncio.Event()
        port.on_change = has_slot.set
        assert port.room(1) == 0
        async with asyncio.timeout(10):
            await has_slot.wait()
        assert port.room(1) == 1
        carried = port.carry(cast("Lane", Idle()))
        room = port.room(1)
        await carried
        await port.close()
        return room

    assert asyncio.run(act()) == 0


def test_one_process_opens_no_more_than_its_own_share(sessions: Sessions, keys: TokenKeys) -> None:
    broadcast_id = factories.sending(sessions, readers(100))
    relay = Counting(pace_seconds=0.005)
    runtime = a_runtime(sessions, keys, connections=50)
    factories.deliver(runtime, relay, broadcast_id, connections=2)
    assert reached(relay) == Counter(readers(100))
    assert relay.most <= 2


def test_too_many_messages_on_a_connection_is_learned_and_everybody_gets_the_mail_once(
    sessions: Sessions, keys: TokenKeys
) -> None:
    broadcast_id = factories.sending(sessions, readers(20))
    relay, runtime = Stingy(), a_runtime(sessions, keys)
    with Dispatch(runtime, [relay]) as dispatch:
        poll(lambda: is_done(sessions, broadcast_id), lambda: dispatch.deliver(broadcast_id))
    assert reached(relay) == Counter(readers(20))
    assert max(connection.taken for connection in relay.connections) == 3
    rows = factories.deliveries(sessions, broadcast_id).values()
    assert {(row.state, row.attempt) for row in rows} == {(DeliveryState.ACCEPTED, 1)}
    (settings,) = runtime.settings.relays
    with sessions.reading() as session:
        assert relays.limits(session, settings, now()).messages_per_connection == 3
        (status,) = relays.list_relays(session, [settings], now())
    assert status.state == "closed", "a used-up connection is no fault"


@pytest.mark.parametrize(
    "step", [Step(Moment.RCPT, "421 4.7.0 Go away"), Step(Moment.RCPT)], ids=["421", "silence"]
)
def test_one_recipient_at_whom_the_relay_hangs_up_holds_nobody_else_up(
    sessions: Sessions, keys: TokenKeys, step: Step
) -> None:
    people = readers(5)
    broadcast_id = factories.sending(sessions, people)
    with SmtpServer() as server:
        server.always(people[0], step)
        url = SecretStr(f"smtp://127.0.0.1:{server.port}?tls=none")
        transport = SmtpTransport(RelaySettings(name="main", url=url))
        factories.deliver(factories.runtime(sessions, keys), transport, broadcast_id)
    assert sorted(to for to, _ in server.accepted) == people[1:]
    row = factories.deliveries(sessions, broadcast_id)[people[0]]
    assert (row.state, row.attempt) == (DeliveryState.PENDING, 0)


# Rate.


@dataclass
class Recorded(MemoryLimiter):
    """A limiter whose grants are written down, with its own clock's time, and whom it slowed.

    Its time goes `speed` times as fast as ours, and may be put ahead.
    """

    speed: float = 1
    ahead: float = 0
    grants: list[tuple[float, int]] = field(default_factory=list)
    slowed: list[str] = field(default_factory=list)
    observed: list[float] = field(default_factory=list)
    given_back: int = 0

    def __post_init__(self) -> None:
        super().__init__(lambda: time.monotonic() * self.speed + self.ahead)

    async def throttled(self, bucket: str, limit: Limit, observed_per_second: float) -> None:
        self.slowed.append(bucket)
        self.observed.append(observed_per_second)
        await super().throttled(bucket, limit, observed_per_second)

    async def take(self, bucket: str, limit: Limit, want: int) -> Grant:
        moment = time.monotonic()
        grant = await super().take(bucket, limit, want)
        self.grants += [(moment, 1)] * grant.granted
        return grant

    async def give_back(self, bucket: str, unused: int) -> None:
        self.given_back += unused
        await super().give_back(bucket, unused)


def assert_within(times: list[float], per_second: float, burst: int) -> None:
    """In every window between two of them."""
    for first, began in enumerate(times):
        for last in range(first, len(times)):
            seconds = times[last] - began
            # What is granted came into being before it was asked for: a hundredth for rounding.
            assert last - first + 1 <= per_second * seconds + burst + 0.01 * per_second, seconds


def test_in_no_window_goes_more_than_the_rate_and_one_burst(
    sessions: Sessions, keys: TokenKeys
) -> None:
    broadcast_id = factories.sending(sessions, readers(70))
    runtime = a_runtime(sessions, keys, rate=20, burst=5, connections=4)
    relay, limiter = Counting(), Recorded()
    began = time.monotonic()
    with Dispatch(runtime, [relay], lambda _: limiter) as dispatch:
        poll(lambda: is_done(sessions, broadcast_id), lambda: dispatch.deliver(broadcast_id))
    assert reached(relay) == Counter(readers(70))
    granted, offered = [at for at, _ in limiter.grants], [at for at, _ in relay.envelopes]
    assert_within(granted, 20, 5)
    assert_within([began, *offered], 20, 5 + 5)  # a grant in hand, at most a burst, goes on top
    for number, at in enumerate(offered, start=1):
        assert number <= 20 * (at - began) + 5
        assert number <= sum(1 for given in granted if given <= at), "no offer without its right"


def test_a_worker_without_work_keeps_no_right_to_send(sessions: Sessions, keys: TokenKeys) -> None:
    broadcast_id = factories.sending(sessions, readers(3))
    runtime = a_runtime(sessions, keys, rate=20, burst=5)
    limiter = Recorded()
    with Dispatch(runtime, [Counting()], lambda _: limiter) as dispatch:
        poll(lambda: is_done(sessions, broadcast_id), lambda: dispatch.deliver(broadcast_id))
        poll(lambda: len(limiter.grants) - limiter.given_back == 3, lambda: None)
        assert len(limiter.grants) - limiter.given_back == 3


def test_a_relay_that_says_slow_down_is_offered_less_and_burns_no_attempt(
    sessions: Sessions, keys: TokenKeys
) -> None:
    people = readers(12)
    broadcast_id = factories.sending(sessions, people)
    relay = refusing(parse_reply(454, "Throttling failure: Maximum sending rate"), people[0])
    runtime, limiter = a_runtime(sessions, keys), Recorded(speed=10)
    with Dispatch(runtime, [relay], lambda _: limiter) as dispatch:
        poll(lambda: is_done(sessions, broadcast_id), lambda: dispatch.deliver(broadcast_id))
    assert reached(relay) == Counter(people)
    assert factories.deliveries(sessions, broadcast_id)[people[0]].attempt == 1
    assert set(limiter.slowed) == {relay_bucket("memory")}


# Domains.


@pytest.fixture
def _asked_again_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether a slowed domain may go on."""
    monkeypatch.setattr(port, "_POSTPONED_SECONDS", 1)


@pytest.mark.usefixtures("_asked_again_soon")
def test_a_domain_that_says_slow_down_waits_while_the_others_go_on(
    sessions: Sessions, keys: TokenKeys
) -> None:
    slow, others = readers(4, "slow.example"), readers(30)
    people = [slow[0], *others[:10], *slow[1:], *others[10:]]
    broadcast_id = factories.sending(sessions, people)
    relay, limiter = Counting(), Recorded()
    relay.script(slow[0], TOO_FAST)
    runtime = a_runtime(sessions, keys, connections=1)
    with Dispatch(runtime, [relay], lambda _: limiter) as dispatch:
        began = now()
        dispatch.deliver(broadcast_id)
        rows = factories.deliveries(sessions, broadcast_id)
        assert {rows[who].state for who in others} == {DeliveryState.ACCEPTED}
        assert [rows[who].attempt for who in slow] == [0] * 4, "nobody's attempt is burnt"
        assert {rows[who].state for who in slow} == {DeliveryState.PENDING}
        assert all(rows[who].due_at > began for who in slow)
        asked = [to for _, to in relay.envelopes if to in slow]
        assert asked == slow[:1], "the others of that domain were not even offered"
        assert limiter.slowed == [domain_bucket("memory", "slow.example")], "and not the relay"
        limiter.ahead += UNTIL_RECOVERED
        poll(lambda: is_done(sessions, broadcast_id), lambda: dispatch.deliver(broadcast_id))
    assert reached(relay) == Counter(people)


def test_a_domain_is_slowed_down_from_the_speed_that_it_was_sent_to(
    sessions: Sessions, keys: TokenKeys
) -> None:
    """Taken for one a second, a domain that bears hundreds would be offered half of one."""
    people = readers(60, "slow.example")
    broadcast_id = factories.sending(sessions, people)
    relay, limiter = Counting(), Recorded()
    relay.script(people[50], TOO_FAST)
    with Dispatch(a_runtime(sessions, keys), [relay], lambda _: limiter) as dispatch:
        dispatch.deliver(broadcast_id)
    assert limiter.observed[0] > 10


@pytest.mark.usefixtures("_asked_again_soon")
def test_several_domains_that_say_slow_down_mean_the_relay(
    sessions: Sessions, keys: TokenKeys
) -> None:
    slow = [f"ada@slow{number}.example" for number in range(3)]
    people = [*slow, *readers(10)]
    broadcast_id = factories.sending(sessions, people)
    relay, limiter = refusing(TOO_FAST, *slow), Recorded(speed=10)
    runtime = a_runtime(sessions, keys, connections=1)
    with Dispatch(runtime, [relay], lambda _: limiter) as dispatch:
        poll(lambda: is_done(sessions, broadcast_id), lambda: dispatch.deliver(broadcast_id))
    assert reached(relay) == Counter(people)
    domains = {domain_bucket("memory", address.partition("@")[2]) for address in slow}
    assert set(limiter.slowed) == {*domains, relay_bucket("memory")}


# The breaker.


def test_a_probe_that_succeeds_closes_the_breaker_though_the_relay_was_well_before(
    sessions: Sessions, keys: TokenKeys
) -> None:
    """Or everybody else would wait a minute each: one probe after the other, heard by nobody."""
    broadcast_id = factories.sending(sessions, readers(300))
    runtime = a_runtime(sessions, keys, connections=3)
    relay = Counting(pace_seconds=0.02)
    with Dispatch(runtime, [relay]) as dispatch, ThreadPoolExecutor(1) as pool:
        pool.submit(dispatch.deliver, broadcast_id)
        poll(lambda: len(relay.accepted) > 10, lambda: None)
        with sessions.writing() as session:
            over = now() - FIRST_OPEN_FOR
            relays.faulted(session, "memory", "530 not you", over, is_configuration=True)
        poll(lambda: is_done(sessions, broadcast_id), lambda: dispatch.deliver(broadcast_id))
    assert reached(relay) == Counter(readers(300))
