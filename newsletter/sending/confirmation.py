"""Ask somebody to confirm: the pending subscription and its mail in one transaction."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from newsletter.broadcasts.planning import sender_identity
from newsletter.core.clock import now
from newsletter.core.errors import RefusedError
from newsletter.core.runtime import Runtime
from newsletter.issues.models import Newsletter
from newsletter.mail.address import Address
from newsletter.rendering.mail_tokens import ConfirmToken
from newsletter.rendering.message import system_message
from newsletter.rendering.system import compile_confirmation
from newsletter.rendering.templates import TemplateFolders
from newsletter.sending import system_mail
from newsletter.sending.models import SystemMail
from newsletter.sending.signing import keyring_of
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
    newsletter = session.get_one(Newsletter, to.newsletter_id)
    identity = sender_identity(newsletter, now().date(), runtime.settings)
    url = f"{identity.base_url}/confirm/{ConfirmToken(subscription.id).mint(runtime.keys)}"
    templates = TemplateFolders.of(runtime.settings.templates.dir)
    text = compile_confirmation(identity, to.name, url, templates)
    address = Address.stored(person.email, person.address_key)
    key = f"confirm-{subscription.id}"
    if _asked(session, key) >= MOST_MAILS:
        return False
    return system_mail.enqueue(
        session,
        key=f"{key}-{now().date().isoformat()}",
        kind="confirmation",
        sender=identity.sender_address,
        to=address.typed,
        wire=system_message(
            identity,
            address,
            text.subject,
            (text.text, text.html),
            date=now(),
            signers=keyring_of(runtime.settings).signers(identity),
        ),
    )


def _asked(session: Session, key: str) -> int:
    sent = select(func.count()).where(SystemMail.idempotency_key.startswith(f"{key}-"))
    return session.scalar(sent) or 0
