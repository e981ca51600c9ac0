"""The ledger: the statements that move deliveries from one state to another, whoever has them.

What a sender does with the rows it holds is in `claims` and `offers`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import (
    ColumnElement,
    Update,
    and_,
    func,
    insert,
    null,
    select,
    update,
)
from sqlalchemy.orm import Session

from newsletter.broadcasts.models import (
    DELIVERY_MOVES,
    LEASED,
    NOT_SENT,
    WAITING,
    BroadcastList,
    Delivery,
    DeliveryLog,
    DeliveryState,
    Proof,
    SkipReason,
    leased_of,
)
from newsletter.core.clock import now
from newsletter.core.tables import database_now
from newsletter.mail.replies import Reply
from subscribers import audience


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one offer.

    Attributes:
        state: ACCEPTED, FAILED, IN_DOUBT, or PENDING (to be tried again at `due_at`).
        reason: a ReplyClass or what went wrong, in a word.
        counts: False when the relay failed, not the recipient: no attempt is burnt.
    """

    delivery_id: int
    state: DeliveryState
    reason: str = ""
    reply: Reply | None = None
    due_at: datetime | None = None
    counts: bool = True


def proved_arrival(session: Session, delivery_id: int, proof: Proof) -> bool:
    """Whatever bears this delivery's own token proves that the mail was accepted.

    The one function for all proofs, a machine's too. False when there was no doubt.
    """
    return resolve(session, DeliveryState.ACCEPTED, proof, Delivery.id == delivery_id) > 0


def resolve(session: Session, to: DeliveryState, reason: str, *which: ColumnElement[bool]) -> int:
    """Move those rows in doubt to `to`, each with its line in the log; returns how many.

    Their token ends here: a reply read later is fenced. PENDING is due at once.
    """
    due = {"due_at": now()} if to is DeliveryState.PENDING else {}
    statement = (
        move(to, [DeliveryState.IN_DOUBT])
        .where(*which)
        .values(reason=reason, **due, **LEASE_ENDED)
        .returning(Delivery.id)
    )
    resolved = [Outcome(found, to, reason) for found in session.scalars(statement)]
    log_outcomes(session, resolved)
    return len(resolved)


def reap(session: Session) -> None:
    """End expired leases: what was never offered goes back, what was is in doubt."""
    expired = and_(LEASED, Delivery.lease_until < database_now())
    session.execute(
        move(DeliveryState.PENDING, [DeliveryState.CLAIMED])
        .where(_free(Delivery.state == DeliveryState.CLAIMED, expired))
        .values(**LEASE_ENDED)
    )
    statement = (
        move(DeliveryState.IN_DOUBT, [DeliveryState.SENDING])
        .where(_free(Delivery.state == DeliveryState.SENDING, expired))
        .values(reason="worker lost", lease_until=null(), last_at=now())
        .returning(Delivery.id)
    )
    doubtful = [
        Outcome(found, DeliveryState.IN_DOUBT, "worker lost")
        for found in session.scalars(statement)
    ]
    log_outcomes(session, doubtful)


def expire(session: Session, broadcast_id: int) -> None:
    """Past the broadcast's `not_after`: nothing new is offered, retries end as failures.

    What is in doubt stays in doubt.
    """
    _end_waiting(session, broadcast_id, SkipReason.EXPIRED)


def cancel(session: Session, broadcast_id: int) -> None:
    """As `expire`, because somebody said so; rows on the wire right now still get their outcome."""
    session.execute(
        move(DeliveryState.PENDING, [DeliveryState.CLAIMED])
        .where(_free(Delivery.state == DeliveryState.CLAIMED, leased_of(broadcast_id)))
        .values(**LEASE_ENDED)
    )
    _end_waiting(session, broadcast_id, SkipReason.CANCELLED)


def _end_waiting(session: Session, broadcast_id: int, why: SkipReason) -> None:
    """Skip what was never offered; what was keeps the last thing a relay said about it."""
    session.execute(
        move(DeliveryState.SKIPPED, [DeliveryState.PENDING])
        .where(WAITING, Delivery.broadcast_id == broadcast_id, Delivery.attempt == 0)
        .values(reason=why)
    )
    _end_retries(session, why, Delivery.broadcast_id == broadcast_id)


