"""The send loop over a relay in memory that refuses, hangs up and loses replies on demand."""

from collections import Counter
from dataclasses import dataclass

import pytest

from newsletter.broadcasts import accounting, control
from newsletter.broadcasts.accounting import Accounting
from newsletter.broadcasts.models import Broadcast, BroadcastState, DeliveryState, PauseReason
from newsletter.core.config import DeliverySettings
from newsletter.core.db import Sessions
from newsletter.core.runtime import Runtime
from newsletter.core.tokens import TokenKeys
from newsletter.mail.replies import Reply, parse_reply
from newsletter.sending.dispatch import deliver_slice, prepared_mail
from newsletter.sending.memory import HangUp, MemoryTransport
from newsletter.sending.transport import Connection, Envelope
from subscribers import suppressions
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
    assert deliver_slice(runtime, relay, broadcast_id) is False
    assert reached(relay) == Counter(PEOPLE)
    assert state(runtime, broadcast_id) is BroadcastState.DONE
    assert deliver_slice(runtime, relay, broadcast_id) is False
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
    deliver_slice(runtime, relay, broadcast_id)
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
    deliver_slice(runtime, relay, broadcast_id)
    rows = factories.deliveries(runtime.sessions, broadcast_id)
    assert (rows[PEOPLE[1]].state, rows[PEOPLE[1]].attempt) == (DeliveryState.PENDING, 0)
    assert reached(relay) == Counter(PEOPLE[:1])
    assert {row.lease_token for row in rows.values()} == {None}


def test_a_reply_lost_after_the_dot_is_doubt_and_never_offered_again(runtime: Runtime) -> None:
    broadcast_id = factories.sending(runtime.sessions, PEOPLE)
    relay = factories.memory(bob=[HangUp(after_dot=True)])
    deliver_slice(runtime, relay, broadcast_id)
    deliver_slice(runtime, relay, broadcast_id)
    assert reached(relay) == Counter(PEOPLE)
    found = accounts(runtime, broadcast_id)
    assert (found.accepted, found.in_doubt, found.gap) == (4, 1, 0)
    assert state(runtime, broadcast_id) is BroadcastState.DONE


def test_a_relay_in_trouble_burns_nobodys_attempt(runtime: Runtime) -> None:
    broadcast_id = factories.sending(runtime.sessions, PEOPLE)
    relay = factories.memory(ada=[parse_reply(421, "4.3.2 closing")])
    deliver_slice(runtime, relay, broadcast_id)
    assert reached(relay) == Counter()
    assert {r.attempt for r in factories.deliveries(runtime.sessions, broadcast_id).values()} == {0}
    assert state(runtime, broadcast_id) is BroadcastState.SENDING


@pytest.mark.parametrize("moment", ["connecting", "offering"])
def test_our_own_mistake_pauses_for_somebody_to_see(runtime: Runtime, moment: str) -> None:
    broadcast_id = factories.sending(runtime.sessions, PEOPLE)
    refusal = parse_reply(535, "5.7.8 Authentication failed")
    relay = factories.memory() if moment == "connecting" else factories.memory(ada=[refusal])
    relay.refuse_connections = refusal if moment == "connecting" else None
    deliver_slice(runtime, relay, broadcast_id)
    with runtime.sessions.reading() as session:
        broadcast = session.get_one(Broadcast, broadcast_id)
    assert broadcast.state is BroadcastState.PAUSED
    assert broadcast.pause_reason is PauseReason.BREAKER
    assert "Authentication failed" in broadcast.pause_detail
    with runtime.sessions.writing() as session:
        control.resume(session, broadcast_id)
        for row in factories.deliveries(runtime.sessions, broadcast_id).values():
            assert row.state is DeliveryState.PENDING


def test_a_stop_gives_everything_back(runtime: Runtime) -> None:
    broadcast_id = factories.sending(runtime.sessions, PEOPLE)
    relay = factories.memory()
    assert deliver_slice(runtime, relay, broadcast_id, stop=lambda: len(relay.accepted) >= 2)
    rows = factories.deliveries(runtime.sessions, broadcast_id).values()
    assert Counter(row.state for row in rows) == {
        DeliveryState.ACCEPTED: 2,
        DeliveryState.PENDING: 3,
    }


def test_a_pause_in_the_middle_stops_at_once(runtime: Runtime) -> None:
    broadcast_id = factories.sending(runtime.sessions, PEOPLE)

    class Pausing(MemoryTransport):
        def connect(self) -> Connection:
            with runtime.sessions.writing() as session:
                control.pause(session, broadcast_id, PauseReason.OPERATOR)
            return super().connect()

    relay = Pausing()
    deliver_slice(runtime, relay, broadcast_id)
    assert relay.accepted == []
    rows = factories.deliveries(runtime.sessions, broadcast_id).values()
    assert {row.state for row in rows} == {DeliveryState.PENDING}


class PowerCutError(BaseException):
    """Nothing of ours catches it: what comes after is as after kill -9."""


@dataclass
class Dying:
    """A connection over which the third message is never answered: the process is gone."""

    connection: Connection
    left: int = 2

    def send(self, envelope: Envelope, wire: bytes) -> Reply:
        if not self.left:
            raise PowerCutError
        self.left -= 1
        return self.connection.send(envelope, wire)

    def close(self) -> None:
        self.connection.close()


def test_a_crash_in_the_middle_leaves_one_row_in_flight(runtime: Runtime) -> None:
    broadcast_id = factories.sending(runtime.sessions, PEOPLE)

    class Crashing(MemoryTransport):
        def connect(self) -> Connection:
            return Dying(super().connect())

    with pytest.raises(PowerCutError):
        deliver_slice(runtime, Crashing(), broadcast_id)
    rows = factories.deliveries(runtime.sessions, broadcast_id).values()
    assert [row.state for row in rows] == [
        *[DeliveryState.ACCEPTED] * 2,
        DeliveryState.SENDING,
        *[DeliveryState.PENDING] * 2,
    ]
