"""The ledger: every statement that moves a delivery from one state to another.

Who claims rows gets a fencing token of 63 random bits. Intent and outcome compare it, so a worker
that slept past its lease cannot send, and cannot overwrite what somebody else did since. Rows
whose ids do not come back from a statement are fenced: drop them, never send them.
"""

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Integer,
    Update,
    and_,
    bindparam,
    case,
    exists,
    func,
    insert,
    null,
    or_,
    select,
    update,
)
from sqlalchemy.orm import Session

from newsletter.broadcasts.models import (
    DELIVERY_MOVES,
    Broadcast,
    BroadcastList,
    BroadcastState,
    Delivery,
    DeliveryLog,
    DeliveryState,
    SkipReason,
)
from newsletter.core.clock import now
from newsletter.core.db import BigId, UtcDateTime, database_now
from newsletter.mail.replies import Reply
from newsletter.rendering.compiled import WireForm
from subscribers import audience
from subscribers.models import Suppression

_TOKEN_BITS = 63


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
    due = (
        select(Delivery.id)
        .where(
            Delivery.broadcast_id == broadcast_id,
            Delivery.state == DeliveryState.PENDING,
            Delivery.due_at <= now(),
            _is_sending(broadcast_id, now()),
        )
        .order_by(Delivery.due_at, Delivery.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("due")
    )
    statement = (
        _move(DeliveryState.CLAIMED, [DeliveryState.PENDING])
        .where(Delivery.id == due.c.id)
        .values(lease_token=token, lease_until=database_now(lease_seconds))
        .returning(
            Delivery.id,
            Delivery.subscriber_id,
            Delivery.address,
            Delivery.address_key,
            Delivery.wire_form,
            Delivery.attempt,
        )
    )
    rows = sorted(session.execute(statement))
    return Claim(token, tuple(Claimed(*row) for row in rows))


def intend(
    session: Session,
    broadcast_id: int,
    claim: Claim,
    delivery_id: int,
    *,
    relay: str,
    lease_seconds: int,
) -> bool:
    """Announce that this row is about to be offered; only if this says True may it be.

    The same statement checks again that the lease is ours and alive by the database's clock, the
    broadcast is still sending, and the person may still be mailed.
    """
    intent = {
        "ours": delivery_id,
        "token": claim.token,
        "broadcast": broadcast_id,
        "relay": relay,
        "at": now(),
        "lease": lease_seconds,
    }
    return session.scalar(_INTEND, intent) is not None


def skip_unmailable(session: Session, broadcast_id: int, claim: Claim, delivery_id: int) -> None:
    """Drop a claimed row whose person unsubscribed or was suppressed since freezing."""
    reason = case((_is_suppressed, SkipReason.SUPPRESSED), else_=SkipReason.UNSUBSCRIBED)
    session.execute(
        _move(DeliveryState.SKIPPED, [DeliveryState.CLAIMED])
        .where(
            Delivery.id == delivery_id,
            Delivery.lease_token == claim.token,
            ~_still_mailable(broadcast_id),
        )
        .values(reason=reason, **_LEASE_ENDED)
    )


def release(session: Session, claim: Claim) -> None:
    """Give back what was claimed and never offered."""
    session.execute(
        _move(DeliveryState.PENDING, [DeliveryState.CLAIMED])
        .where(Delivery.lease_token == claim.token)
        .values(**_LEASE_ENDED)
    )


def renew(session: Session, claim: Claim, *, lease_seconds: int) -> None:
    """Keep what is left of the claim for another lease."""
    session.execute(
        update(Delivery)
        .where(
            Delivery.lease_token == claim.token,
            Delivery.state.in_([DeliveryState.CLAIMED, DeliveryState.SENDING]),
        )
        .values(lease_until=database_now(lease_seconds))
    )


def record(session: Session, token: int, outcome: Outcome) -> bool:
    """Write what came of an offer; False when the row is somebody else's by now.

    A full reply read late still counts: a row in doubt keeps its token until it is terminal.
    """
    reply = outcome.reply
    came = {
        "ours": outcome.delivery_id,
        "token": token,
        "to": outcome.state,
        "why": outcome.reason,
        "due": outcome.due_at,
        "uncounted": 0 if outcome.counts else 1,
        "code": reply.code if reply else None,
        "enhanced": reply.enhanced if reply else "",
        "text": reply.text[:200] if reply else "",
        "at": now(),
    }
    recorded = session.scalar(_RECORD, came) is not None
    if recorded:
        _log(session, [outcome])
    return recorded


def proved_arrival(session: Session, delivery_id: int) -> None:
    """An open, click or unsubscribe with this delivery's token proves that it was accepted."""
    statement = (
        _move(DeliveryState.ACCEPTED, [DeliveryState.IN_DOUBT])
        .where(Delivery.id == delivery_id)
        .values(reason="proved by the reader", **_LEASE_ENDED)
        .returning(Delivery.id)
    )
    for found in session.scalars(statement):
        _log(session, [Outcome(found, DeliveryState.ACCEPTED, "proved by the reader")])


def reap(session: Session) -> None:
    """End expired leases: what was never offered goes back, what was is in doubt."""
    expired = Delivery.lease_until < database_now()
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
    _log(session, doubtful)


def expire(session: Session, broadcast_id: int) -> None:
    """Past the broadcast's `not_after`: nothing new is offered, retries end as failures."""
    _end_waiting(session, broadcast_id, SkipReason.EXPIRED)


def cancel(session: Session, broadcast_id: int) -> None:
    """As `expire`, because somebody said so; rows on the wire right now still get their outcome."""
    ours = Delivery.broadcast_id == broadcast_id
    session.execute(
        _move(DeliveryState.PENDING, [DeliveryState.CLAIMED])
        .where(_free(Delivery.state == DeliveryState.CLAIMED, ours))
        .values(**_LEASE_ENDED)
    )
    _end_waiting(session, broadcast_id, SkipReason.CANCELLED)


def _end_waiting(session: Session, broadcast_id: int, why: SkipReason) -> None:
    """Skip what was never offered; what was keeps the last thing a relay said about it."""
    waiting = and_(Delivery.broadcast_id == broadcast_id, Delivery.state == DeliveryState.PENDING)
    session.execute(
        _move(DeliveryState.SKIPPED, [DeliveryState.PENDING])
        .where(waiting, Delivery.attempt == 0)
        .values(reason=why)
    )
    statement = (
        _move(DeliveryState.FAILED, [DeliveryState.PENDING])
        .where(waiting, Delivery.attempt > 0)
        .values(last_at=now())
        .returning(Delivery.id, Delivery.reason)
    )
    ended = [
        Outcome(found, DeliveryState.FAILED, f"{why} after {reason}")
        for found, reason in session.execute(statement)
    ]
    _log(session, ended)


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
    _log(session, retried)
    return len(retried)


_is_suppressed = exists().where(Suppression.address_key == Delivery.address_key)
_LEASE_ENDED = {"lease_token": null(), "lease_until": null()}


def _move(to: DeliveryState, sources: Sequence[DeliveryState]) -> Update:
    """An UPDATE from `sources` to `to`; only moves of the table of legal moves can be written."""
    assert all(to in DELIVERY_MOVES[source] for source in sources), (sources, to)
    statement = update(Delivery).where(Delivery.state.in_(sources)).values(state=to)
    return statement.execution_options(synchronize_session=False)


def _is_sending(
    broadcast_id: int | BindParameter[int], at: datetime | BindParameter[datetime]
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


def _still_mailable(broadcast_id: int | BindParameter[int]) -> ColumnElement[bool]:
    lists = select(BroadcastList.list_id).where(BroadcastList.broadcast_id == broadcast_id)
    return audience.still_mailable(Delivery.address_key, Delivery.subscriber_id, lists)


# The two statements of the send loop are built once: building one costs more than running it.
_INTEND = (
    _move(DeliveryState.SENDING, [DeliveryState.CLAIMED])
    .where(
        Delivery.id == bindparam("ours"),
        Delivery.lease_token == bindparam("token"),
        Delivery.lease_until > database_now(),
        _is_sending(bindparam("broadcast", type_=BigId), bindparam("at", type_=UtcDateTime)),
        _still_mailable(bindparam("broadcast", type_=BigId)),
    )
    .values(
        attempt=Delivery.attempt + 1,
        relay=bindparam("relay"),
        last_at=bindparam("at", type_=UtcDateTime),
        lease_until=database_now(bindparam("lease", type_=Integer)),
    )
    .returning(Delivery.id)
)
_to = bindparam("to", type_=Delivery.state.type)
_doubt = _to == DeliveryState.IN_DOUBT
_RECORD = (
    update(Delivery)
    .where(
        Delivery.id == bindparam("ours"),
        Delivery.lease_token == bindparam("token"),
        or_(
            Delivery.state == DeliveryState.SENDING,
            and_(Delivery.state == DeliveryState.IN_DOUBT, ~_doubt),
        ),
    )
    .values(
        state=_to,
        reason=bindparam("why"),
        due_at=func.coalesce(bindparam("due", type_=UtcDateTime), Delivery.due_at),
        attempt=Delivery.attempt - bindparam("uncounted", type_=Integer),
        reply_code=bindparam("code"),
        enhanced_code=bindparam("enhanced"),
        reply_text=bindparam("text"),
        last_at=bindparam("at"),
        lease_token=case((_doubt, Delivery.lease_token), else_=null()),
        lease_until=null(),
    )
    .returning(Delivery.id)
    .execution_options(synchronize_session=False)
)


def _log(session: Session, outcomes: Iterable[Outcome]) -> None:
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
