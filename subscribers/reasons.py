"""Why people left, if they say so: asked behind their leaving, never before it."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Row, or_, select
from sqlalchemy.orm import Session

from newsletter.core.clock import now
from newsletter.core.sentences import say
from subscribers.models import (
    MAX_REMARK_CHARACTERS,
    ConsentChange,
    ConsentEvent,
    LeaveReason,
    SubscriberList,
)
from subscribers.subscriptions import UNDO_WITHIN

SENTENCES = {
    LeaveReason.TOO_OFTEN: say("It came too often"),
    LeaveReason.NOT_RELEVANT: say("It was not for me"),
    LeaveReason.NEVER_ASKED: say("I never asked for it"),
    LeaveReason.OTHER: say("Something else"),
}
"""The one table of what may be chosen, and how the page says it."""


def say_why(
    session: Session,
    subscriber_id: int,
    newsletter_id: int,
    reason: LeaveReason | None,
    remark: str,
) -> bool:
    """Keep the reason with the evidence of the person's last leaving; said again, it is replaced.

    False when they did not leave within the last day.
    """
    last = _last_leaving(session, subscriber_id, newsletter_id, now() - UNDO_WITHIN)
    if last is None:
        return False
    last.reason = reason
    last.remark = remark.replace("\0", "").strip()[:MAX_REMARK_CHARACTERS]
    return True


def said(session: Session, most: int = 100) -> Sequence[Row[ConsentEvent, str]]:
    """(the leaving, the list's short name) of those who said why, the latest first."""
    return session.execute(
        select(ConsentEvent, SubscriberList.slug)
        .join(SubscriberList, SubscriberList.id == ConsentEvent.list_id)
        .where(or_(ConsentEvent.reason.is_not(None), ConsentEvent.remark != ""))
        .order_by(ConsentEvent.id.desc())
        .limit(most)
    ).all()


def _last_leaving(
    session: Session, subscriber_id: int, newsletter_id: int, since: datetime
) -> ConsentEvent | None:
    return session.scalar(
        select(ConsentEvent)
        .join(SubscriberList, SubscriberList.id == ConsentEvent.list_id)
        .where(
            ConsentEvent.subscriber_id == subscriber_id,
            ConsentEvent.change == ConsentChange.UNSUBSCRIBED,
            ConsentEvent.at > since,
            SubscriberList.newsletter_id == newsletter_id,
        )
        .order_by(ConsentEvent.id.desc())
        .limit(1)
    )
