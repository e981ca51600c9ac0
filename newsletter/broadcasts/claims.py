"""Claims: due rows that are one sender's until its lease ends, and how it gives them back.

Who claims rows gets a fencing token of 63 random bits. Intent and outcome compare it, so a worker
that slept past its lease cannot send, and cannot overwrite what somebody else did since. Rows
whose ids do not come back from a statement are fenced: drop them, never send them.
"""

import json
import secrets
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    Connection,
    FromClause,
    Integer,
    Select,
    Update,
    bindparam,
    case,
    exists,
    func,
    select,
    update,
)
from sqlalchemy.orm import Session

from newsletter.broadcasts.ledger import IS_LEASED, LEASE_ENDED, move
from newsletter.broadcasts.models import (
    WAITING,
    Broadcast,
    BroadcastList,
    BroadcastState,
    Delivery,
    DeliveryState,
)
from newsletter.broadcasts.offers import ledger_table
from newsletter.core.clock import now
from newsletter.core.express import driver_rows, driver_time, written_out
from newsletter.core.given_rows import as_one_value, given_values
from newsletter.core.tables import UtcDateTime, database_now
from newsletter.rendering.compiled import WireForm
from subscribers import audience
from subscribers.models import Subscriber
from subscribers.recipient import Recipient

_TOKEN_BITS = 63
_ROW = ledger_table().c
_BROADCAST = bindparam("broadcast", type_=BigInteger)
_LISTS = select(BroadcastList.list_id).where(BroadcastList.broadcast_id == _BROADCAST)


@dataclass(frozen=True, slots=True)
class Claimed:
    """One claimed row, and whom it is for.

    Attributes:
        recipient: the frozen address, whatever the subscriber's is by now.
        may_be_mailed: False when they left since freezing: `skip_unmailable`.
    """

    delivery_id: int
    wire_form: WireForm
    attempt: int
    recipient: Recipient
    may_be_mailed: bool


@dataclass(frozen=True, slots=True)
class Claim:
    """Rows that are ours until the lease ends, and the token that proves it."""

    token: int
    rows: tuple[Claimed, ...]


def claim(connection: Connection, broadcast_id: int, *, limit: int, lease_seconds: int) -> Claim:
    """Take up to `limit` due rows of a sending broadcast; none are taken twice.

    One statement on PostgreSQL, so that `Sessions.at_once` will do.
    """
    token = secrets.randbits(_TOKEN_BITS)
    given = {
        "broadcast": broadcast_id,
        "at": driver_time(connection.dialect.name, now()),
        "most": limit,
        "token": token,
        "lease": lease_seconds,
    }
    one_by_one = connection.dialect.name == "sqlite"
    rows = _taken_by_steps(connection, given) if one_by_one else _taken(connection, given)
    return Claim(token, tuple(sorted(map(_claimed, rows), key=_by_id)))


def _by_id(row: Claimed) -> int:
    return row.delivery_id


def _claimed(row: Sequence[Any]) -> Claimed:
    number, form, attempt, subscriber, address, key, _, name, locale, attributes, mailable = row
    person = Recipient(subscriber, address, key, name or "", locale or "", attributes or {})
    return Claimed(number, WireForm(form), attempt, person, bool(mailable))


def _taken(connection: Connection, given: dict[str, Any]) -> Iterable[Sequence[Any]]:
    return driver_rows(connection, _taking_and_telling(), given)


def _taken_by_steps(connection: Connection, given: dict[str, Any]) -> Iterable[Sequence[Any]]:
    """On SQLite, which lets nobody else write meanwhile."""
    ((numbers,),) = driver_rows(connection, _due_numbers(), given)
    given = given | {"claimed": numbers}
    driver_rows(connection, _taking_those(), given)
    ((told,),) = driver_rows(connection, _telling_those(), given)
    return json.loads(told)  # type: ignore[no-any-return] # rows, as the statement makes them


def _due() -> Select[int]:
    """The rows that are due longest, of a broadcast that is sending and not yet stale."""
    at = bindparam("at", type_=UtcDateTime())
    is_sending = exists().where(
        Broadcast.id == _BROADCAST,
        Broadcast.state == BroadcastState.SENDING,
        Broadcast.not_after > at,
    )
    return (
        select(_ROW.id)
        .where(_ROW.broadcast_id == _BROADCAST, WAITING, _ROW.due_at <= at, is_sending)
        .order_by(_ROW.due_at, _ROW.id)
        .limit(bindparam("most", type_=Integer))
    )


