"""People whom another newsletter knows too.

Name, language, time zone and attributes are kept once for all newsletters: who works for one of
them cannot tell whose they are, so of these people it sees and changes none of that.
"""

from collections.abc import Collection

from sqlalchemy import select
from sqlalchemy.orm import Session

from subscribers.models import SubscriberList, Subscription


def is_elsewhere(session: Session, subscriber_id: int, newsletter_id: int) -> bool:
    """The person is on a list of another newsletter too, or was."""
    return bool(elsewhere(session, [subscriber_id], newsletter_id))


def elsewhere(session: Session, subscriber_ids: Collection[int], newsletter_id: int) -> set[int]:
    """Those of some people who are on a list of another newsletter too, or were."""
    others = (
        select(Subscription.subscriber_id)
        .join(SubscriberList, SubscriberList.id == Subscription.list_id)
        .where(
            Subscription.subscriber_id.in_(set(subscriber_ids)),
            SubscriberList.newsletter_id.is_distinct_from(newsletter_id),
        )
    )
    return set(session.scalars(others.distinct()))
