"""The send loop over a relay in memory that refuses, hangs up and loses replies on demand."""

import asyncio
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
import time_machine

from newsletter.broadcasts import accounting, control
from newsletter.broadcasts.accounting import Accounting
from newsletter.broadcasts.models import Broadcast, BroadcastState, DeliveryState, PauseReason
from newsletter.core.clock import now
from newsletter.core.db import Sessions
from newsletter.core.runtime import Runtime
from newsletter.core.sections import DeliverySettings
from newsletter.core.sentences import quoted
from newsletter.core.tokens import TokenKeys
from newsletter.mail.headers import HeaderError
from newsletter.mail.replies import parse_reply
from newsletter.mail.smtp import Envelope, Exchange
from newsletter.rendering.message import PreparedMail, personalise
from newsletter.sending import relays
from newsletter.sending.dispatch import Dispatch
from newsletter.sending.feed import prepared_mail
from newsletter.sending.memory import HangUp, MemoryTransport
from newsletter.sending.transport import Connection
from subscribers import suppressions
from subscribers.models import SuppressionReason
from subscribers.recipient import Recipient
from tests import factories

PEOPLE = [f"{name}@example.org" for name in ("ada", "bob", "cyd", "dan", "eva")]


@pytest.fixture
def runtime(sessions: Sessions, keys: TokenKeys) -> Runtime:
    prepared_mail.cache_clear()
    retries = DeliverySettings(retry_after_seconds=(3600,))
    return factories.runtime(sessions, keys, delivery=retries)


def accounts(runtime: Runtime, broadcast_id: int) -> Accounting:
    with runtime.sessions.reading() as session:
        return accounting.account(session, broadcast_id)


def state(runtime: Runtime, broadcast_id: int) -> BroadcastState:
    with runtime.sessions.reading() as session:
        return session.get_one(Broadcast, broadcast_id).state


def reached(relay: MemoryTransport) -> Counter[str]:
    return Counter(recipient for recipient, _ in relay.accepted)


def test_everybody_gets_the_mail_once_and_the_broadcast_is_done(runtime: Runtime) -> None:
    broadcast_id = factories.sending(runtime.sessions, PEOPLE)
    relay = factories.memory()
    assert factories.deliver(runtime, relay, broadcast_id) is False
    assert reached(relay) == Counter(PEOPLE)
    assert state(runtime, broadcast_id) is BroadcastState.DONE
    assert factories.deliver(runtime, relay, broadcast_id) is False
    assert reached(relay) == Counter(PEOPLE)
    assert all(f"To: {to}\r\n".encode() in wire for to, wire in relay.accepted)


def test_refusals_are_failures_with_their_reply(runtime: Runtime) -> None:
    broadcast_id = factories.sending(runtime.sessions, PEOPLE)
    relay = factories.memory(
        ada=[parse_reply(550, "5.1.1 User unknown")],
        bob=[parse_reply(554, "5.7.1 Not here")],
        cyd=[parse_reply(550, "5.2.1 Disabled")],
        dan=[parse_reply(451, "4.7.1 Greylisted")],
    )
    factories.deliver(runtime, relay, broadcast_id)
    found = accounts(runtime, broadcast_id)
    assert (found.accepted, found.failed, found.open, found.gap) == (1, 3, 1, 0)
    rows = factories.deliveries(runtime.sessions, broadcast_id)
    assert (rows[PEOPLE[0]].reply_code, rows[PEOPLE[0]].reason) == (550, "gone")
    assert rows[PEOPLE[1]].reason == "refused"
    assert (rows[PEOPLE[3]].state, rows[PEOPLE[3]].attempt) == (DeliveryState.PENDING, 1)
    with runtime.sessions.reading() as session:
        assert suppressions.is_suppressed(session, PEOPLE[0])
        assert not any(suppressions.is_suppressed(session, a) for a in PEOPLE[1:])


def test_a_connection_lost_before_the_dot_costs_nothing(runtime: Runtime) -> None:
    broadcast_id = factories.sending(runtime.sessions, PEOPLE)
    relay = factories.memory(bob=[HangUp(after_dot=False)])
    factories.deliver(runtime, relay, broadcast_id)
    rows = factories.deliveries(runtime.sessions, broadcast_id)
    assert (rows[PEOPLE[1]].state, rows[PEOPLE[1]].attempt) == (DeliveryState.PENDING, 0)
    assert reached(relay) == Counter([PEOPLE[0], *PEOPLE[2:]]), "another connection goes on"
    assert {row.lease_token for row in rows.values()} == {None}


def test_a_reply_lost_after_the_dot_is_doubt_and_never_offered_again(runtime: Runtime) -> None:
    broadcast_id = factories.sending(runtime.sessions, PEOPLE)
    relay = factories.memory(bob=[HangUp(after_dot=True)])
    factories.deliver(runtime, relay, broadcast_id)
    factories.deliver(runtime, relay, broadcast_id)
    assert reached(relay) == Counter(PEOPLE)
    found = accounts(runtime, broadcast_id)
    assert (found.accepted, found.in_doubt, found.gap) == (4, 1, 0)
    assert state(runtime, broadcast_id) is BroadcastState.DONE


