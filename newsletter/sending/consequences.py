"""What an outcome means beyond its row; runs in the transaction that records it."""

from sqlalchemy.orm import Session

from newsletter.broadcasts.models import Delivery
from newsletter.broadcasts.offers import Conclusion
from newsletter.mail.replies import suppresses
from subscribers import suppressions
from subscribers.models import SuppressionReason


def consequence(session: Session, conclusion: Conclusion) -> None:
    """An address that is gone for certain is suppressed."""
    outcome = conclusion.outcome
    if outcome.reply is None or not suppresses(outcome.reply):
        return
    delivery = session.get_one(Delivery, outcome.delivery_id)
    suppressions.suppress(
        session,
        delivery.address_key,
        reason=SuppressionReason.GONE,
        source=f"delivery {outcome.delivery_id}",
    )
