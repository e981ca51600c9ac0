"""Who left, and how: the questions that every door and every way back asks first."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from subscribers.models import (
    ConsentChange,
    ConsentEvent,
    ConsentMethod,
    SubscriberList,
    Subscription,
    SubscriptionStatus,
)

LEAVINGS = (ConsentChange.UNSUBSCRIBED, ConsentChange.LEFT_AGAIN)
_CAME = (ConsentChange.REQUESTED, ConsentChange.SUBSCRIBED, ConsentChange.CONFIRMED)


def left_newsletter(session: Session, subscriber_id: int, of: SubscriberList) -> bool:
    """They left the newsletter of this list, so that its other lists are closed to others' word.

    The caller has locked the person's row: if somebody is just leaving for them, we see it.
    """
    same = SubscriberList.id == of.id
    if of.newsletter_id is not None:
        same = or_(same, SubscriberList.newsletter_id == of.newsletter_id)
    rows = session.execute(
        select(Subscription.status, Subscription.unsubscribed_at)
        .join(SubscriberList)
        .where(Subscription.subscriber_id == subscriber_id, same)
    )
    return is_gone((status, left_at) for status, left_at in rows)


def newsletters_of(session: Session) -> Mapping[int, tuple[int, int]]:
    """By list what is the same for all lists of a newsletter; one without is by itself."""
    lists = session.execute(select(SubscriberList.id, SubscriberList.newsletter_id))
    return {number: (of, 0) if of else (0, number) for number, of in lists}


def is_gone(standing: Iterable[tuple[SubscriptionStatus, datetime | None]]) -> bool:
    """Of one person's subscriptions to a newsletter, with when each was left: they left it.

    One is left, none is active. A pending one counts for nothing: anybody may have typed their
    address, and one that was left before stays so until they confirm.
    """
    has_left = False
    for status, left_at in standing:
        if status is SubscriptionStatus.ACTIVE:
            return False
        has_left = has_left or status is SubscriptionStatus.UNSUBSCRIBED or left_at is not None
    return has_left


def last_leaving(session: Session, subscription: Subscription) -> ConsentEvent | None:
    """The evidence of it; None when they never left this list."""
    return session.scalar(
        select(ConsentEvent)
        .where(
            ConsentEvent.subscriber_id == subscription.subscriber_id,
            ConsentEvent.list_id == subscription.list_id,
            ConsentEvent.change.in_(LEAVINGS),
        )
        .order_by(ConsentEvent.id.desc())
        .limit(1)
    )


def left_before(session: Session, subscription: Subscription) -> datetime | None:
    """When they had left this list before the leaving that is taken back now, if it holds still.

    Whoever came back since by their own word has not.
    """
    standing = (*_CAME, ConsentChange.UNSUBSCRIBED, ConsentChange.RESUMED)
    events = session.execute(
        select(ConsentEvent.change, ConsentEvent.at)
        .where(
            ConsentEvent.subscriber_id == subscription.subscriber_id,
            ConsentEvent.list_id == subscription.list_id,
            ConsentEvent.change.in_(standing),
        )
        .order_by(ConsentEvent.id)
    )
    left_at = before = None
    for change, at in events:
        if change is ConsentChange.UNSUBSCRIBED:
            left_at, before = at, left_at
        elif change is ConsentChange.RESUMED:
            left_at = before
        elif change is not ConsentChange.REQUESTED:  # which anybody may have typed
            left_at = before = None
    return before


def has_left_again(session: Session, ended: Subscription) -> bool:
    """They left themselves what somebody else, or they in another way, had ended already."""
    last = last_leaving(session, ended)
    return last is not None and last.change is ConsentChange.LEFT_AGAIN


def has_left_since(session: Session, ended: Subscription, event: ConsentEvent) -> bool:
    """After this event they left another list of the newsletter, in another way.

    Who did not confirm in time has not left: nothing was heard of them.
    """
    of_newsletter = select(SubscriberList.id).where(
        SubscriberList.newsletter_id == ended.list.newsletter_id
    )
    since = select(ConsentEvent.id).where(
        ConsentEvent.subscriber_id == ended.subscriber_id,
        ConsentEvent.list_id.in_(of_newsletter),
        ConsentEvent.change.in_(LEAVINGS),
        ConsentEvent.method.not_in((event.method, ConsentMethod.RETENTION)),
        ConsentEvent.id > event.id,
    )
    return session.scalar(since.limit(1)) is not None


def had_only_asked(session: Session, subscription: Subscription) -> bool:
    """Before it was left, it waited to be confirmed: an earlier time on the list does not count."""
    last = session.scalar(
        select(ConsentEvent.change)
        .where(
            ConsentEvent.subscriber_id == subscription.subscriber_id,
            ConsentEvent.list_id == subscription.list_id,
            ConsentEvent.change.in_(_CAME),
        )
        .order_by(ConsentEvent.id.desc())
        .limit(1)
    )
    return last in (None, ConsentChange.REQUESTED)
