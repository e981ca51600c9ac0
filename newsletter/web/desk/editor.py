"""Who sits at the desk in this request, and in which newsletter."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlalchemy import select
from sqlalchemy.orm import Session

from newsletter.accounts import audit, seats, users
from newsletter.accounts.models import User
from newsletter.accounts.permissions import Permission, permissions
from newsletter.issues.models import Newsletter


@dataclass(frozen=True, slots=True)
class NewsletterChoice:
    """A newsletter that the editor works for."""

    id: int
    slug: str
    name: str


@dataclass(frozen=True, slots=True)
class Editor:
    """A user at work.

    Attributes:
        newsletter_id: the newsletter concerned: that of the thing in the path, else the one chosen
            in the head of the page; None only before the first newsletter.
        allowed: what they may in that newsletter.
        newsletters: all that they work for.
        actor: who they are in the audit trail.
        uses_shortcuts: single keys do something.
        seat_key: of this browser's seat.
        seat_is_stale: it should be written down that they were here.
    """

    user_id: int
    email: str
    name: str
    zone: ZoneInfo
    newsletter_id: int | None
    newsletter_slug: str
    newsletter_name: str
    allowed: frozenset[Permission]
    actor: str
    newsletters: Sequence[NewsletterChoice]
    uses_shortcuts: bool
    seat_key: str
    seat_is_stale: bool

    def may(self, permission: Permission) -> bool:
        """Whether they may do this in the newsletter concerned."""
        return permission in self.allowed

    @property
    def newsletter(self) -> int:
        """The newsletter concerned, where a page has no sense without one."""
        assert self.newsletter_id is not None
        return self.newsletter_id


def editor_of(
    session: Session, secret: str, concerned: Sequence[int | None] | None = None
) -> Editor | None:
    """Who sits in the browser whose cookie holds `secret`; None: nobody.

    `concerned` are the newsletters of the thing in the path; of those the editor works for, the
    chosen one or the first is taken; NULL among them stands for a thing of no newsletter, which
    concerns whoever runs the installation. `newsletter_id` is None when they work for none of them.
    """
    seat = seats.seat_of(session, secret)
    if seat is None:
        return None
    mine = _newsletters_of(session, seat.user)
    candidates = [n for n in mine if concerned is None or n.id in concerned]
    if not candidates and concerned and None in concerned and _runs_all(seat.user):
        candidates = mine
    here = next((n for n in candidates if n.id == seat.newsletter_id), None)
    here = here or next(iter(candidates), None)
    return Editor(
        user_id=seat.user.id,
        email=seat.user.email,
        name=seat.user.name,
        zone=_zone(seat.user.time_zone),
        newsletter_id=here.id if here else None,
        newsletter_slug=here.slug if here else "",
        newsletter_name=here.name if here else "",
        allowed=_allowed(seat.user, here),
        actor=audit.actor_of(seat.user),
        newsletters=mine,
        uses_shortcuts=seat.user.uses_shortcuts,
        seat_key=seat.key,
        seat_is_stale=seat.is_stale,
    )


def _allowed(user: User, here: NewsletterChoice | None) -> frozenset[Permission]:
    if here is None:
        return permissions(user.role, None)
    return permissions(user.role, users.role_in(user, here.id))


def _runs_all(user: User) -> bool:
    return Permission.INSTALLATION in permissions(user.role, None)


def _newsletters_of(session: Session, user: User) -> list[NewsletterChoice]:
    found: Any = select(Newsletter.id, Newsletter.slug, Newsletter.name).order_by(Newsletter.name)
    if user.role is None:
        found = found.where(Newsletter.id.in_([m.newsletter_id for m in user.memberships]))
    return [NewsletterChoice(*row) for row in session.execute(found)]


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")
