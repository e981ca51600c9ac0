"""The outbox: a mail exists exactly when its cause was committed, and is sent once."""

from sqlalchemy import select

from newsletter.broadcasts.models import DeliveryState
from newsletter.core.db import Sessions
from newsletter.core.tokens import TokenKeys
from newsletter.mail.replies import parse_reply
from newsletter.sending import system_mail
from newsletter.sending.confirmation import ask_to_confirm
from newsletter.sending.memory import HangUp
from newsletter.sending.models import SystemMail
from newsletter.sending.system_mail import deliver_outbox
from tests import factories

WIRE = b"Subject: x\r\n\r\nx\r\n"


def enqueue(sessions: Sessions, key: str = "one", to: str = "ada@example.org") -> bool:
    with sessions.writing() as session:
        return system_mail.enqueue(
            session, key=key, kind="test", sender="editor@example.org", to=to, wire=WIRE
        )


def states(sessions: Sessions) -> list[DeliveryState]:
    with sessions.reading() as session:
        return list(session.scalars(select(SystemMail.state).order_by(SystemMail.id)))


def test_a_mail_is_sent_once_whatever_happens_again(sessions: Sessions, keys: TokenKeys) -> None:
    assert enqueue(sessions)
    assert not enqueue(sessions), "the same cause makes one mail"
    relay, runtime = factories.memory(), factories.runtime(sessions, keys)
    deliver_outbox(runtime, relay)
    deliver_outbox(runtime, relay)
    assert relay.accepted == [("ada@example.org", WIRE)]
    assert states(sessions) == [DeliveryState.ACCEPTED]


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
