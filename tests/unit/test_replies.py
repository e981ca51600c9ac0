"""What a server's words mean: the table of classes, row by row."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.broadcasts.models import DeliveryState
from newsletter.mail.replies import ReplyClass, classify, parse_reply, suppresses
from newsletter.sending.outcomes import given_back, outcome_of

C = ReplyClass


@pytest.mark.parametrize(
    ("code", "text", "verdict"),
    [
        (250, "2.0.0 Ok: queued", C.ACCEPTED),
        (250, "5.1.1 odd, but it was taken", C.ACCEPTED),
        (421, "4.3.2 closing", C.RELAY_FAULT),
        (451, "4.7.1 Greylisted, come back later", C.TEMPORARY),
        (450, "4.2.1 mailbox busy", C.TEMPORARY),
        (452, "4.2.2 mailbox full", C.TEMPORARY),
        (452, "4.5.3 Too many recipients", C.CONNECTION_LIMIT),
        (450, "too many messages in this connection", C.CONNECTION_LIMIT),
        (454, "Throttling failure: Maximum sending rate exceeded", C.RATE),
        (451, "rate limit exceeded, slow down", C.RATE),
        (451, "4.4.2 timeout", C.RELAY_FAULT),
        (535, "5.7.8 Authentication failed", C.CONFIGURATION),
        (530, "Authentication required", C.CONFIGURATION),
        (553, "5.1.8 sender domain does not exist", C.CONFIGURATION),
        (550, "5.7.26 unauthenticated sender", C.CONFIGURATION),
        (550, "5.1.1 User unknown", C.GONE),
        (550, "5.1.10 Recipient not found", C.GONE),
        (550, "5.2.1 mailbox disabled", C.GONE),
        (550, "No such user here", C.GONE),
        (550, "sender unknown user", C.REFUSED),
        (552, "5.2.2 over quota", C.MAILBOX_FULL),
        (552, "mailbox full", C.MAILBOX_FULL),
        (552, "5.3.4 message too big", C.REFUSED),
        (554, "5.7.1 spam", C.REFUSED),
        (550, "4.2.1 contradicts itself", C.TEMPORARY),
        (450, "5.1.1 contradicts itself", C.TEMPORARY),
        (354, "out of place", C.RELAY_FAULT),
    ],
)
def test_the_class_of_a_reply(code: int, text: str, verdict: ReplyClass) -> None:
    assert classify(parse_reply(code, text)) is verdict


def test_a_reply_of_many_lines_is_read_whole() -> None:
    reply = parse_reply(550, b"5.1.1 No\n5.1.1 such\n5.1.1 user")
    assert (reply.enhanced, reply.text) == ("5.1.1", "No such user")


def test_a_kept_reply_names_nobody() -> None:
    reply = parse_reply(550, b"5.1.1 <Ada.L+x@Example.org>: Recipient rejected: ada@example.org")
    assert reply.text == "<address>: Recipient rejected: address"


@given(st.integers(200, 599), st.binary(max_size=200))
def test_every_reply_has_a_class_and_prints(code: int, text: bytes) -> None:
    reply = parse_reply(code, text)
    assert reply.text.isprintable()
    verdict = classify(reply)
    assert (verdict is C.ACCEPTED) == (200 <= code < 300)
    assert not suppresses(reply) or verdict is C.GONE


def test_only_certainty_suppresses() -> None:
    assert suppresses(parse_reply(550, "5.1.1 User unknown"))
    assert not suppresses(parse_reply(550, "5.2.1 mailbox disabled"))
    assert not suppresses(parse_reply(550, "5.7.1 Not here"))


@pytest.mark.parametrize(
    ("code", "text", "state"),
    [
        (250, "2.0.0 Ok", DeliveryState.ACCEPTED),
        (451, "4.7.1 Greylisted", DeliveryState.PENDING),
        (550, "5.1.1 User unknown", DeliveryState.FAILED),
        (552, "5.2.2 full", DeliveryState.FAILED),
        (554, "5.7.1 no", DeliveryState.FAILED),
    ],
)
def test_what_the_ledger_records(code: int, text: str, state: DeliveryState) -> None:
    outcome = outcome_of(1, parse_reply(code, text), 1, [60])
    assert outcome.state is state
    assert outcome.counts
    assert (outcome.due_at is not None) == (state is DeliveryState.PENDING)


def test_a_relays_fault_burns_no_attempt() -> None:
    for outcome in (outcome_of(1, parse_reply(421, "bye"), 1, [60]), given_back(1)):
        assert outcome.state is DeliveryState.PENDING
        assert not outcome.counts
