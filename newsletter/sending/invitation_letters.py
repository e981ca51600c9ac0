"""The letter with a link to choose a password by; its link can always be passed on by hand too."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from newsletter.accounts.invitations import GOOD_FOR
from newsletter.accounts.random_keys import key_of
from newsletter.core.errors import NewsletterError
from newsletter.core.runtime import Runtime
from newsletter.core.sentences import say
from newsletter.issues.models import Newsletter
from newsletter.mail.address import Address
from newsletter.sending.letters import Letter, post_to


def invitation_url(runtime: Runtime, secret: str) -> str:
    """Where the invitation with this secret is taken."""
    return f"{runtime.settings.site.public_url}/invitation/{secret}"


def mail_invitation(
    session: Session,
    runtime: Runtime,
    to: Address,
    secret: str,
    *,
    newsletter_id: int | None = None,
    is_new: bool = True,
    asked_in: str = "",
) -> bool:
    """Put it into the outbox; False where nothing can be mailed yet, or the letter cannot be made.

    It comes from the newsletter that the invitation is for, or else from the first there was;
    `asked_in` is the language of whoever invites.
    """
    newsletter = _from_whom(session, newsletter_id)
    if newsletter is None or not runtime.settings.relays:
        return False
    subject = say("Choose a new password")
    if is_new:
        subject = say("Your invitation to %(newsletter)s", newsletter=newsletter.name)
    variables = {
        "invitation_url": invitation_url(runtime, secret),
        "days": GOOD_FOR.days,
        "is_new": is_new,
    }
    key = f"invitation-{key_of(secret)}"
    letter = Letter("invitation", key, subject, variables, asked_in)
    try:
        return post_to(session, runtime, newsletter, to, letter)
    except NewsletterError:
        return False  # no sender address yet, or a template that is wrong: the link is shown


def _from_whom(session: Session, newsletter_id: int | None) -> Newsletter | None:
    newsletters = select(Newsletter).order_by(Newsletter.id).limit(1)
    if newsletter_id is not None:
        newsletters = newsletters.where(Newsletter.id == newsletter_id)
    return session.scalar(newsletters)
