"""The ledger: every statement that moves a delivery from one state to another.

Who claims rows gets a fencing token of 63 random bits. Intent and outcome compare it, so a worker
that slept past its lease cannot send, and cannot overwrite what somebody else did since. Rows
whose ids do not come back from a statement are fenced: drop them, never send them.
"""

import secrets
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Integer,
    Update,
    and_,
    bindparam,
    case,
    exists,
    insert,
    null,
    select,
    update,
)
from sqlalchemy.orm import Session

from newsletter.broadcasts.models import (
    DELIVERY_MOVES,
    LEASED,
    WAITING,
    Broadcast,
    BroadcastList,
    BroadcastState,
    Delivery,
    DeliveryLog,
    DeliveryState,
    Proof,
    SkipReason,
    leased_of,
)
from newsletter.core.clock import now
from newsletter.core.db import UtcDateTime, database_now
from newsletter.mail.replies import Reply
from newsletter.rendering.compiled import WireForm
from subscribers import audience
from subscribers.models import Suppression

_TOKEN_BITS = 63
_ROW = Delivery.__table__.c


@dataclass(frozen=True, slots=True)
class Claimed:
    """One claimed row, as the send loop needs it."""

    delivery_id: int
    subscriber_id: int
    address: str
    address_key: str
    wire_form: WireForm
    attempt: int


@dataclass(frozen=True, slots=True)
class Claim:
    """Rows that are ours until the lease ends, and the token that proves it."""

    token: int
    rows: tuple[Claimed, ...]


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


def claim(session: Session, broadcast_id: int, *, limit: int, lease_seconds: int) -> Claim:
    """Take up to `limit` due rows of a sending broadcast; none are taken twice."""
    token = secrets.randbits(_TOKEN_BITS)
    given = {
        "broadcast": broadcast_id,
        "at": now(),
        "most": limit,
        "token": token,
        "lease": lease_seconds,
    }
    rows = session.connection().execute(_claiming(), given)
    return Claim(token, tuple(sorted((Claimed(*row) for row in rows), key=_by_id)))


def _by_id(row: Claimed) -> int:
    return row.delivery_id


@lru_cache
def _claiming() -> Update:
    """Built once: building a statement costs more than running it."""
    due = (
        select(_ROW.id)
        .where(
            _ROW.broadcast_id == bindparam("broadcast"),
            WAITING,
            _ROW.due_at <= bindparam("at", type_=UtcDateTime()),
            _is_sending(bindparam("broadcast"), bindparam("at", type_=UtcDateTime())),
        )
        .order_by(_ROW.due_at, _ROW.id)
        .limit(bindparam("most", type_=Integer))
        .with_for_update(skip_locked=True)
        .cte("due")
    )
    return (
        update(Delivery.__table__)  # type: ignore[arg-type] # a table, which its type hides
        .where(_ROW.id == due.c.id, WAITING)
        .values(
            state=DeliveryState.CLAIMED,
            lease_token=bindparam("token"),
            lease_until=database_now(bindparam("lease", type_=Integer)),
        )
        .returning(
            _ROW.id,
            _ROW.subscriber_id,
            _ROW.address,
            _ROW.address_key,
            _ROW.wire_form,
            _ROW.attempt,
        )
    )


def skip_unmailable(session: Session, broadcast_id: int, token: int) -> set[int]:
    """Drop what is claimed under `token` for people who left since freezing; returns whom."""
    given = {"broadcast": broadcast_id, "token": token}
    return set(session.connection().scalars(_skipping(), given))


@lru_cache
def _skipping() -> Update:
    reason = case((_is_suppressed, SkipReason.SUPPRESSED), else_=SkipReason.UNSUBSCRIBED)
    return (
        _move(DeliveryState.SKIPPED, [DeliveryState.CLAIMED])
        .where(
            Delivery.lease_token == bindparam("token"),
            ~_still_mailable(bindparam("broadcast")),
            _IS_LEASED,
        )
        .values(reason=reason, **_LEASE_ENDED)
        .returning(Delivery.id)
    )


def release(session: Session, token: int, delivery_ids: Collection[int]) -> None:
    """Give back rows that were claimed under `token` and never offered."""
    session.execute(
        _move(DeliveryState.PENDING, [DeliveryState.CLAIMED])
        .where(Delivery.id.in_(delivery_ids), Delivery.lease_token == token)
        .values(**_LEASE_ENDED)
    )


def postpone(session: Session, delivery_id: int, token: int, seconds: float) -> None:
    """Give back one claimed row that is not to be offered before `seconds` from now."""
    session.execute(
        _move(DeliveryState.PENDING, [DeliveryState.CLAIMED])
        .where(Delivery.id == delivery_id, Delivery.lease_token == token)
        .values(due_at=now() + timedelta(seconds=seconds), **_LEASE_ENDED)
    )


