"""The outbox: system mail is written in the caller's transaction and sent by the same sender.

A confirmation, test send or notice exists exactly when the change that caused it was committed.
"""

import secrets
from collections.abc import Callable
from datetime import timedelta

from sqlalchemy import exists, select, update
from sqlalchemy.orm import Session

from newsletter.broadcasts.ledger import Outcome
from newsletter.broadcasts.models import DeliveryState
from newsletter.core import logs
from newsletter.core.clock import now
from newsletter.core.db import database_now
from newsletter.core.doorbell import OUTBOX, ring_after_commit
from newsletter.core.runtime import Runtime
from newsletter.mail.address import Address
from newsletter.sending import outcomes
from newsletter.sending.models import SystemMail
from newsletter.sending.transport import (
    Connection,
    Envelope,
    NoReplyError,
    RelayFaultError,
    Transport,
)

_STALE_AFTER = timedelta(days=2)
_TOKEN_BITS = 63

log = logs.get(__name__)


def enqueue(session: Session, *, key: str, kind: str, sender: str, to: str, wire: bytes) -> bool:
    """Put one mail into the outbox; False when one with the same idempotency key is there.

    `wire` is as `Connection.send` wants it; `sender` and `to` are addresses as typed.
    """
    if session.scalar(select(SystemMail.id).where(SystemMail.idempotency_key == key)):
        return False
    session.add(
        SystemMail(
            idempotency_key=key,
            kind=kind,
            sender=sender,
            address=to,
            wire=wire,
            not_after=now() + _STALE_AFTER,
        )
    )
    ring_after_commit(session, OUTBOX)
    return True


def has_due(session: Session) -> bool:
    """Something in the outbox wants to be sent now."""
    due = exists().where(SystemMail.state == DeliveryState.PENDING, SystemMail.due_at <= now())
    return bool(session.scalar(select(due)))


def deliver_outbox(
    runtime: Runtime, transport: Transport, *, stop: Callable[[], bool] = lambda: False
) -> None:
    """Send what is due, one mail at a time over one connection.

    Raises nothing for a relay's fault: the rest waits for the next sweep.
    """
    with runtime.sessions.writing() as session:
        _reap(session)
        _expire(session)
        if not has_due(session):
            return
    try:
        connection = transport.connect()
    except RelayFaultError as fault:
        log.warning("relay.fault", fault=str(fault))
        return
    try:
        while not stop() and _deliver_one(runtime, connection):
            pass
    finally:
        connection.close()


def _deliver_one(runtime: Runtime, connection: Connection) -> bool:
    """Send one mail; False when none is due or the connection is of no more use."""
    mail = _take(runtime)
    if mail is None:
        return False
    recipient = Address.parse(mail.address)
    sender = Address.parse(mail.sender)
    envelope = Envelope(sender.envelope, recipient.envelope, smtputf8=recipient.needs_smtputf8)
    retries = runtime.settings.delivery.retry_after_seconds
    usable = True
    try:
        reply = connection.send(envelope, mail.wire or b"")
        outcome = outcomes.outcome_of(mail.id, reply, mail.attempt, retries)
    except RelayFaultError as fault:
        outcome, usable = outcomes.given_back(mail.id, fault.reply), False
    except NoReplyError:
        outcome, usable = outcomes.in_doubt(mail.id), False
    with runtime.sessions.writing() as session:
        _record(session, mail, outcome)
    return usable


def _take(runtime: Runtime) -> SystemMail | None:
    """Claim and announce in one: a system mail goes out right after it is taken."""
    due = (
        select(SystemMail.id)
        .where(SystemMail.state == DeliveryState.PENDING, SystemMail.due_at <= now())
        .order_by(SystemMail.id)
        .limit(1)
        .with_for_update(skip_locked=True)
        .cte("due")
    )
    with runtime.sessions.writing() as session:
        return session.scalars(
            update(SystemMail)
            .where(SystemMail.id == due.c.id)
            .values(
                state=DeliveryState.SENDING,
                attempt=SystemMail.attempt + 1,
                lease_token=secrets.randbits(_TOKEN_BITS),
                lease_until=database_now(runtime.settings.delivery.lease_seconds),
            )
            .returning(SystemMail)
        ).one_or_none()


def _record(session: Session, mail: SystemMail, outcome: Outcome) -> None:
    """Write what came of it, unless somebody else has taken it over; then drop the bytes."""
    state = outcome.state
    if state is DeliveryState.PENDING and mail.not_after < now():
        state = DeliveryState.FAILED
    terminal = state in (DeliveryState.ACCEPTED, DeliveryState.FAILED)
    session.execute(
        update(SystemMail)
        .where(SystemMail.id == mail.id, SystemMail.lease_token == mail.lease_token)
        .values(
            state=state,
            reason=outcome.reason,
            due_at=outcome.due_at or mail.due_at,
            attempt=mail.attempt if outcome.counts else mail.attempt - 1,
            reply_code=outcome.reply.code if outcome.reply else None,
            reply_text=outcome.reply.text[:200] if outcome.reply else "",
            wire=None if terminal else mail.wire,
            lease_token=None if terminal else mail.lease_token,
            lease_until=None,
        )
    )


def _expire(session: Session) -> None:
    """What nobody could send in time is of no more use to anybody."""
    session.execute(
        update(SystemMail)
        .where(SystemMail.state == DeliveryState.PENDING, SystemMail.not_after <= now())
        .values(state=DeliveryState.FAILED, reason="expired", wire=None, lease_token=None)
    )


def _reap(session: Session) -> None:
    """A sender that died in the middle leaves a doubt; nothing is sent twice by itself."""
    session.execute(
        update(SystemMail)
        .where(SystemMail.state == DeliveryState.SENDING, SystemMail.lease_until < database_now())
        .values(state=DeliveryState.IN_DOUBT, reason="worker lost", lease_until=None)
    )
