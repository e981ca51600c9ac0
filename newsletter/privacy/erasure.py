"""Forget one person: what is left is counted, and keeps imports from bringing them back."""

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from newsletter.accounts import audit
from newsletter.broadcasts.models import Delivery
from newsletter.core.erasure_key import ErasureKey
from newsletter.sending.models import SystemMail
from newsletter.tracking.models import Event
from subscribers import suppressions
from subscribers.models import Subscriber, SuppressionReason


def erase(session: Session, subscriber_id: int, key: ErasureKey, actor: str) -> None:
    """Erase the person in the caller's transaction; state and counts of deliveries stay."""
    person = session.get_one(Subscriber, subscriber_id)
    hashed = suppressions.erased_suppression(key, person.address_key)
    theirs = select(Delivery.id).where(Delivery.subscriber_id == subscriber_id)
    session.execute(
        update(Event).where(Event.delivery_id.in_(theirs)).values(ip="", user_agent=""),
        execution_options={"synchronize_session": False},
    )
    session.execute(
        update(Delivery)
        .where(Delivery.subscriber_id == subscriber_id)
        .values(address="", address_key=hashed, domain_key="", reply_text=""),
        execution_options={"synchronize_session": False},
    )
    session.execute(delete(SystemMail).where(SystemMail.address == person.email))
    suppressions.suppress(session, hashed, reason=SuppressionReason.ERASED, source=actor)
    audit.record(session, actor, "subscriber.erased", subscriber_id)
    session.execute(delete(Subscriber).where(Subscriber.id == subscriber_id))
