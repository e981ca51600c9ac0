"""What a server's words mean: the table of classes in docs/sending.md, row by row.

The texts are what well-known servers say, as their documents give it, addresses made up.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.broadcasts.models import DeliveryState, PauseReason
from newsletter.core.clock import now
from newsletter.core.sentences import quoted
from newsletter.mail.replies import (
    Reply,
    ReplyClass,
    classify,
    is_about_too_many_connections,
    parse_reply,
    suppresses,
)
from newsletter.mail.smtp import SmtpFault
from newsletter.sending.outcomes import given_back, outcome_of, pause_for

C = ReplyClass

ACCEPTED = [
    (250, "2.0.0 Ok: queued as 4Yx1Cc2mJ7z1Bk"),  # Postfix
    (250, "OK id=1rZ2aB-000000005Xy-1q2W"),  # Exim
    (250, "Ok 0102018f-example-000000"),  # Amazon SES
    (251, "User not local; will forward"),
    (250, "5.1.1 odd, but it was taken"),
]
RELAY_FAULT = [
    (421, "4.3.2 Service shutting down"),
    (421, "4.7.0 Error: too many connections from 192.0.2.1"),  # Postfix
    (421, "4.4.5 Server busy, try again later."),  # Gmail
    (421, "4.7.28 Our system has detected an unusual rate of unsolicited mail"),  # Gmail
    (421, "4.7.0 [TSS04] Messages temporarily deferred due to user complaints"),  # Yahoo
    (421, "Too many concurrent SMTP connections; please try again later."),  # Exim
    (451, "4.3.2 System not accepting network messages"),
    (451, "4.4.2 Timeout - closing connection."),  # Gmail
    (450, "4.4.1 connection timed out"),
    (354, "out of place"),
]
RATE = [
    (454, "Throttling failure: Maximum sending rate exceeded."),  # Amazon SES
    (454, "4.7.0 Temporary authentication failure"),
    (450, "4.7.0 try again later"),
    (451, "4.7.0 Temporary server error. Please try again later. PRX5"),  # Outlook
    (451, "4.7.500 Server busy. Please try again later."),  # Outlook
    (451, "4.7.650 The mail server has been temporarily rate limited"),  # Outlook
    (450, "4.7.1 Error: too much mail from 192.0.2.1"),  # Postfix
    (451, "rate limit exceeded, slow down"),
]
QUOTA = [
    (454, "Throttling failure: Daily message quota exceeded."),  # Amazon SES
    (550, "5.4.5 Daily user sending limit exceeded."),  # Gmail
    (550, "5.4.5 Daily sending quota exceeded"),  # Gmail
    (550, "5.7.1 Daily SMTP relay limit exceeded for customer."),  # Gmail
    (550, "5.1.90 Your message can't be sent because you've reached your daily limit"),  # Outlook
    (550, "Domain example.org has exceeded the max emails per hour (500/500) allowed."),  # Exim
    (421, "4.7.0 daily quota exceeded"),
]
CONNECTION_LIMIT = [
    (452, "4.5.3 Too many recipients"),  # Postfix
    (452, "4.5.3 Your message has too many recipients."),  # Gmail
    (451, "4.4.5 Too many messages on this connection"),
    (450, "too many messages in this connection"),
    (452, "too many messages in this session"),
]
CONFIGURATION = [
    (535, "5.7.8 Error: authentication failed"),  # Postfix
    (535, "Authentication Credentials Invalid"),  # Amazon SES
    (535, "5.7.8 Username and Password not accepted."),  # Gmail
    (530, "Authentication required"),
    (530, "5.7.0 Must issue a STARTTLS command first"),  # Postfix, Gmail
    (550, "5.7.8 authentication mechanism is too weak"),
    (553, "5.1.7 bad sender address syntax"),
    (553, "5.1.8 sender domain does not exist"),
    (550, "5.7.26 This mail is unauthenticated"),  # Gmail
    (550, "5.7.27 the sender's SPF check failed"),  # Gmail
    (554, "Message rejected: Email address is not verified."),  # Amazon SES
    (553, "5.7.1 <ada@example.org>: Sender address rejected: not owned by user ada"),  # Postfix
]
TEMPORARY = [
    (450, "4.2.1 The user you are trying to contact is receiving mail too quickly."),  # Gmail
    (550, "5.2.1 The user you are trying to contact is receiving mail at a rate that"),  # Gmail
    (452, "4.2.2 The email account that you tried to reach is over quota."),  # Gmail
    (452, "4.2.2 The recipient has exceeded the daily limit of received mail"),
    (450, "4.2.0 Recipient address rejected: Greylisted"),  # Postfix
    (451, "4.7.1 Greylisting in action, please come back later"),
    (450, "4.7.0 Greylisted, try again in 5 minutes"),
    (451, "Temporary local problem - please try later"),  # Exim
    (450, "4.1.8 Sender address rejected: Domain not found"),  # Postfix
    (451, "4.3.0 Mail server temporarily rejected message."),  # Gmail
    (452, "4.3.1 Insufficient system storage"),
    # A basic code that contradicts its enhanced code.
    (550, "4.2.1 contradicts itself"),
    (450, "5.1.1 contradicts itself"),
    (550, "2.0.0 contradicts itself"),
]
GONE = [
    (550, "5.1.1 Recipient address rejected: User unknown in local recipient table"),  # Postfix
    (550, "5.1.1 The email account that you tried to reach does not exist."),  # Gmail
    (550, "5.1.10 Recipient not found by SMTP address lookup"),  # Outlook
    (550, "5.1.2 bad destination host"),
    (553, "5.1.3 bad destination address syntax"),
    (551, "5.1.6 mailbox has moved"),
    (550, "5.2.1 The email account that you tried to reach is disabled."),  # Gmail
    (550, "Unknown user"),  # Exim
    (550, "No such user here"),
    (551, "user not found"),
]
MAILBOX_FULL = [
    (552, "5.2.2 The email account that you tried to reach is over quota."),  # Gmail
    (554, "5.2.2 mailbox full"),  # Outlook
    (552, "mailbox full"),
]
REFUSED = [
    (554, "5.7.1 Spam message rejected"),
    (550, "5.7.1 This message violates example.com email policy."),  # Gmail
    (550, "5.7.606 Access denied, banned sending IP"),  # Outlook
    (554, "5.7.9 Message not accepted for policy reasons."),  # Yahoo
    (554, "Message rejected due to content restrictions"),
    (554, "5.6.0 message content rejected"),  # Postfix
    (552, "5.3.4 Message size exceeds fixed limit"),  # Postfix
    (550, "5.7.1 Client host rejected: blocked using a list"),  # Postfix
    (554, "5.7.1 Relay access denied"),  # Postfix
    (550, "Unrouteable address"),  # Exim: it may be our relay that knows no way
    (550, "sender unknown user"),
]


@pytest.mark.parametrize(
    ("verdict", "said"),
    [
        (verdict, said)
        for verdict, row in (
            (C.ACCEPTED, ACCEPTED),
            (C.RELAY_FAULT, RELAY_FAULT),
            (C.RATE, RATE),
            (C.QUOTA, QUOTA),
            (C.CONNECTION_LIMIT, CONNECTION_LIMIT),
            (C.CONFIGURATION, CONFIGURATION),
            (C.TEMPORARY, TEMPORARY),
            (C.GONE, GONE),
            (C.MAILBOX_FULL, MAILBOX_FULL),
            (C.REFUSED, REFUSED),
        )
        for said in row
    ],
    ids=lambda value: value.value if isinstance(value, ReplyClass) else f"{value[0]} {value[1]}",
)
def test_the_class_of_a_reply(verdict: ReplyClass, said: tuple[int, str]) -> None:
    assert classify(parse_reply(*said)) is verdict


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
    ("row", "state", "counts"),
    [
        (ACCEPTED, DeliveryState.ACCEPTED, True),
        (RELAY_FAULT, DeliveryState.PENDING, False),
        (RATE, DeliveryState.PENDING, False),
        (QUOTA, DeliveryState.PENDING, False),
        (CONNECTION_LIMIT, DeliveryState.PENDING, False),
        (CONFIGURATION, DeliveryState.PENDING, False),
        (TEMPORARY, DeliveryState.PENDING, True),
        (GONE, DeliveryState.FAILED, True),
        (MAILBOX_FULL, DeliveryState.FAILED, True),
        (REFUSED, DeliveryState.FAILED, True),
    ],
)
def test_what_the_ledger_records(
    row: list[tuple[int, str]], state: DeliveryState, counts: bool
) -> None:
    for said in row:
        reply = parse_reply(*said)
        outcome = outcome_of(1, reply, 1, [60])
        assert (outcome.state, outcome.counts) == (state, counts)
        assert (outcome.due_at is not None) == (state is DeliveryState.PENDING)
        assert outcome.reason == ("" if state is DeliveryState.ACCEPTED else classify(reply))


@pytest.mark.parametrize(
    ("attempt", "seconds"), [(1, 300), (2, 900), (3, 3600), (4, 14400), (5, 43200), (6, 43200)]
)
def test_each_retry_waits_longer_give_or_take_a_fifth(attempt: int, seconds: int) -> None:
    table = (300, 900, 3600, 14400, 43200)
    for _ in range(50):
        began = now()
        outcome = outcome_of(1, parse_reply(451, "4.7.1 Greylisted"), attempt, table)
        assert outcome.due_at
        waits = (outcome.due_at - began).total_seconds()
        assert 0.8 * seconds <= waits <= 1.2 * seconds + 1


def test_a_connection_lost_before_the_dot_burns_no_attempt() -> None:
    outcome = given_back(1)
    assert (outcome.state, outcome.reason) == (DeliveryState.PENDING, C.RELAY_FAULT)
    assert not outcome.counts


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (parse_reply(535, "5.7.8 Authentication failed"), PauseReason.BREAKER),
        (parse_reply(454, "Throttling failure: Daily message quota exceeded"), PauseReason.QUOTA),
        (parse_reply(454, "Throttling failure: Maximum sending rate exceeded"), None),
        (parse_reply(421, "4.3.2 closing"), None),
    ],
)
def test_which_faults_stop_a_broadcast(reply: Reply, reason: PauseReason | None) -> None:
    assert pause_for(SmtpFault.said(quoted("MAIL"), reply)) is reason


def test_a_lost_connection_stops_no_broadcast() -> None:
    assert pause_for(SmtpFault(quoted("connection lost"))) is None


@pytest.mark.parametrize(
    ("text", "is_it"),
    [
        ("Error: too many connections from 192.0.2.1", True),
        ("Too many concurrent SMTP connections; please try again later.", True),
        ("Too many messages on this connection", False),
        ("closing", False),
    ],
)
def test_too_many_connections_are_told_from_other_goodbyes(text: str, is_it: bool) -> None:
    assert is_about_too_many_connections(parse_reply(421, f"4.7.0 {text}")) is is_it