def test_a_relay_in_trouble_burns_nobodys_attempt(runtime: Runtime) -> None:
    broadcast_id = factories.sending(runtime.sessions, PEOPLE)
    relay = factories.memory(ada=[parse_reply(421, "4.3.2 closing")])
    factories.deliver(runtime, relay, broadcast_id)
    assert reached(relay) == Counter(PEOPLE[1:])
    assert factories.deliveries(runtime.sessions, broadcast_id)[PEOPLE[0]].attempt == 0
    assert state(runtime, broadcast_id) is BroadcastState.SENDING


def test_a_relay_that_lets_nobody_in_gets_a_rest_and_everything_is_given_back(
    runtime: Runtime,
) -> None:
    broadcast_id = factories.sending(runtime.sessions, PEOPLE)
    relay = factories.memory()
    relay.refuse_connections = parse_reply(421, "4.3.2 come back later")
    with runtime.sessions.writing() as session:
        for _ in range(4):
            relays.faulted(session, relay.name, "earlier", now())
    assert factories.deliver(runtime, relay, broadcast_id) is False
    rows = factories.deliveries(runtime.sessions, broadcast_id).values()
    assert {(row.state, row.attempt) for row in rows} == {(DeliveryState.PENDING, 0)}
    relay.refuse_connections = None
    assert factories.deliver(runtime, relay, broadcast_id) is False
    assert relay.accepted == [], "the breaker is open"
    with time_machine.travel(now() + timedelta(seconds=31), tick=True):
        factories.deliver(runtime, relay, broadcast_id)
    assert reached(relay) == Counter(PEOPLE), "one probe, then everybody"


@pytest.mark.parametrize("moment", ["connecting", "offering"])
def test_our_own_mistake_pauses_for_somebody_to_see(runtime: Runtime, moment: str) -> None:
    broadcast_id = factories.sending(runtime.sessions, PEOPLE)
    refusal = parse_reply(535, "5.7.8 Authentication failed")
    relay = factories.memory() if moment == "connecting" else factories.memory(ada=[refusal])
    relay.refuse_connections = refusal if moment == "connecting" else None
    factories.deliver(runtime, relay, broadcast_id)
    with runtime.sessions.reading() as session:
        broadcast = session.get_one(Broadcast, broadcast_id)
    assert broadcast.state is BroadcastState.PAUSED
    assert broadcast.pause_reason is PauseReason.BREAKER
    assert "Authentication failed" in broadcast.pause_detail
    with runtime.sessions.writing() as session:
        control.resume(session, broadcast_id)
        for row in factories.deliveries(runtime.sessions, broadcast_id).values():
            assert row.state is DeliveryState.PENDING


@dataclass
class Slow:
    """A connection that tells when a message was accepted, and waits before the next."""

    connection: Connection
    taken: Callable[[], None]
    handed_in: int = 0

    async def exchange(self, body: bytes | None, envelope: Envelope | None) -> Exchange:
        exchange = await self.connection.exchange(body, envelope)
        if exchange.verdict:
            self.handed_in += 1
            if self.handed_in == 2:
                self.taken()
        await asyncio.sleep(0.02)
        return exchange

    async def close(self) -> None:
        await self.connection.close()

    def abort(self) -> None:
        self.connection.abort()


def test_a_stop_gives_everything_back(runtime: Runtime) -> None:
    broadcast_id = factories.sending(runtime.sessions, PEOPLE)

    class Relay(MemoryTransport):
        async def connect(self) -> Connection:
            return Slow(await super().connect(), stop)

    def stop() -> None:
        dispatch.stop()

    relay = Relay()
    delivery = runtime.settings.delivery.model_copy(update={"connections": 1})
    settings = runtime.settings.model_copy(update={"delivery": delivery})
    with Dispatch(Runtime(settings, runtime.sessions, runtime.keys), [relay]) as dispatch:
        assert dispatch.deliver(broadcast_id) is True, "more is due"
    rows = factories.deliveries(runtime.sessions, broadcast_id).values()
    states = Counter(row.state for row in rows)
    assert states.keys() == {DeliveryState.ACCEPTED, DeliveryState.PENDING}
    assert states[DeliveryState.ACCEPTED] == len(relay.accepted) < len(PEOPLE)


def test_a_pause_in_the_middle_stops_at_once(runtime: Runtime) -> None:
    broadcast_id = factories.sending(runtime.sessions, PEOPLE)

    class Pausing(MemoryTransport):
        async def connect(self) -> Connection:
            with runtime.sessions.writing() as session:
                control.pause(session, broadcast_id, PauseReason.OPERATOR)
            return await super().connect()

    relay = Pausing()
    factories.deliver(runtime, relay, broadcast_id)
    assert relay.accepted == []
    rows = factories.deliveries(runtime.sessions, broadcast_id).values()
    assert {row.state for row in rows} == {DeliveryState.PENDING}


