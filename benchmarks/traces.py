"""Rows that years of sending leave, by bulk SQL: the ledger, hits, evidence, the audit trail."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    ColumnElement,
    Integer,
    String,
    case,
    cast,
    insert,
    literal,
    select,
    type_coerce,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Session

from benchmarks.million import Lists, days_ago, one_of
from newsletter.accounts.models import AuditEvent
from newsletter.broadcasts.models import Broadcast, Delivery, DeliveryState
from newsletter.core.tables import UtcDateTime
from newsletter.rendering.compiled import WireForm
from newsletter.tracking.models import Event, EventKind
from subscribers.models import (
    EVERYWHERE,
    ConsentEvent,
    Subscriber,
    Subscription,
    SubscriptionStatus,
    Suppression,
)

AUDITED_A_DAY = 200
OPENED_EVERY, CLICKED_EVERY = 3, 12
"""Of those whose number says so: a third, and a twelfth."""
_FAILED, _SKIPPED = 3, 5
_MOMENTS = 12
"""Of acceptance and reading, each later than the one before by more."""
_PROGRAM = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Thunderbird/140.5.0"
_LINKS = 8
_ACTIONS = ("subscriber.added", "subscribers.exported", "suppression.added", "list.changed")
_EDITORS = 20


def deliveries(
    session: Session, broadcast: Broadcast, behind: int, rows: int, open_rows: int
) -> None:
    """To neighbours, from person `behind` on; the last `open_rows` wait, one is in doubt.

    One in a hundred failed, one in two hundred was skipped.
    """
    n, began = Subscriber.id, literal(behind, BigInteger)
    waits = n > began + rows - open_rows
    failed, skipped = n % 100 == _FAILED, n % 200 == _SKIPPED
    in_doubt = n == began + 1
    states = [
        (waits, DeliveryState.PENDING),
        (failed, DeliveryState.FAILED),
        (skipped, DeliveryState.SKIPPED),
        *([(in_doubt, DeliveryState.IN_DOUBT)] if open_rows else []),
    ]
    columns: dict[str, Any] = {
        "broadcast_id": literal(broadcast.id),
        "subscriber_id": n,
        "list_id": literal(broadcast.lists[0].list_id),
        "address": Subscriber.email,
        "address_key": Subscriber.address_key,
        "domain_key": Subscriber.domain_key,
        "wire_form": literal(int(WireForm.INDIVIDUAL)),
        "state": case(*((when, int(state)) for when, state in states), else_=3),
        "due_at": literal(broadcast.start_at, UtcDateTime),
        "attempt": case((waits, 0), else_=1),
        "reason": case((waits, ""), (failed, "recipient"), (skipped, "unsubscribed"), else_=""),
        "last_at": case((waits, None), else_=_later(broadcast.start_at, n)),
    }
    found = select(*columns.values()).where(n > began, n <= began + rows).order_by(n)
    session.execute(insert(Delivery).from_select(list(columns), found))


def hits(session: Session, broadcast: Broadcast, kind: EventKind, every: int) -> None:
    """Of those who have the mail, one in `every` did this once."""
    n = Delivery.subscriber_id
    columns: dict[str, Any] = {
        "broadcast_id": literal(broadcast.id),
        "delivery_id": Delivery.id,
        "kind": literal(kind.value),
        "link": cast(n % _LINKS, Integer) if kind is EventKind.CLICK else literal(None, Integer),
        "at": _later(broadcast.start_at, n + 1),
        "ip": literal("192.0.2.44"),
        "user_agent": literal(_PROGRAM),
    }
    accepted = Delivery.state == DeliveryState.ACCEPTED
    found = select(*columns.values()).where(
        Delivery.broadcast_id == broadcast.id, accepted, n % every == 0
    )
    session.execute(insert(Event).from_select(list(columns), found.order_by(Delivery.id)))


def evidence(session: Session) -> None:
    """Each subscription came with a file or a form; who left said why, or not."""
    n = Subscription.subscriber_id
    came = {
        "change": one_of(("subscribed", "confirmed"), n),
        "at": Subscription.subscribed_at,
        "method": one_of(("import", "confirmation"), n),
        "reason": literal(None, String),
    }
    went = {
        "change": literal("unsubscribed"),
        "at": days_ago(n * 7 % 1_400),
        "method": literal("one-click"),
        "reason": one_of(("too_often", "not_relevant", "other"), n),
    }
    left = Subscription.status == SubscriptionStatus.UNSUBSCRIBED
    for columns, where in ((came, n > 0), (went, left)):
        chosen = select(n, Subscription.list_id, *columns.values()).where(where)
        names = ["subscriber_id", "list_id", *columns]
        session.execute(insert(ConsentEvent).from_select(names, chosen.order_by(Subscription.id)))


def suppressed(session: Session, lists: Lists) -> None:
    """One in fifty everywhere; a few more on one list."""
    n = Subscriber.id
    for list_id, which in ((EVERYWHERE, n % 50 == 13), (lists.weekly.id, n % 2_000 == 14)):
        reason = one_of(("gone", "complaint", "manual"), n)
        rows = select(Subscriber.address_key, literal(list_id), reason, days_ago(n % 1_400))
        names = ["key", "list_id", "reason", "created_at"]
        session.execute(insert(Suppression).from_select(names, rows.where(which).order_by(n)))


def audited(session: Session, rows: int) -> None:
    """What people who work here did, the oldest first."""
    n = Subscriber.id
    editor = literal("user ") + cast(n % _EDITORS, String) + ": editor@example.org"
    columns: dict[str, Any] = {
        "at": days_ago(1_380 - n * 1_380 / rows),
        "actor": editor,
        "action": one_of(_ACTIONS, n),
        "subscriber_id": case((n % 4 == 0, n), else_=None),
        "details": _details(session, n),
    }
    found = select(*columns.values()).where(n <= rows).order_by(n)
    session.execute(insert(AuditEvent).from_select(list(columns), found))


def _details(session: Session, n: Any) -> ColumnElement[Any]:
    made = literal('{"newsletter": "field-notes", "rows": ') + cast(n % 1_000, String) + "}"
    if session.get_bind().dialect.name == "postgresql":
        return cast(made, JSONB)
    return type_coerce(made, JSON)


def _later(start: datetime, n: Any) -> ColumnElement[Any]:
    """Most within the first hours."""
    moments = {
        number: literal(start + timedelta(minutes=10 + 20 * number * number), UtcDateTime)
        for number in range(_MOMENTS)
    }
    return case(moments, value=cast(n, BigInteger) % _MOMENTS, else_=moments[0])
