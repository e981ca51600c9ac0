"""Newsletters: make, find."""

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from newsletter.core.config import Settings
from newsletter.core.errors import InputError, NotFoundError
from newsletter.core.sentences import say
from newsletter.core.slug import slugify
from newsletter.issues.models import Newsletter
from newsletter.issues.source import IssueSource
from subscribers.models import SubscriberList

_DEFAULT_NAME = "Newsletter"


def begun_by(source: IssueSource, settings: Settings) -> Newsletter:
    """The newsletter that an issue begins, not stored; the default sender's name names it last."""
    name = source.title or source.newsletter.replace("-", " ").title()
    name = name or settings.sender.name or _DEFAULT_NAME
    return Newsletter(
        slug=source.newsletter or slugify(name),
        name=name,
        tracking_mode=settings.tracking.default_mode,
    )


def add_newsletter(session: Session, created: Newsletter) -> Newsletter:
    """Store a new newsletter; it adopts every list that was made before there was one."""
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
        raise NotFoundError(
            "newsletter",
            slug,
            say("there are: %(known)s", known=_known(session) or say("none yet")),
        )
    return found


def only_newsletter(session: Session) -> Newsletter | None:
    """The only newsletter, or None before the first.

    Raises:
        InputError: there are several, and one has to be named.
    """
    several = session.scalars(select(Newsletter).limit(2)).all()
    if len(several) > 1:
        raise InputError("newsletter", say("expected one of: %(known)s", known=_known(session)))
    return several[0] if several else None


def named_or_only_newsletter(session: Session, slug: str | None) -> Newsletter:
    """The newsletter with this slug; without one, the only there is.

    Raises:
        NotFoundError: there is none.
        InputError: there are several, and one has to be named.
    """
    found = find_newsletter(session, slug) if slug else only_newsletter(session)
    if found is None:
        raise NotFoundError(
            "newsletter", slug or "", say("`newsletter newsletters create` makes one")
        )
    return found


def slugs_of_newsletters(session: Session) -> dict[int, str]:
    """What every newsletter is called, by its id."""
    return dict(session.execute(select(Newsletter.id, Newsletter.slug)).all())


def _known(session: Session) -> str:
    return ", ".join(session.scalars(select(Newsletter.slug).order_by(Newsletter.slug)))