def withdraw(session: Session, *which: ColumnElement[bool]) -> None:
    """Skip those of the rows that wait; what somebody holds is found unmailable by them."""
    session.execute(
        move(DeliveryState.SKIPPED, [DeliveryState.PENDING])
        .where(*which)
        .values(reason=SkipReason.UNSUBSCRIBED)
    )


def end_hopeless_retries(session: Session, broadcast_id: int, not_after: datetime) -> None:
    """A retry that would come too late fails now, with its last reply: nobody waits for it."""
    late = Delivery.due_at > not_after
    _end_retries(session, SkipReason.EXPIRED, Delivery.broadcast_id == broadcast_id, late)


def _end_retries(session: Session, why: SkipReason, *which: ColumnElement[bool]) -> None:
    statement = (
        move(DeliveryState.FAILED, [DeliveryState.PENDING])
        .where(WAITING, Delivery.attempt > 0, *which)
        .values(last_at=now())
        .returning(Delivery.id, Delivery.reason)
    )
    ended = [
        Outcome(found, DeliveryState.FAILED, f"{why} after {reason}")
        for found, reason in session.execute(statement)
    ]
    log_outcomes(session, ended)


def retry_failed(session: Session, broadcast_id: int) -> int:
    """Put the failed rows of those who may be mailed back in line; returns how many.

    Attempts are kept. Whoever left or was suppressed meanwhile stays failed, with what the relay
    said: in line they would only be skipped.
    """
    statement = (
        move(DeliveryState.PENDING, [DeliveryState.FAILED])
        .where(Delivery.broadcast_id == broadcast_id, _still_mailable(broadcast_id))
        .values(due_at=now())
        .returning(Delivery.id)
    )
    retried = [
        Outcome(found, DeliveryState.PENDING, "retried by hand")
        for found in session.scalars(statement)
    ]
    log_outcomes(session, retried)
    return len(retried)


def retryable(session: Session, broadcast_id: int) -> int:
    """How many `retry_failed` would put back in line."""
    ours = (Delivery.broadcast_id == broadcast_id, NOT_SENT, Delivery.state == DeliveryState.FAILED)
    count = select(func.count()).select_from(Delivery)
    return session.scalar(count.where(*ours, _still_mailable(broadcast_id))) or 0


def _still_mailable(broadcast_id: int) -> ColumnElement[bool]:
    lists = select(BroadcastList.list_id).where(BroadcastList.broadcast_id == broadcast_id)
    return audience.still_mailable(
        Delivery.address_key, Delivery.domain_key, Delivery.subscriber_id, lists
    )


LEASE_ENDED = {"lease_token": null(), "lease_until": null()}
IS_LEASED = and_(LEASED, Delivery.lease_until.is_not(None))
"""Spelled as the partial index of leased rows is: SQLite and a prepared plan use it only then."""


def move(to: DeliveryState, sources: Sequence[DeliveryState]) -> Update:
    """An UPDATE from `sources` to `to`; only moves of the table of legal moves can be written."""
    assert all(to in DELIVERY_MOVES[source] for source in sources), (sources, to)
    statement = update(Delivery).where(Delivery.state.in_(sources)).values(state=to)
    return statement.execution_options(synchronize_session=False)


def _free(*conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    """Of these rows those that nobody else moves this moment.

    Senders lock a few rows at a time in an order of their own. Who takes many waits for none of
    them, or two would wait for each other; the next sweep finds what was left.
    """
    free = select(Delivery.id).where(*conditions).with_for_update(skip_locked=True)
    return Delivery.id.in_(free)


def log_outcomes(session: Session, outcomes: Iterable[Outcome]) -> None:
    """Keep a line for everything but plain success."""
    lines = [
        {"delivery_id": o.delivery_id, "at": now(), "state": o.state, "reason": _line(o)}
        for o in outcomes
        if o.state is not DeliveryState.ACCEPTED or o.reply is None
    ]
    if lines:
        session.execute(insert(DeliveryLog), lines)


def _line(outcome: Outcome) -> str:
    reply = outcome.reply
    said = f": {reply.code} {reply.enhanced} {reply.text}"[:300] if reply else ""
    return outcome.reason + said
