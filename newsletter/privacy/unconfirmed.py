"""Who asked and never confirmed is forgotten after a time; what was counted goes with its hour."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeVar

from sqlalchemy import ScalarSelect, Select, delete, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from newsletter.broadcasts.models import DeliveryState
from newsletter.core.clock import now
from newsletter.core.config import Settings
from newsletter.core.db import Sessions
from newsletter.sending.models import SystemMail
from subscribers import sign_up
from subscribers.models import (
    ConsentChange,
    ConsentEvent,
    Subscriber,
    Subscription,
    SubscriptionStatus,
)
from subscribers.sign_up_counts import forget_past_windows

CHUNK_ROWS = 200
_IMPORT = "import"
_IN_ONE_GO = timedelta(minutes=1)
"""The person is made right before the request is written, by the same transaction."""
_Value = TypeVar("_Value")


def forget_unconfirmed(
    sessions: Sessions,
    settings: Settings,
    progress: Callable[[int], None] = lambda _rows: None,
    stop: Callable[[], bool] = lambda: False,
) -> int:
    """Forget requests older than `retention.unconfirmed_days`; returns how many there were.

    In chunks, each a transaction of its own: safe to stop, to run again, and to run twice at once.
    """
    asked_before = now() - timedelta(days=settings.retention.unconfirmed_days)
    with sessions.at_once() as connection:
        forget_past_windows(connection)
    forgotten, after = 0, 0
    while True:
        with sessions.writing() as session:
            ids = session.scalars(_over(asked_before, after).limit(CHUNK_ROWS)).all()
            gone = sum(_forget(session, found) for found in ids)
        progress(gone)
        forgotten += gone
        if len(ids) < CHUNK_ROWS or stop():
            return forgotten
        after = ids[-1]


def count_unconfirmed(session: Session, settings: Settings) -> int:
    """How many `forget_unconfirmed` would forget."""
    asked_before = now() - timedelta(days=settings.retention.unconfirmed_days)
    over = _over(asked_before, 0).order_by(None).subquery()
    return session.scalar(select(func.count()).select_from(over)) or 0


def _over(asked_before: datetime, after: int) -> Select[int]:
    """Ids of pending subscriptions that were asked for too long ago, behind that one, in order.

    The last request counts: a letter went with it. An operator who imports people as pending has a
    reason to keep them; no clock runs for these, until somebody else asks for them.
    """
    return (
        select(Subscription.id)
        .where(
            Subscription.status == SubscriptionStatus.PENDING,
            Subscription.id > after,
            _of_last_request(ConsentEvent.at) < asked_before,
            _of_last_request(ConsentEvent.method) != _IMPORT,
        )
        .order_by(Subscription.id)
    )


def _of_last_request(column: InstrumentedAttribute[_Value]) -> ScalarSelect[_Value]:
    """Nothing where nobody asked."""
    return (
        select(column)
        .where(
            ConsentEvent.subscriber_id == Subscription.subscriber_id,
            ConsentEvent.list_id == Subscription.list_id,
            ConsentEvent.change == ConsentChange.REQUESTED,
        )
        .order_by(ConsentEvent.id.desc())
        .limit(1)
        .correlate(Subscription)
        .scalar_subquery()
    )


def _forget(session: Session, subscription_id: int) -> bool:
    """Whether it was still waiting; the person goes too when nothing else is known of them."""
    found = session.get(Subscription, subscription_id)
    locked = sign_up.waiting(session, found.subscriber_id, found.list_id) if found else None
    if locked is None or locked.status is not SubscriptionStatus.PENDING:
        return False
    person = locked.subscriber
    is_unknown = _came_by_asking(session, person)
    if sign_up.give_up(session, locked) and is_unknown:
        _forget_person(session, person)
    return True


def _came_by_asking(session: Session, person: Subscriber) -> bool:
    """Nothing is known of them but that somebody typed their address."""
    if person.name or person.attributes or person.locale or person.time_zone:
        return False
    first = session.scalar(
        select(func.min(ConsentEvent.at)).where(
            ConsentEvent.subscriber_id == person.id, ConsentEvent.change == ConsentChange.REQUESTED
        )
    )
    return first is not None and person.created_at > first - _IN_ONE_GO


def _forget_person(session: Session, person: Subscriber) -> None:
    """Unless a list has them; then they are known since then, not since what is forgotten."""
    since = session.scalar(
        select(func.min(Subscription.subscribed_at)).where(Subscription.subscriber_id == person.id)
    )
    if since is not None:
        person.created_at = max(since, person.created_at)
        return
    session.execute(
        delete(SystemMail).where(
            SystemMail.address == person.email,
            SystemMail.state.not_in([DeliveryState.PENDING, DeliveryState.SENDING]),
        )
    )
    session.delete(person)
