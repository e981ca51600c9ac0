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
    Connection,
    Executable,
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
from newsletter.core.db import UtcDateTime, database_now
from newsletter.core.given_rows import asked_per_row, given_rows, json_time
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
        **_rows("given", _announced(intents)),
        "at": now(),
        "lease": lease_seconds,
        "again": int(again),
    }
    return set(session.connection().scalars(_announcement(_dialect(session), "given"), given))


def conclude(session: Session, conclusions: Sequence[Conclusion]) -> set[int]:
    """Write what came of these offers; a row that is somebody else's by now does not come back.

    A full reply read late still counts: a row in doubt keeps its token until it is terminal.
    """
    given = {**_rows("given", [_given(c) for c in conclusions]), "at": now()}
    written = set(session.connection().scalars(_conclusion(_dialect(session), "given"), given))
    log_outcomes(session, [c.outcome for c in conclusions if c.outcome.delivery_id in written])
    return written


def write_plainly(
    connection: Connection,
    conclusions: Sequence[Conclusion],
    intents: Sequence[Intent],
    *,
    lease_seconds: int,
) -> set[int]:
    """Conclude plain acceptances and announce intents at once; returns the announced ids.

    On PostgreSQL one statement does both. What has more to say than `accepted` goes by `conclude`.
    """
    assert all(conclusion.is_plain for conclusion in conclusions)
    given: dict[str, Any] = {"at": now()}
    if conclusions:
        given |= _rows("concluded", [_given(conclusion) for conclusion in conclusions])
    if intents:
        given |= _rows("announced", _announced(intents))
        given |= {"lease": lease_seconds, "again": 0}
    announced: Sequence[int] = ()
    for statement in _plainly(connection.dialect.name, bool(conclusions), bool(intents)):
        announced = connection.execute(statement, given).scalars().all()
    return set(announced) if intents else set()


def _rows(name: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {name: rows, f"{name}_ids": [row["id"] for row in rows]}


def _announced(intents: Sequence[Intent]) -> list[dict[str, Any]]:
    return [{"id": i.delivery_id, "token": i.token, "relay": i.relay} for i in intents]


@lru_cache
def _plainly(dialect: str, concludes: bool, announces: bool) -> Sequence[Executable]:
    """The last statement's rows are the announced ids."""
    conclusion = _conclusion(dialect, "concluded") if concludes else None
    announcement = _announcement(dialect, "announced") if announces else None
    if conclusion is None or announcement is None or dialect != "postgresql":
        return [s for s in (conclusion, announcement) if s is not None]
    announced = announcement.cte("announcement")
    return [select(announced.c.id).add_cte(conclusion.cte("conclusion"))]


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


def _is_one_of(dialect: str, name: str, given: FromClause) -> ColumnElement[bool]:
    """The row is one of those given; found by its key, whatever the planner thinks of the rest.

    PostgreSQL takes a function for a hundred rows and a young table for an empty one, and would
    rather read all recipients of the broadcast; an array of keys leaves it no choice.
    """
    same = _table().c.id == given.c.id
    if dialect != "postgresql":
        return same
    keys = bindparam(f"{name}_ids", type_=ARRAY(BigInteger))
    return and_(same, _table().c.id == func.any(keys))


@lru_cache
def _announcement(dialect: str, name: str) -> Update:
    """Built once: building a statement costs more than running it."""
    row = _table().c
    given = given_rows(
        dialect, name, {"id": BigInteger(), "token": BigInteger(), "relay": String()}
    )
    lists = (
        select(BroadcastList.list_id)
        .where(BroadcastList.broadcast_id == row.broadcast_id)
        .correlate(_table())
    )
    is_sending = asked_per_row(
        Broadcast.id == row.broadcast_id,
        Broadcast.state == BroadcastState.SENDING,
        Broadcast.not_after > bindparam("at", type_=UtcDateTime()),
    )
    return (
        update(_table())
        .where(
            _is_one_of(dialect, name, given),
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
def _conclusion(dialect: str, name: str) -> Update:
    row = _table().c
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
        update(_table())
        .where(
            _is_one_of(dialect, name, given),
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