def renew(session: Session, tokens: Collection[int], *, lease_seconds: int) -> None:
    """Keep what is left of these claims for another lease."""
    session.execute(
        update(Delivery)
        .where(Delivery.lease_token.in_(tokens), _IS_LEASED)
        .values(lease_until=database_now(lease_seconds))
    )


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
        _move(to, [DeliveryState.IN_DOUBT])
        .where(*which)
        .values(reason=reason, **due, **_LEASE_ENDED)
        .returning(Delivery.id)
    )
    resolved = [Outcome(found, to, reason) for found in session.scalars(statement)]
    log_outcomes(session, resolved)
    return len(resolved)


def reap(session: Session) -> None:
    """End expired leases: what was never offered goes back, what was is in doubt."""
    expired = and_(LEASED, Delivery.lease_until < database_now())
    session.execute(
        _move(DeliveryState.PENDING, [DeliveryState.CLAIMED])
        .where(_free(Delivery.state == DeliveryState.CLAIMED, expired))
        .values(**_LEASE_ENDED)
    )
    statement = (
        _move(DeliveryState.IN_DOUBT, [DeliveryState.SENDING])
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
        _move(DeliveryState.PENDING, [DeliveryState.CLAIMED])
        .where(_free(Delivery.state == DeliveryState.CLAIMED, leased_of(broadcast_id)))
        .values(**_LEASE_ENDED)
    )
    _end_waiting(session, broadcast_id, SkipReason.CANCELLED)


def _end_waiting(session: Session, broadcast_id: int, why: SkipReason) -> None:
    """Skip what was never offered; what was keeps the last thing a relay said about it."""
    session.execute(
        _move(DeliveryState.SKIPPED, [DeliveryState.PENDING])
        .where(WAITING, Delivery.broadcast_id == broadcast_id, Delivery.attempt == 0)
        .values(reason=why)
    )
    _end_retries(session, why, Delivery.broadcast_id == broadcast_id)


def end_hopeless_retries(session: Session, broadcast_id: int, not_after: datetime) -> None:
    """A retry that would come too late fails now, with its last reply: nobody waits for it."""
    late = Delivery.due_at > not_after
    _end_retries(session, SkipReason.EXPIRED, Delivery.broadcast_id == broadcast_id, late)


def _end_retries(session: Session, why: SkipReason, *which: ColumnElement[bool]) -> None:
    statement = (
        _move(DeliveryState.FAILED, [DeliveryState.PENDING])
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
    """Put the failed rows, and only these, back in line; returns how many. Attempts are kept."""
    statement = (
        _move(DeliveryState.PENDING, [DeliveryState.FAILED])
        .where(Delivery.broadcast_id == broadcast_id)
        .values(due_at=now())
        .returning(Delivery.id)
    )
    retried = [
        Outcome(found, DeliveryState.PENDING, "retried by hand")
        for found in session.scalars(statement)
    ]
    log_outcomes(session, retried)
    return len(retried)


_is_suppressed = exists().where(Suppression.address_key == Delivery.address_key)
_LEASE_ENDED = {"lease_token": null(), "lease_until": null()}
_IS_LEASED = and_(LEASED, Delivery.lease_until.is_not(None))
"""Spelled as the partial index of leased rows is: SQLite and a prepared plan use it only then."""


def _move(to: DeliveryState, sources: Sequence[DeliveryState]) -> Update:
    """An UPDATE from `sources` to `to`; only moves of the table of legal moves can be written."""
    assert all(to in DELIVERY_MOVES[source] for source in sources), (sources, to)
    statement = update(Delivery).where(Delivery.state.in_(sources)).values(state=to)
    return statement.execution_options(synchronize_session=False)


def _is_sending(
    broadcast_id: BindParameter[int], at: BindParameter[datetime]
) -> ColumnElement[bool]:
    """It is sending, and not yet stale: whoever finds it late mails nobody."""
    return exists().where(
        Broadcast.id == broadcast_id,
        Broadcast.state == BroadcastState.SENDING,
        Broadcast.not_after > at,
    )


def _free(*conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    """Of these rows those that nobody else moves this moment.

    Senders lock a few rows at a time in an order of their own. Who takes many waits for none of
    them, or two would wait for each other; the next sweep finds what was left.
    """
    free = select(Delivery.id).where(*conditions).with_for_update(skip_locked=True)
    return Delivery.id.in_(free)


def _still_mailable(broadcast_id: BindParameter[int]) -> ColumnElement[bool]:
    lists = select(BroadcastList.list_id).where(BroadcastList.broadcast_id == broadcast_id)
    return audience.still_mailable(Delivery.address_key, Delivery.subscriber_id, lists)


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