def test_who_leaves_meanwhile_is_skipped_and_the_others_go_on(runtime: Runtime) -> None:
    broadcast_id = factories.sending(runtime.sessions, PEOPLE)

    class Suppressing(MemoryTransport):
        async def connect(self) -> Connection:
            with runtime.sessions.writing() as session:
                reason = SuppressionReason.MANUAL
                suppressions.suppress(session, PEOPLE[2], reason=reason, source="test")
            return await super().connect()

    relay = Suppressing()
    factories.deliver(runtime, relay, broadcast_id)
    assert reached(relay) == Counter([*PEOPLE[:2], *PEOPLE[3:]])
    assert factories.deliveries(runtime.sessions, broadcast_id)[PEOPLE[2]].reason == "suppressed"
    assert state(runtime, broadcast_id) is BroadcastState.DONE


def test_many_connections_share_the_rows(runtime: Runtime) -> None:
    people = [f"reader{number}@example.org" for number in range(250)]
    broadcast_id = factories.sending(runtime.sessions, people)
    relay = factories.memory()
    assert factories.deliver(runtime, relay, broadcast_id, connections=16) is False
    assert reached(relay) == Counter(people)
    assert state(runtime, broadcast_id) is BroadcastState.DONE


def test_two_broadcasts_at_once_both_get_their_turn(runtime: Runtime) -> None:
    first = factories.sending(runtime.sessions, PEOPLE)
    text = factories.MARKDOWN.replace("field-notes", "night-notes")
    second = factories.sending(runtime.sessions, ["zoe@example.org"], text, "Evenings")
    relay = factories.memory()
    with Dispatch(runtime, [relay]) as dispatch, ThreadPoolExecutor(2) as pool:
        assert list(pool.map(dispatch.deliver, [first, second])) == [False, False]
    assert reached(relay) == Counter([*PEOPLE, "zoe@example.org"])


def test_a_relay_that_lets_nobody_in_is_replaced_by_the_next(runtime: Runtime) -> None:
    broadcast_id = factories.sending(runtime.sessions, PEOPLE)
    broken, well = factories.memory(), MemoryTransport(name="second")
    broken.refuse_connections = parse_reply(535, "5.7.8 Authentication failed")
    with Dispatch(runtime, [broken, well]) as dispatch:
        dispatch.deliver(broadcast_id)
    assert reached(well) == Counter(PEOPLE)
    assert state(runtime, broadcast_id) is BroadcastState.DONE


def test_a_message_that_cannot_be_made_fails_alone(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    broadcast_id = factories.sending(runtime.sessions, PEOPLE)

    def poisoned(mail: PreparedMail, recipient: Recipient, *rest: Any) -> bytes:
        if recipient.address == PEOPLE[1]:
            raise HeaderError("To", quoted("a value that no header can hold"))
        return personalise(mail, recipient, *rest)

    monkeypatch.setattr("newsletter.sending.lane.personalise", poisoned)
    relay = factories.memory()
    factories.deliver(runtime, relay, broadcast_id)
    rows = factories.deliveries(runtime.sessions, broadcast_id)
    assert (rows[PEOPLE[1]].state, rows[PEOPLE[1]].reason) == (
        DeliveryState.FAILED,
        "cannot be rendered",
    )
    assert reached(relay) == Counter([PEOPLE[0], *PEOPLE[2:]])
    assert state(runtime, broadcast_id) is BroadcastState.DONE


def test_a_defect_of_ours_ends_a_connection_and_leaves_one_row_to_look_at(
    runtime: Runtime,
) -> None:
    """What comes after is as after kill -9 of that connection alone."""
    broadcast_id = factories.sending(runtime.sessions, PEOPLE)
    crashed: list[bytes] = []

    class Crashing(MemoryTransport):
        async def connect(self) -> Connection:
            connection = await super().connect()
            if crashed:
                return connection
            return Failing(connection, crashed)

    relay = Crashing()
    for _ in range(2):  # what is given back while a slice ends is the next one's
        factories.deliver(runtime, relay, broadcast_id)
    rows = factories.deliveries(runtime.sessions, broadcast_id).values()
    states = Counter(row.state for row in rows)
    assert states == {DeliveryState.ACCEPTED: 4, DeliveryState.SENDING: 1}
    assert len(crashed) == 1
    assert max(reached(relay).values()) == 1


@dataclass
class Failing:
    """A connection whose third body is never handed in: a defect takes its place."""

    connection: Connection
    crashed: list[bytes]
    left: int = 2

    async def exchange(self, body: bytes | None, envelope: Envelope | None) -> Exchange:
        if body is not None:
            if not self.left:
                self.crashed.append(body)
                raise ValueError("a defect of ours")
            self.left -= 1
        return await self.connection.exchange(body, envelope)

    async def close(self) -> None:
        await self.connection.close()

    def abort(self) -> None:
        self.connection.abort()
