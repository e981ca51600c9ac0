"""Letters to the owner of a subscription: a link that proves the mailbox, a word when they left."""

from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from newsletter.core import logs
from newsletter.core.clock import now
from newsletter.core.errors import NewsletterError
from newsletter.core.runtime import Runtime
from newsletter.issues.models import Newsletter
from newsletter.rendering.mail_tokens import OwnerToken, UndoToken
from newsletter.sending.letters import Letter, post
from newsletter.sending.models import SystemMail
from subscribers import suppressions
from subscribers.models import Subscriber
from subscribers.subscriptions import UNDO_WITHIN

MOST_A_DAY = 3
"""Of each kind, to one person, for one newsletter: anybody with a forwarded mail may ask."""
OWNER_HOURS = 24

log = logs.get(__name__)


def send_owner_link(
    session: Session, runtime: Runtime, newsletter: Newsletter, person: Subscriber
) -> bool:
    """Mail them a link to the whole of their preferences; False when they had enough today.

    Raises:
        ConfigurationError: the newsletter has no sender address.
    """
    # Two at once would both be the first today.
    session.refresh(person, with_for_update={"key_share": True})
    until = int(now().timestamp()) + OWNER_HOURS * 3600
    token = OwnerToken(newsletter.id, person.id, until).mint(runtime.keys)
    url = f"{runtime.settings.site.public_url}/p/{token}"
    about = {"preferences_url": url, "hours": OWNER_HOURS}
    subject = f"Your preferences: {newsletter.name}"
    return _post(session, runtime, newsletter, person, ("preferences", subject, about))


def tell_of_leaving(
    session: Session, runtime: Runtime, token: UndoToken, lists: Sequence[str] = ()
) -> bool:
    """Tell the owner that somebody with a mail of theirs left for them, and how to undo it.

    In the transaction of the leaving, whose locks keep a second one waiting. `lists` are those that
    were left, if not all. A letter that cannot be made keeps nobody from leaving.
    """
    newsletter = session.get_one(Newsletter, token.newsletter_id)
    person = session.get_one(Subscriber, token.subscriber_id)
    url = f"{runtime.settings.site.public_url}/undo/{token.mint(runtime.keys)}"
    hours = int(UNDO_WITHIN.total_seconds() // 3600)
    about = {"undo_url": url, "hours": hours, "lists": lists}
    subject = f"You have left {' and '.join(lists) or newsletter.name}"
    try:
        return _post(session, runtime, newsletter, person, ("left", subject, about))
    except NewsletterError as error:
        log.warning("notice.failed", subscriber_id=person.id, error=type(error).__name__)
        return False


def _post(
    session: Session,
    runtime: Runtime,
    newsletter: Newsletter,
    person: Subscriber,
    about: tuple[str, str, dict[str, object]],
) -> bool:
    """One more letter of this kind today, if it is not too many."""
    kind, subject, variables = about
    key = f"{kind}-{newsletter.id}-{person.id}-{now().date().isoformat()}-"
    sent = session.scalar(
        select(func.count()).where(SystemMail.idempotency_key.startswith(key, autoescape=True))
    )
    if (sent or 0) >= MOST_A_DAY or suppressions.is_suppressed(session, person.address_key):
        return False
    letter = Letter(kind, f"{key}{sent}", subject, variables)
    return post(session, runtime, newsletter, person, letter)
