"""System mail knows its relays as broadcasts do: paused, broken, probed, slowed, used up."""

import time
from collections.abc import Callable
from datetime import timedelta

import pytest
import time_machine
from pydantic import SecretStr
from sqlalchemy import select
from sqlalchemy.orm import Session

from newsletter.broadcasts.models import DeliveryState
from newsletter.core.clock import now
from newsletter.core.db import Sessions
from newsletter.core.runtime import Runtime
from newsletter.core.sections import RelaySettings
from newsletter.core.sentences import Sentence
from newsletter.core.tokens import TokenKeys
from newsletter.mail.replies import Reply, parse_reply
from newsletter.sending import breaker, relays
from newsletter.sending.memory import HangUp, MemoryTransport
from newsletter.sending.models import RelayState
from newsletter.sending.system_mail import deliver_outbox
from tests import factories
from tests.odd_relays import Counting
from tests.outbox import WIRE, enqueue, outbox, states

LOGIN_REFUSED = parse_reply(535, "5.7.8 wrong password")
AWAY = parse_reply(421, "4.3.2 later")


def two_relays(sessions: Sessions, keys: TokenKeys, **of_first: object) -> Runtime:
    first = RelaySettings.model_validate({"name": "first", "url": SecretStr("x"), **of_first})
    second = RelaySettings(name="second", url=SecretStr("x"))
    return factories.runtime(sessions, keys, relays=(first, second))


def status(runtime: Runtime) -> str:
    """Of the first relay."""
    with runtime.sessions.reading() as session:
        return relays.list_relays(session, runtime.settings.relays, now())[0].state


def pause(session: Session) -> None:
    relays.pause(session, "first", "moving house", now())


def refuse_login(session: Session) -> None:
    relays.faulted(session, "first", "535 no", now(), is_configuration=True)


@pytest.mark.parametrize("put_out_of_use", [pause, refuse_login])
def test_a_relay_that_may_not_be_used_is_passed_over(
    sessions: Sessions, keys: TokenKeys, put_out_of_use: Callable[[Session], None]
) -> None:
    runtime = two_relays(sessions, keys)
    first, second = MemoryTransport("first"), MemoryTransport("second")
    with sessions.writing() as session:
        put_out_of_use(session)
    enqueue(sessions)
    deliver_outbox(runtime, first)
    kept = outbox(sessions)
    assert (kept.state, kept.attempt) == (DeliveryState.PENDING, 0), "left for the next sweep"
    deliver_outbox(runtime, first, second)
    assert (first.accepted, second.accepted) == ([], [("ada@example.org", WIRE)])


def test_a_refused_login_opens_the_breaker_and_the_next_relay_takes_the_mail(
    sessions: Sessions, keys: TokenKeys
) -> None:
    runtime = two_relays(sessions, keys)
    first = MemoryTransport("first", refuse_connections=LOGIN_REFUSED)
    second = MemoryTransport("second")
    enqueue(sessions)
    deliver_outbox(runtime, first, second)
    assert second.accepted == [("ada@example.org", WIRE)]
    assert status(runtime) == "open"
    with sessions.reading() as session:
        (first_state,) = session.scalars(select(RelayState).where(RelayState.name == "first"))
        assert isinstance(first_state.breaker_reason, Sentence), "for readers of other languages"


@pytest.mark.parametrize("step", [AWAY, HangUp(after_dot=False), HangUp(after_dot=True)])
def test_every_fault_counts_and_the_fifth_opens_the_breaker(
    sessions: Sessions, keys: TokenKeys, step: Reply | HangUp
) -> None:
    runtime = two_relays(sessions, keys)
    first = MemoryTransport("first")
    for number in range(breaker.FAULTS_TO_OPEN):
        assert status(runtime) == "closed"
        enqueue(sessions, str(number), f"reader{number}@example.org")
        first.script(f"reader{number}@example.org", step)
        deliver_outbox(runtime, first)
    assert status(runtime) == "open"


@pytest.mark.parametrize(
    "refusal", ["421 4.7.0 Too many connections from your address", "454 Throttling"]
)
def test_that_others_send_too_much_is_no_fault_of_the_relay(
    sessions: Sessions, keys: TokenKeys, refusal: str
) -> None:
    runtime = two_relays(sessions, keys)
    first = MemoryTransport("first")
    for number in range(breaker.FAULTS_TO_OPEN):
        enqueue(sessions, str(number), f"reader{number}@example.org")
        first.script(f"reader{number}@example.org", parse_reply(int(refusal[:3]), refusal[4:]))
        deliver_outbox(runtime, first)
    assert status(runtime) == "closed"
    assert states(sessions) == [DeliveryState.PENDING] * breaker.FAULTS_TO_OPEN


@pytest.mark.parametrize("is_well", [True, False])
def test_a_half_open_breaker_is_tried_with_one_mail(
    sessions: Sessions, keys: TokenKeys, is_well: bool
) -> None:
    runtime = two_relays(sessions, keys)
    first = MemoryTransport("first")
    with sessions.writing() as session:
        refuse_login(session)
    for name in ("ada", "bob"):
        enqueue(sessions, name, f"{name}@example.org")
        first.script(f"{name}@example.org", *([] if is_well else [AWAY]))
    with time_machine.travel(now() + breaker.FIRST_OPEN_FOR + timedelta(seconds=1)):
        deliver_outbox(runtime, first)
        assert status(runtime) == ("closed" if is_well else "open")
    tried = 0 if is_well else 1
    assert len(first.accepted) == (2 if is_well else 0)
    assert len(first.scripts["bob@example.org"]) == tried, "not offered to a relay that is not well"


def test_a_probe_that_a_full_connection_left_unspent_is_for_the_next_who_asks(
    sessions: Sessions, keys: TokenKeys
) -> None:
    runtime = two_relays(sessions, keys)
    first = MemoryTransport("first")
    with sessions.writing() as session:
        refuse_login(session)
    enqueue(sessions)
    first.script("ada@example.org", parse_reply(452, "4.5.3 Too many messages"))
    with time_machine.travel(now() + breaker.FIRST_OPEN_FOR + timedelta(seconds=1)):
        deliver_outbox(runtime, first)
        assert status(runtime) == "half-open"


def test_system_mail_keeps_to_the_rate_and_to_the_messages_of_a_connection(
    sessions: Sessions, keys: TokenKeys
) -> None:
    runtime = two_relays(sessions, keys, rate=10, burst=1, messages_per_connection=3)
    relay = Counting(name="first")
    for number in range(4):
        enqueue(sessions, str(number), f"reader{number}@example.org")
    began = time.monotonic()
    deliver_outbox(runtime, relay)
    times = [at for at, _ in relay.envelopes]
    assert len(times) == 3, "the fourth waits for another connection"
    for number, at in enumerate(times, start=1):
        assert number <= 10 * (at - began) + 0.01, "no bucket begins with a burst"
    deliver_outbox(runtime, relay)
    assert states(sessions) == [DeliveryState.ACCEPTED] * 4
