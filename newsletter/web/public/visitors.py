"""Who stands behind a preferences link: anybody with the mail, or the owner of the mailbox."""

from dataclasses import dataclass
from enum import StrEnum

from fastapi import HTTPException
from sqlalchemy.orm import Session

from newsletter.core.clock import now
from newsletter.core.runtime import Runtime
from newsletter.issues.models import Newsletter
from newsletter.rendering.mail_tokens import OwnerToken, PreferencesToken
from newsletter.tracking.leaving import masked
from newsletter.tracking.recording import Visit
from subscribers.evidence import Evidence
from subscribers.models import ConsentMethod, Subscriber


class Link(StrEnum):
    """By which link somebody changes preferences, as evidence names it."""

    OWNER = "preferences: owner"
    MAIL = "preferences: mail"


@dataclass(frozen=True, slots=True)
class Visitor:
    """Whose preferences a link opens, and how far.

    Attributes:
        is_owner: the link came in a letter to the mailbox, and is not too old.
        is_late: it came so, and is too old.
    """

    token: str
    person: Subscriber
    newsletter: Newsletter
    is_owner: bool
    is_late: bool

    @property
    def shown_address(self) -> str:
        """In full for the owner alone."""
        return self.person.email if self.is_owner else masked(self.person.email)

    def evidence(self, visit: Visit) -> Evidence:
        form = Link.OWNER if self.is_owner else Link.MAIL
        return Evidence(ConsentMethod.PAGE, form=form, ip=visit.ip, user_agent=visit.user_agent)


def visitor(token: str, runtime: Runtime, session: Session) -> Visitor:
    """The visitor with this token.

    Raises:
        HTTPException: it is none of ours, or the person or newsletter is gone.
    """
    by_letter = OwnerToken.read(runtime.keys, token)
    read = by_letter or PreferencesToken.read(runtime.keys, token)
    person = session.get(Subscriber, read.subscriber_id) if read else None
    newsletter = session.get(Newsletter, read.newsletter_id) if read else None
    if person is None or newsletter is None:
        raise HTTPException(404)
    in_time = by_letter is not None and now().timestamp() < by_letter.until
    is_late = by_letter is not None and not in_time
    return Visitor(token, person, newsletter, in_time, is_late)


def owner(token: str, runtime: Runtime, session: Session) -> Visitor:
    """The same, of the owner alone.

    Raises:
        HTTPException: as `visitor`, or the link is not the owner's, or is too old.
    """
    found = visitor(token, runtime, session)
    if not found.is_owner:
        raise HTTPException(403)
    return found
