"""What a recorded failure means for the address itself."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from newsletter.broadcasts import history
from newsletter.broadcasts.ledger import Outcome
from newsletter.broadcasts.models import Delivery
from newsletter.mail.replies import DISABLED, Reply, ReplyClass, classify, suppresses
from subscribers import suppressions
from subscribers.models import SuppressionReason

_DISABLED_TIMES = 2
"""A mailbox found disabled twice, in two broadcasts or two attempts, is not mailed again."""


def suppress_the_gone(session: Session, outcome: Outcome, address_key: str) -> bool:
    """Suppress the address if this outcome, recorded in the same transaction, says it is gone.

    True when the address is suppressed by this call. Who was erased meanwhile is not named again.
    """
    if outcome.reply is None or not _is_gone(session, outcome.reply, address_key):
        return False
    if not session.scalar(select(Delivery.address).where(Delivery.id == outcome.delivery_id)):
        return False
    source = f"delivery {outcome.delivery_id}"
    return suppressions.suppress(session, address_key, reason=SuppressionReason.GONE, source=source)


def _is_gone(session: Session, reply: Reply, address_key: str) -> bool:
    if suppresses(reply):
        return True
    return (
        classify(reply) is ReplyClass.GONE
        and history.times_failed_with(session, address_key, DISABLED) >= _DISABLED_TIMES
    )