def _taking() -> Update:
    """Who has refused since the freezing to be measured gets a copy that tells nothing of them."""
    refuses = audience.refuses_measuring(_ROW.subscriber_id, _ROW.list_id)
    return update(ledger_table()).values(
        state=DeliveryState.CLAIMED,
        wire_form=case((refuses, int(WireForm.NONE)), else_=_ROW.wire_form),
        lease_token=bindparam("token"),
        lease_until=database_now(bindparam("lease", type_=Integer)),
    )


@lru_cache
def _taking_and_telling() -> str:
    """Built once: building a statement costs more than running it."""
    due = _due().with_for_update(skip_locked=True).cte("due")
    taken = _taking().where(_ROW.id == due.c.id, WAITING).returning(*_TAKEN).cte("taken")
    return written_out(_told(taken), "postgresql")


@lru_cache
def _due_numbers() -> str:
    due = _due().subquery()
    return written_out(as_one_value(due, due.c.id), "sqlite")


@lru_cache
def _taking_those() -> str:
    those = _taking().where(_ROW.id.in_(given_values("claimed")), WAITING)
    return written_out(those, "sqlite")


@lru_cache
def _telling_those() -> str:
    taken = select(*_TAKEN).where(_ROW.id.in_(given_values("claimed"))).subquery("taken")
    told = _told(taken).subquery("told")
    columns = [func.json(c) if c.name == "attributes" else c for c in told.c]
    return written_out(as_one_value(told, *columns), "sqlite")


_TAKEN = (
    _ROW.id,
    _ROW.wire_form,
    _ROW.attempt,
    _ROW.subscriber_id,
    _ROW.address,
    _ROW.address_key,
    _ROW.domain_key,
)


def _told(taken: FromClause) -> Select[Any]:
    """The rows, the people behind them as they are now, and whether they may still be mailed."""
    keys = (taken.c.address_key, taken.c.domain_key, taken.c.subscriber_id)
    mailable = audience.still_mailable(*keys, _LISTS)
    columns = (
        *taken.c,
        Subscriber.name,
        Subscriber.locale,
        Subscriber.attributes,
        case((mailable, 1), else_=0).label("mailable"),
    )
    people = taken.outerjoin(Subscriber, Subscriber.id == taken.c.subscriber_id)
    return select(*columns).select_from(people)


def skip_unmailable(session: Session, broadcast_id: int, token: int) -> set[int]:
    """Drop what is claimed under `token` for people who left since freezing; returns whom."""
    given = {"broadcast": broadcast_id, "token": token}
    return set(session.connection().scalars(_skipping(), given))


@lru_cache
def _skipping() -> Update:
    return (
        move(DeliveryState.SKIPPED, [DeliveryState.CLAIMED])
        .where(
            Delivery.lease_token == bindparam("token"),
            ~audience.still_mailable(
                Delivery.address_key, Delivery.domain_key, Delivery.subscriber_id, _LISTS
            ),
            IS_LEASED,
        )
        .values(reason=audience.why_not_mailable(Delivery.subscriber_id, _LISTS), **LEASE_ENDED)
        .returning(Delivery.id)
    )


def release(session: Session, token: int, delivery_ids: Collection[int]) -> None:
    """Give back rows that were claimed under `token` and never offered."""
    session.execute(
        move(DeliveryState.PENDING, [DeliveryState.CLAIMED])
        .where(Delivery.id.in_(delivery_ids), Delivery.lease_token == token)
        .values(**LEASE_ENDED)
    )


def postpone(session: Session, delivery_id: int, token: int, seconds: float) -> None:
    """Give back one claimed row that is not to be offered before `seconds` from now."""
    session.execute(
        move(DeliveryState.PENDING, [DeliveryState.CLAIMED])
        .where(Delivery.id == delivery_id, Delivery.lease_token == token)
        .values(due_at=now() + timedelta(seconds=seconds), **LEASE_ENDED)
    )


def renew(session: Session, tokens: Collection[int], *, lease_seconds: int) -> None:
    """Keep what is left of these claims for another lease."""
    session.execute(
        update(Delivery)
        .where(Delivery.lease_token.in_(tokens), IS_LEASED)
        .values(lease_until=database_now(lease_seconds))
    )
