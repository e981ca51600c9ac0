"""Who left, and how: the questions that every way back asks first."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from subscribers.models import ConsentChange, ConsentEvent, SubscriberList, Subscription

LEAVINGS = (ConsentChange.UNSUBSCRIBED, ConsentChange.LEFT_AGAIN)


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


def has_left_again(session: Session, ended: Subscription) -> bool:
    """They left themselves what somebody else, or they in another way, had ended already."""
    last = last_leaving(session, ended)
    return last is not None and last.change is ConsentChange.LEFT_AGAIN


def has_left_since(session: Session, ended: Subscription, event: ConsentEvent) -> bool:
    """After this event they left another list of the newsletter, in another way."""
    of_newsletter = select(SubscriberList.id).where(
        SubscriberList.newsletter_id == ended.list.newsletter_id
    )
    since = select(ConsentEvent.id).where(
        ConsentEvent.subscriber_id == ended.subscriber_id,
        ConsentEvent.list_id.in_(of_newsletter),
        ConsentEvent.change.in_(LEAVINGS),
        ConsentEvent.method != event.method,
        ConsentEvent.id > event.id,
    )
    return session.scalar(since.limit(1)) is not None
