"""Newsletters: make, find."""

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from newsletter.core.config import TrackingMode
from newsletter.core.errors import InputError, NotFoundError
from newsletter.issues.models import Newsletter
from subscribers.models import SubscriberList


def create_newsletter(
    session: Session, slug: str, name: str, *, tracking_mode: TrackingMode
) -> Newsletter:
    """A new newsletter; it adopts every list that was made before there was one."""
    created = Newsletter(slug=slug, name=name, tracking_mode=tracking_mode)
    session.add(created)
    session.flush()
    session.execute(
        update(SubscriberList)
        .where(SubscriberList.newsletter_id.is_(None))
        .values(newsletter_id=created.id)
    )
    return created


def find_newsletter(session: Session, slug: str) -> Newsletter:
    """The newsletter with this slug.

    Raises:
        NotFoundError: there is none; names those there are.
    """
    found = session.scalar(select(Newsletter).where(Newsletter.slug == slug))
    if found is None:
        raise NotFoundError("newsletter", slug, f"there are: {_known(session) or 'none yet'}")
    return found


def only_newsletter(session: Session) -> Newsletter | None:
    """The only newsletter, or None before the first.

    Raises:
        InputError: there are several, and one has to be named.
    """
    several = session.scalars(select(Newsletter).limit(2)).all()
    if len(several) > 1:
        raise InputError("newsletter", f"expected one of: {_known(session)}")
    return several[0] if several else None


def _known(session: Session) -> str:
    return ", ".join(session.scalars(select(Newsletter.slug).order_by(Newsletter.slug)))
