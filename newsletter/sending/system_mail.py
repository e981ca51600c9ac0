"""The outbox: system mail is written in the caller's transaction and sent by the same sender.

A confirmation, test send or notice exists exactly when the change that caused it was committed.
"""

import asyncio
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import exists, select, update
from sqlalchemy.orm import Session

from newsletter.broadcasts.ledger import Outcome
from newsletter.broadcasts.models import DeliveryState, SkipReason
from newsletter.core.clock import now
from newsletter.core.doorbell import OUTBOX, ring_after_commit
from newsletter.core.runtime import Runtime
from newsletter.core.tables import database_now
from newsletter.mail.address import Address
from newsletter.mail.replies import Reply
from newsletter.mail.smtp import GO_AHEAD, Envelope, SmtpFault
from newsletter.sending import outcomes
from newsletter.sending.in_thread import InThread
from newsletter.sending.models import SystemMail
from newsletter.sending.ratelimit import RateLimiter
from newsletter.sending.ratelimit_memory import MemoryLimiter
from newsletter.sending.route import open_route
from newsletter.sending.transport import Connection, Transport
from subscribers import suppressions

TEST = "test"
"""The kind of a test send: whoever gives an address for it means this very one."""
_STALE_AFTER = timedelta(days=2)
_TOKEN_BITS = 63


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


def deliver_outbox(runtime: Runtime, *transports: Transport) -> None:
    """Send what is due now, from a process that has no send loop, such as a command."""

    async def in_thread(call: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.to_thread(call, *arguments)

    asyncio.run(deliver(runtime, transports, in_thread))


async def deliver(
    runtime: Runtime,
    transports: Sequence[Transport],
    in_thread: InThread,
    stop: Callable[[], bool] = lambda: False,
    limiter: RateLimiter | None = None,
) -> None:
    """Send what is due, one mail at a time over one connection to the first relay that may be used.

    Raises nothing for a relay's fault: the rest waits for the next sweep. Without a `limiter` the
    relay's rate bounds this call alone.
    """
    if not await in_thread(_reap, runtime):
        return
    route = await open_route(runtime, transports, in_thread, limiter or MemoryLimiter())
    if route is None:
        return
    try:
        while await in_thread(_has_due, runtime) and await route.may_offer(stop):
            mail = await in_thread(_take, runtime)
            if mail is None:
                return
            offered = await _offer(runtime, route.connection, mail)
            await in_thread(_record, runtime, mail, offered.outcome)
            if not await route.heard(offered.reply, offered.fault):
                return
    finally:
        await route.close()


@dataclass(frozen=True, slots=True)
class _Offered:
    """What came of one mail, and what of the connection."""

    outcome: Outcome
    reply: Reply | None
    fault: SmtpFault | None


async def _offer(runtime: Runtime, connection: Connection, mail: SystemMail) -> _Offered:
    recipient, sender = Address.parse(mail.address), Address.parse(mail.sender)
    wire = mail.wire or b""
    envelope = Envelope(
        sender.envelope,
        recipient.envelope,
        smtputf8=recipient.needs_smtputf8,
        size=len(wire),
        envid=f"s{mail.id}",
    )
    exchange = await connection.exchange(None, envelope)
    reply = exchange.go_ahead
    if reply and reply.code == GO_AHEAD:
        exchange = await connection.exchange(wire, None)
        reply = exchange.verdict
    fault = exchange.fault
    if exchange.ambiguous:
        outcome = outcomes.in_doubt(mail.id)
    elif reply is None:
        outcome = outcomes.given_back(mail.id, fault.reply if fault else None)
    else:
        retries = runtime.settings.delivery.retry_after_seconds
        outcome = outcomes.outcome_of(mail.id, reply, mail.attempt, retries)
    return _Offered(outcome, reply, fault)


def _has_due(runtime: Runtime) -> bool:
    with runtime.sessions.reading() as session:
        return has_due(session)


def _take(runtime: Runtime) -> SystemMail | None:
    """Claim and announce in one: a system mail goes out right after it is taken.

    What waits for somebody whom nobody may mail by now ends here.
    """
    with runtime.sessions.writing() as session:
        while mail := _claim(session, runtime.settings.delivery.lease_seconds):
            if mail.kind == TEST or not _is_suppressed(session, mail):
                return mail
            mail.state, mail.reason = DeliveryState.FAILED, SkipReason.SUPPRESSED
            mail.attempt -= 1  # it was not offered
            mail.wire = mail.lease_token = mail.lease_until = None
            session.flush()
    return None


def _is_suppressed(session: Session, mail: SystemMail) -> bool:
    to = Address.parse(mail.address)
    return suppressions.covering(session, to, erased=None) is not None


def _claim(session: Session, seconds: int) -> SystemMail | None:
    due = (
        select(SystemMail.id)
        .where(SystemMail.state == DeliveryState.PENDING, SystemMail.due_at <= now())
        .order_by(SystemMail.id)
        .limit(1)
        .with_for_update(skip_locked=True)
        .cte("due")
    )
    return session.scalars(
        update(SystemMail)
        .where(SystemMail.id == due.c.id)
        .values(
            state=DeliveryState.SENDING,
            attempt=SystemMail.attempt + 1,
            lease_token=secrets.randbits(_TOKEN_BITS),
            lease_until=database_now(seconds),
        )
        .returning(SystemMail)
    ).one_or_none()


def _record(runtime: Runtime, mail: SystemMail, outcome: Outcome) -> None:
    """Write what came of it, unless somebody else has taken it over; then drop the bytes."""
    state = outcome.state
    if state is DeliveryState.PENDING and mail.not_after < now():
        state = DeliveryState.FAILED
    terminal = state in (DeliveryState.ACCEPTED, DeliveryState.FAILED)
    with runtime.sessions.writing() as session:
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


def _reap(runtime: Runtime) -> bool:
    """Whether any mail is due now.

    A sender that died in the middle leaves a doubt; nothing is sent twice by itself.
    """
    with runtime.sessions.writing() as session:
        session.execute(
            update(SystemMail)
            .where(
                SystemMail.state == DeliveryState.SENDING, SystemMail.lease_until < database_now()
            )
            .values(state=DeliveryState.IN_DOUBT, reason="worker lost", lease_until=None)
        )
        _expire(session)
        return has_due(session)


def _expire(session: Session) -> None:
    """What nobody could send in time is of no more use to anybody."""
    session.execute(
        update(SystemMail)
        .where(SystemMail.state == DeliveryState.PENDING, SystemMail.not_after <= now())
        .values(state=DeliveryState.FAILED, reason="expired", wire=None, lease_token=None)
    )
