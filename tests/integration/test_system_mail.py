"""The outbox: a mail exists exactly when its cause was committed, and is sent once."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import pytest
import time_machine
from sqlalchemy import update

from newsletter.broadcasts.models import DeliveryState
from newsletter.core.clock import now
from newsletter.core.db import Sessions
from newsletter.core.tokens import TokenKeys
from newsletter.mail.replies import Reply, parse_reply
from newsletter.mail.smtp import Envelope, Exchange
from newsletter.sending import system_mail
from newsletter.sending.confirmation import ask_to_confirm
from newsletter.sending.memory import HangUp, MemoryTransport
from newsletter.sending.models import SystemMail
from newsletter.sending.system_mail import deliver_outbox
from newsletter.sending.transport import Connection
from subscribers import suppressions
from subscribers.models import EVERYWHERE, SuppressionReason
from tests import factories
from tests.outbox import WIRE, enqueue, outbox, states


def test_a_mail_is_sent_once_whatever_happens_again(sessions: Sessions, keys: TokenKeys) -> None:
    assert enqueue(sessions)
    assert not enqueue(sessions), "the same cause makes one mail"
    relay, runtime = factories.memory(), factories.runtime(sessions, keys)
    deliver_outbox(runtime, relay)
    deliver_outbox(runtime, relay)
    assert relay.accepted == [("ada@example.org", WIRE)]
    assert states(sessions) == [DeliveryState.ACCEPTED]


@pytest.mark.parametrize("key", ["ada@example.org", "@example.org"])
def test_who_was_suppressed_meanwhile_gets_no_letter_that_waits(
    sessions: Sessions, keys: TokenKeys, key: str
) -> None:
    for number in range(3):
        enqueue(sessions, f"ada {number}", "Ada@example.org", "welcome")
    enqueue(sessions, "bob", "bob@example.com", "welcome")
    enqueue(sessions, "a test send is asked for by name")
    with sessions.writing() as session:
        suppressions.suppress(
            session, key, reason=SuppressionReason.COMPLAINT, source="test", list_id=EVERYWHERE
        )
    relay = factories.memory()
    deliver_outbox(factories.runtime(sessions, keys), relay)
    assert [to for to, _ in relay.accepted] == ["bob@example.com", "ada@example.org"]
    assert states(sessions) == [DeliveryState.FAILED] * 3 + [DeliveryState.ACCEPTED] * 2
    with sessions.reading() as session:
        mail = session.get_one(SystemMail, 1)
    assert (mail.reason, mail.wire, mail.attempt, mail.lease_token) == ("suppressed", None, 0, None)


def test_a_cause_that_was_rolled_back_sends_nothing(sessions: Sessions, keys: TokenKeys) -> None:
    with sessions.writing(rehearse=True) as session:
        system_mail.enqueue(
            session, key="x", kind="test", sender="e@example.org", to="a@example.org", wire=WIRE
        )
    relay = factories.memory()
    deliver_outbox(factories.runtime(sessions, keys), relay)
    assert relay.accepted == []


def test_refusal_retry_and_doubt(sessions: Sessions, keys: TokenKeys) -> None:
    for name in ("ada", "bob", "cyd"):
        enqueue(sessions, name, f"{name}@example.org")
    relay = factories.memory(
        ada=[parse_reply(550, "5.1.1 unknown")],
        bob=[parse_reply(451, "4.7.1 later")],
        cyd=[HangUp(after_dot=True)],
    )
    deliver_outbox(factories.runtime(sessions, keys), relay)
    assert states(sessions) == [
        DeliveryState.FAILED,
        DeliveryState.PENDING,
        DeliveryState.IN_DOUBT,
    ]


def test_a_relay_that_is_away_is_waited_for(sessions: Sessions, keys: TokenKeys) -> None:
    enqueue(sessions)
    relay, runtime = factories.memory(), factories.runtime(sessions, keys)
    relay.refuse_connections = parse_reply(421, "4.3.2 later")
    deliver_outbox(runtime, relay)
    assert states(sessions) == [DeliveryState.PENDING]
    relay.refuse_connections = None
    deliver_outbox(runtime, relay)
    assert states(sessions) == [DeliveryState.ACCEPTED]


def test_a_confirmation_mail_holds_nothing_but_its_link(
    sessions: Sessions, keys: TokenKeys
) -> None:
    runtime = factories.runtime(sessions, keys)
    with sessions.writing() as session:
        issue = factories.stored_issue(session)
        readers = factories.a_list(session, issue=issue)
        person = factories.person(session, "ada@example.org", "Buy pills at https://evil.example")
        assert ask_to_confirm(session, runtime, person, readers, factories.EVIDENCE)
        again = ask_to_confirm(session, runtime, person, readers, factories.EVIDENCE)
        assert not again, "one a day"
    relay = factories.memory()
    deliver_outbox(runtime, relay)
    ((to, wire),) = relay.accepted
    assert to == "ada@example.org"
    assert b"/confirm/" in wire.replace(b"=\r\n", b"")
    assert b"evil" not in wire
    assert b"Auto-Submitted: auto-generated" in wire


class Meddling(MemoryTransport):
    """While a mail is on the wire, something else happens to its row."""

    def __init__(self, sessions: Sessions, **meanwhile: object) -> None:
        super().__init__()
        self._sessions = sessions
        self._meanwhile = meanwhile

    async def connect(self) -> Connection:
        return _Meddled(await super().connect(), self._meddle)

    def _meddle(self) -> None:
        with self._sessions.writing() as session:
            session.execute(update(SystemMail).values(**self._meanwhile))


@dataclass
class _Meddled:
    connection: Connection
    meddle: Callable[[], None]

    async def exchange(self, body: bytes | None, envelope: Envelope | None) -> Exchange:
        if body is not None:
            self.meddle()
        return await self.connection.exchange(body, envelope)

    async def close(self) -> None:
        await self.connection.close()

    def abort(self) -> None:
        self.connection.abort()


def test_a_mail_whose_sender_died_is_in_doubt_and_not_sent_again(
    sessions: Sessions, keys: TokenKeys
) -> None:
    enqueue(sessions)
    with sessions.writing() as session:
        past = now() - timedelta(minutes=1)
        session.execute(
            update(SystemMail).values(
                state=DeliveryState.SENDING, lease_token=7, lease_until=past, attempt=1
            )
        )
    relay = factories.memory()
    deliver_outbox(factories.runtime(sessions, keys), relay)
    assert (relay.accepted, outbox(sessions).state) == ([], DeliveryState.IN_DOUBT)


def test_a_mail_that_is_being_sent_is_left_alone(sessions: Sessions, keys: TokenKeys) -> None:
    enqueue(sessions)
    with sessions.writing() as session:
        later = now() + timedelta(minutes=1)
        session.execute(
            update(SystemMail).values(
                state=DeliveryState.SENDING, lease_token=7, lease_until=later, attempt=1
            )
        )
    relay = factories.memory()
    deliver_outbox(factories.runtime(sessions, keys), relay)
    assert (relay.accepted, outbox(sessions).state) == ([], DeliveryState.SENDING)


def test_an_outcome_of_the_outbox_needs_the_token(sessions: Sessions, keys: TokenKeys) -> None:
    enqueue(sessions)
    deliver_outbox(factories.runtime(sessions, keys), Meddling(sessions, lease_token=7))
    kept = outbox(sessions)
    assert (kept.state, kept.lease_token) == (DeliveryState.SENDING, 7), "it is another's by now"


@pytest.mark.parametrize(
    ("reply", "state", "has_bytes"),
    [
        ("250 2.0.0 Ok", DeliveryState.ACCEPTED, False),
        ("550 5.1.1 unknown", DeliveryState.FAILED, False),
        ("451 4.7.1 later", DeliveryState.PENDING, True),
    ],
)
def test_the_bytes_go_when_the_mail_has_come_to_its_end(
    sessions: Sessions, keys: TokenKeys, reply: str, state: DeliveryState, has_bytes: bool
) -> None:
    enqueue(sessions)
    relay = factories.memory(ada=[parse_reply(int(reply[:3]), reply[4:])])
    deliver_outbox(factories.runtime(sessions, keys), relay)
    kept = outbox(sessions)
    assert (kept.state, kept.wire == WIRE, kept.attempt) == (state, has_bytes, 1)


@pytest.mark.parametrize("fault", [parse_reply(421, "4.3.2 closing"), HangUp(after_dot=False)])
def test_a_relays_fault_burns_no_attempt_of_a_system_mail(
    sessions: Sessions, keys: TokenKeys, fault: Reply | HangUp
) -> None:
    enqueue(sessions)
    deliver_outbox(factories.runtime(sessions, keys), factories.memory(ada=[fault]))
    kept = outbox(sessions)
    assert (kept.state, kept.attempt, kept.wire) == (DeliveryState.PENDING, 0, WIRE)


def test_a_mail_that_nobody_sent_in_time_is_not_sent_any_more(
    sessions: Sessions, keys: TokenKeys
) -> None:
    enqueue(sessions)
    relay = factories.memory()
    with time_machine.travel(now() + timedelta(days=3)):
        deliver_outbox(factories.runtime(sessions, keys), relay)
    kept = outbox(sessions)
    assert relay.accepted == []
    assert (kept.state, kept.reason, kept.wire) == (DeliveryState.FAILED, "expired", None)
