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
    ARRAY,
    BigInteger,
    ColumnElement,
    FromClause,
    Integer,
    String,
    Table,
    Update,
    and_,
    bindparam,
    case,
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
from newsletter.core.given_rows import asked_per_row, given_rows, json_time
from newsletter.core.tables import UtcDateTime, database_now
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

    @property
    def is_plain(self) -> bool:
        """Accepted, and nothing else follows from it."""
        return self.outcome.state is DeliveryState.ACCEPTED and self.outcome.reply is not None


def announce(
    session: Session, intents: Sequence[Intent], *, lease_seconds: int, again: bool = False
) -> set[int]:
    """Announce that these rows are about to be offered; only those that come back may be.

    The same statement checks again that each lease is ours and alive by the database's clock, the
    broadcast is still sending, and the person may still be mailed. Said `again`, because the reply
    to a commit was lost and nothing was offered, it gives the same answer and burns no second
    attempt; otherwise what is announced is not announced twice.
    """
    given = {
        **_rows("given", announced(intents)),
        "at": now(),
        "lease": lease_seconds,
        "again": int(again),
    }
    statement = announcement(_dialect(session), "given").returning(ledger_table().c.id)
    return set(session.connection().scalars(statement, given))


def conclude(session: Session, conclusions: Sequence[Conclusion]) -> set[int]:
    """Write what came of these offers; a row that is somebody else's by now does not come back.

    A full reply read late still counts: a row in doubt keeps its token until it is terminal.
    """
    given = {**_rows("given", [_given(c) for c in conclusions]), "at": now()}
    written = set(session.connection().scalars(_conclusion(_dialect(session), "given"), given))
    log_outcomes(session, [c.outcome for c in conclusions if c.outcome.delivery_id in written])
    return written


def _rows(name: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {name: rows, f"{name}_ids": [row["id"] for row in rows]}


def announced(intents: Sequence[Intent]) -> list[dict[str, Any]]:
    """What `announcement` is given."""
    return [{"id": i.delivery_id, "token": i.token, "relay": i.relay} for i in intents]


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


def ledger_table() -> Table:
    """`Delivery.__table__` by its real type."""
    table = Delivery.__table__
    assert isinstance(table, Table)
    return table


_TRUE = literal_column("1", Integer)


def is_one_of(dialect: str, name: str, given: FromClause) -> ColumnElement[bool]:
    """The row is one of those given; found by its key, whatever the planner thinks of the rest.

    PostgreSQL takes a function for a hundred rows and a young table for an empty one, and would
    rather read all recipients of the broadcast; an array of keys leaves it no choice.
    """
    same = ledger_table().c.id == given.c.id
    if dialect != "postgresql":
        return same
    keys = bindparam(f"{name}_ids", type_=ARRAY(BigInteger))
    return and_(same, ledger_table().c.id == func.any(keys))


def state_of_found() -> ColumnElement[DeliveryState]:
    """The state of rows that are found by key.

    The sum hides the indexes of leases and doubts: they are full of rows long dead, and PostgreSQL
    would sooner read all of these than trust a key.
    """
    return ledger_table().c.state + literal_column("0", Integer)


@lru_cache
def announcement(dialect: str, name: str) -> Update:
    """The rows given under this name are announced; built once, that costs more than running."""
    row = ledger_table().c
    given = given_rows(
        dialect, name, {"id": BigInteger(), "token": BigInteger(), "relay": String()}
    )
    state = state_of_found()
    lists = (
        select(BroadcastList.list_id)
        .where(BroadcastList.broadcast_id == row.broadcast_id)
        .correlate(ledger_table())
    )
    is_sending = asked_per_row(
        Broadcast,
        Broadcast.id == row.broadcast_id,
        Broadcast.state == BroadcastState.SENDING,
        Broadcast.not_after > bindparam("at", type_=UtcDateTime()),
    )
    return (
        update(ledger_table())
        .where(
            is_one_of(dialect, name, given),
            row.lease_token == given.c.token,
            or_(
                state == DeliveryState.CLAIMED,
                and_(state == DeliveryState.SENDING, bindparam("again", type_=Integer) == _TRUE),
            ),
            row.lease_until > database_now(),
            is_sending,
            audience.still_mailable(row.address_key, row.domain_key, row.subscriber_id, lists),
        )
        .values(
            state=DeliveryState.SENDING,
            attempt=row.attempt + case((row.state == DeliveryState.CLAIMED, 1), else_=0),
            relay=given.c.relay,
            last_at=bindparam("at", type_=UtcDateTime()),
            lease_until=database_now(bindparam("lease", type_=Integer)),
        )
    )


@lru_cache
def _conclusion(dialect: str, name: str) -> Update:
    row, state = ledger_table().c, state_of_found()
    given = given_rows(
        dialect,
        name,
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
        update(ledger_table())
        .where(
            is_one_of(dialect, name, given),
            row.lease_token == given.c.token,
            or_(state == DeliveryState.SENDING, and_(state == DeliveryState.IN_DOUBT, ~doubt)),
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
