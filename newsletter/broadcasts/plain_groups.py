"""What nearly every group is: some were accepted, others are announced. On the express way.

The statements are those of `offers`, with less to say: one for both on PostgreSQL, two that return
no rows on SQLite, where each row read means asking for the interpreter again.
"""

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import BigInteger, Integer, String, Update, bindparam, null, or_, select, update
from sqlalchemy.types import TypeEngine

from newsletter.broadcasts.models import DeliveryState
from newsletter.broadcasts.offers import (
    Conclusion,
    Intent,
    announced,
    announcement,
    is_one_of,
    ledger_table,
    state_of_found,
)
from newsletter.core.clock import now
from newsletter.core.express import Express, driver_time, written_out
from newsletter.core.given_rows import as_one_value, given_rows
from newsletter.core.tables import UtcDateTime


def write(
    express: Express,
    conclusions: Sequence[Conclusion],
    intents: Sequence[Intent],
    *,
    lease_seconds: int,
) -> set[int]:
    """Conclude plain acceptances and announce intents, in a transaction; the announced ids."""
    values: dict[str, Any] = {
        "at": driver_time(express.dialect, now()),
        "lease": lease_seconds,
        "again": 0,
        **_rows("concluded", [_accepted(conclusion) for conclusion in conclusions]),
        **_rows("announced", announced(intents)),
    }
    if express.dialect == "postgresql":
        return {number for (number,) in express.execute(_both(), values)}
    conclude, announce, look = _one_by_one()
    if conclusions:
        express.execute(conclude, values)
    if not intents:
        return set()
    if express.execute(announce, values).rowcount == len(intents):
        return {intent.delivery_id for intent in intents}
    return set(json.loads(express.execute(look, values).fetchone()[0]))


def _rows(name: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {name: json.dumps(rows), f"{name}_ids": [row["id"] for row in rows]}


def _accepted(conclusion: Conclusion) -> dict[str, Any]:
    reply = conclusion.outcome.reply
    assert reply
    return {
        "id": conclusion.outcome.delivery_id,
        "token": conclusion.token,
        "code": reply.code,
        "enhanced": reply.enhanced[:12],
        "text": reply.text[:200],
    }


@lru_cache
def _both() -> str:
    """For PostgreSQL; returns the announced ids."""
    number = ledger_table().c.id
    found = announcement("postgresql", "announced").returning(number).cte("announcement")
    accepted = _acceptance("postgresql").returning(number).cte("acceptance")
    return written_out(select(found.c.id).add_cte(accepted), "postgresql")


@lru_cache
def _one_by_one() -> tuple[str, ...]:
    """For SQLite: accept; announce; and which were announced just now."""
    row = ledger_table().c
    given = given_rows("sqlite", "announced", {"id": BigInteger(), "token": BigInteger()})
    found = (
        select(row.id)
        .where(
            row.id == given.c.id,
            row.lease_token == given.c.token,
            row.state == DeliveryState.SENDING,
            row.last_at == bindparam("at", type_=UtcDateTime()),
        )
        .subquery()
    )
    accept, announce = _acceptance("sqlite"), announcement("sqlite", "announced")
    statements = (accept, announce, as_one_value(found, found.c.id))
    return tuple(written_out(statement, "sqlite") for statement in statements)


def _acceptance(dialect: str) -> Update:
    row, state = ledger_table().c, state_of_found()
    kinds: dict[str, TypeEngine[Any]] = {
        "id": BigInteger(),
        "token": BigInteger(),
        "code": Integer(),
        "enhanced": String(),
        "text": String(),
    }
    given = given_rows(dialect, "concluded", kinds)
    return (
        update(ledger_table())
        .where(
            is_one_of(dialect, "concluded", given),
            row.lease_token == given.c.token,
            or_(state == DeliveryState.SENDING, state == DeliveryState.IN_DOUBT),
        )
        .values(
            state=DeliveryState.ACCEPTED,
            reason="",
            reply_code=given.c.code,
            enhanced_code=given.c.enhanced,
            reply_text=given.c.text,
            last_at=bindparam("at", type_=UtcDateTime()),
            lease_token=null(),
            lease_until=null(),
        )
    )
