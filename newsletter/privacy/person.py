"""Everything that is kept about one person, as data to take along."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from newsletter.broadcasts.models import Delivery
from newsletter.tracking.models import Event
from subscribers import subscriptions
from subscribers.models import Subscriber, Subscription


def export(session: Session, subscriber_id: int) -> dict[str, Any]:
    """The person, their subscriptions with all evidence, what was sent to them, what they did."""
    person = session.get_one(Subscriber, subscriber_id)
    sent = session.scalars(
        select(Delivery).where(Delivery.subscriber_id == subscriber_id).order_by(Delivery.id)
    ).all()
    events = session.scalars(
        select(Event).where(Event.delivery_id.in_([row.id for row in sent])).order_by(Event.id)
    )
    standing = select(Subscription).where(Subscription.subscriber_id == subscriber_id)
    return {
        "email": person.email,
        "name": person.name,
        "locale": person.locale,
        "time_zone": person.time_zone,
        "attributes": person.attributes,
        "subscriptions": [
            {
                "list": found.list.name,
                "status": found.status.value,
                "tracking_consent": found.tracking_consent.value,
                "subscribed_at": found.subscribed_at.isoformat(),
                "paused_until": found.paused_until.isoformat() if found.paused_until else None,
            }
            for found in session.scalars(standing.order_by(Subscription.id))
        ],
        "consent": [
            {
                "at": line.at.isoformat(),
                "change": line.change.value,
                "method": line.method,
                "form": line.form,
                "ip": line.ip,
                "user_agent": line.user_agent,
                "wording": line.wording,
                "reason": line.reason.value if line.reason else None,
                "remark": line.remark,
            }
            for line in subscriptions.consent_history(session, subscriber_id)
        ],
        "mails": [{"broadcast": row.broadcast_id, "state": row.state.name.lower()} for row in sent],
        "events": [
            {"at": hit.at.isoformat(), "kind": hit.kind.value, "ip": hit.ip} for hit in events
        ],
    }
