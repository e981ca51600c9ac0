"""Offers: announced before the body leaves, concluded after the reply; a group in one statement.

A connection chains them: the outcome of the message before is written in the transaction that
announces the next. Both statements compare the claim's fencing token. Rows whose ids do not come
back are not ours any more: never send them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    Integer,
    String,
    Table,
    Update,
    and_,
    bindparam,
    case,
    exists,
    func,
    literal_column,
    null,
    or_,
    select,
    update,
)
from sqlalchemy.orm import Session

from newsletter.broadcasts.ledger import Outcome, log_outcomes
from newsletter.broadcasts.models import (
    Broadcast,
    BroadcastList,
    BroadcastState,
    Delivery,
    DeliveryState,
)
from newsletter.core.clock import now
from newsletter.core.db import UtcDateTime, database_now
from newsletter.core.given_rows import given_rows, json_time
from subscribers import audience


@dataclass(frozen=True, slots=True)
class Intent:
    """A claimed row that is about to be offered."""

    delivery_id: int
    token: int
    relay: str


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What came of an offer, and the token that proves it was ours."""

    token: int
    outcome: Outcome
    address_key: str


def announce(
    session: Session, intents: Sequence[Intent], *, lease_seconds: int, again: bool = False
) -> set[int]:
    """Announce that these rows are about to be offered; only those that come back may be.

    The same statement checks again that each lease is ours and alive by the database's clock, the
    broadcast is still sending, and the person may still be mailed. Said `again`, because the reply
    to a commit was lost and nothing was offered, it gives the same answer and burns no second
    attempt; otherwise what is announced is not announced twice.
    """
    rows = [{"id": i.delivery_id, "token": i.token, "relay": i.relay} for i in intents]
    given = {"given": rows, "at": now(), "lease": lease_seconds, "again": int(again)}
    return set(session.connection().scalars(_announcement(_dialect(session)), given))


def conclude(session: Session, conclusions: Sequence[Conclusion]) -> set[int]:
    """Write what came of these offers; a row that is somebody else's by now does not come back.

    A full reply read late still counts: a row in doubt keeps its token until it is terminal.
    """
    given = {"given": [_given(conclusion) for conclusion in conclusions], "at": now()}
    written = set(session.connection().scalars(_conclusion(_dialect(session)), given))
    log_outcomes(session, [c.outcome for c in conclusions if c.outcome.delivery_id in written])
    return written


def _given(conclusion: Conclusion) -> dict[str, Any]:
    outcome = conclusion.outcome
    reply = outcome.reply
    return {
        "id": outcome.delivery_id,
        "token": conclusion.token,
        "to": int(outcome.state),
        "why": outcome.reason,
        "due": json_time(outcome.due_at),
        "uncounted": 0 if outcome.counts else 1,
        "code": reply.code if reply else None,
        "enhanced": reply.enhanced[:12] if reply else "",
        "text": reply.text[:200] if reply else "",
    }


def _dialect(session: Session) -> str:
    return session.get_bind().dialect.name


def _table() -> Table:
    table = Delivery.__table__
    assert isinstance(table, Table)
    return table


_TRUE = literal_column("1", Integer)


@lru_cache
def _announcement(dialect: str) -> Update:
    """Built once: building a statement costs more than running it."""
    row = _table().c
    given = given_rows(
        dialect, "given", {"id": BigInteger(), "token": BigInteger(), "relay": String()}
    )
    lists = select(BroadcastList.list_id).where(BroadcastList.broadcast_id == row.broadcast_id)
    is_sending = exists().where(
        Broadcast.id == row.broadcast_id,
        Broadcast.state == BroadcastState.SENDING,
        Broadcast.not_after > bindparam("at", type_=UtcDateTime()),
    )
    return (
        update(_table())
        .where(
            row.id == given.c.id,
            row.lease_token == given.c.token,
            or_(
                row.state == DeliveryState.CLAIMED,
                and_(
                    row.state == DeliveryState.SENDING, bindparam("again", type_=Integer) == _TRUE
                ),
            ),
            row.lease_until > database_now(),
            is_sending,
            audience.still_mailable(row.address_key, row.subscriber_id, lists),
        )
        .values(
            state=DeliveryState.SENDING,
            attempt=row.attempt + case((row.state == DeliveryState.CLAIMED, 1), else_=0),
            relay=given.c.relay,
            last_at=bindparam("at", type_=UtcDateTime()),
            lease_until=database_now(bindparam("lease", type_=Integer)),
        )
        .returning(row.id)
    )


@lru_cache
def _conclusion(dialect: str) -> Update:
    row = _table().c
    given = given_rows(
        dialect,
        "given",
        {
            "id": BigInteger(),
            "token": BigInteger(),
            "to": Integer(),
            "why": String(),
            "due": UtcDateTime(),
            "uncounted": Integer(),
            "code": Integer(),
            "enhanced": String(),
            "text": String(),
        },
    )
    doubt = given.c.to == literal_column(str(int(DeliveryState.IN_DOUBT)))
    return (
        update(_table())
        .where(
            row.id == given.c.id,
            row.lease_token == given.c.token,
            or_(
                row.state == DeliveryState.SENDING,
                and_(row.state == DeliveryState.IN_DOUBT, ~doubt),
            ),
        )
        .values(
            state=given.c.to,
            reason=given.c.why,
            due_at=func.coalesce(given.c.due, row.due_at),
            attempt=row.attempt - given.c.uncounted,
            reply_code=given.c.code,
            enhanced_code=given.c.enhanced,
            reply_text=given.c.text,
            last_at=bindparam("at", type_=UtcDateTime()),
            lease_token=case((doubt, row.lease_token), else_=null()),
            lease_until=null(),
        )
        .returning(row.id)
    )
