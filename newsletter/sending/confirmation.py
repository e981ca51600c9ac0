"""Ask somebody to confirm: the pending subscription and its mail in one transaction."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from newsletter.core.clock import now
from newsletter.core.errors import RefusedError
from newsletter.core.runtime import Runtime
from newsletter.issues.models import Newsletter
from newsletter.rendering.mail_tokens import ConfirmToken
from newsletter.sending.letters import Letter, post
from newsletter.sending.models import SystemMail
from subscribers import subscriptions
from subscribers.models import Subscriber, SubscriberList, SubscriptionStatus
from subscribers.subscriptions import Evidence

MOST_MAILS = 3
"""One a day and three in all: asking is not allowed to become a nuisance."""


def ask_to_confirm(
    session: Session,
    runtime: Runtime,
    person: Subscriber,
    to: SubscriberList,
    evidence: Evidence,
) -> bool:
    """Make the subscription pending and put its mail into the outbox; False when none is due.

    Raises:
        RefusedError: the list belongs to no newsletter yet, so nobody could be the sender.
    """
    if to.newsletter_id is None:
        raise RefusedError(f"list {to.slug!r} has no newsletter yet: import an issue first")
    subscription = subscriptions.request(session, person, to, evidence)
    if subscription.status is not SubscriptionStatus.PENDING:
        return False
    key = f"confirm-{subscription.id}"
    if _asked(session, key) >= MOST_MAILS:
        return False
    newsletter = session.get_one(Newsletter, to.newsletter_id)
    token = ConfirmToken(subscription.id).mint(runtime.keys)
    letter = Letter(
        "confirmation",
        f"{key}-{now().date().isoformat()}",
        f"Please confirm: {newsletter.name}",
        {
            "list_name": to.name,
            "confirm_url": f"{runtime.settings.site.public_url}/confirm/{token}",
        },
    )
    return post(session, runtime, newsletter, person, letter)


def _asked(session: Session, key: str) -> int:
    sent = select(func.count()).where(SystemMail.idempotency_key.startswith(f"{key}-"))
    return session.scalar(sent) or 0
