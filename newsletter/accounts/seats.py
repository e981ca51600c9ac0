"""Seats: the browsers that users are logged in with. The cookie holds a secret, the table its hash.

A seat ends by logging out, after two weeks, after three days without a visit, and whenever its
user's password or role changes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import delete, or_, select, update
from sqlalchemy.orm import Session, selectinload

from newsletter.accounts.models import User, UserSession
from newsletter.accounts.random_keys import key_of, new_secret
from newsletter.core.clock import now

LONGEST = timedelta(days=14)
LONGEST_AWAY = timedelta(days=3)
_SEEN_EVERY = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Seat:
    """Who sits in a browser.

    Attributes:
        key: of the row, not of the cookie.
        newsletter_id: the newsletter chosen in the head of the pages.
        is_stale: `touch` should say that they were here.
    """

    key: str
    user: User
    newsletter_id: int | None
    is_stale: bool


def take(session: Session, user: User, newsletter_id: int | None = None) -> str:
    """A new seat; returns the secret for the cookie."""
    secret = new_secret()
    session.add(UserSession(key=key_of(secret), user_id=user.id, newsletter_id=newsletter_id))
    session.flush()
    return secret


def seat_of(session: Session, secret: str) -> Seat | None:
    """Whose cookie this is, memberships included; None: nobody's any more."""
    if not secret:
        return None
    found = session.execute(
        select(UserSession, User)
        .join(User, User.id == UserSession.user_id)
        .options(selectinload(User.memberships))
        .where(
            UserSession.key == key_of(secret),
            User.is_active,
            UserSession.created_at > now() - LONGEST,
            UserSession.seen_at > now() - LONGEST_AWAY,
        )
    ).first()
    if found is None:
        return None
    row, user = found
    return Seat(row.key, user, row.newsletter_id, row.seen_at < now() - _SEEN_EVERY)


def touch(session: Session, key: str) -> None:
    """They are here."""
    session.execute(update(UserSession).where(UserSession.key == key).values(seen_at=now()))


def choose(session: Session, key: str, newsletter_id: int) -> None:
    """From now on the pages of this browser are about that newsletter."""
    session.execute(
        update(UserSession).where(UserSession.key == key).values(newsletter_id=newsletter_id)
    )


def end(session: Session, key: str) -> None:
    """Log this browser out."""
    session.execute(delete(UserSession).where(UserSession.key == key))


def end_all(session: Session, user_id: int, *, but: str = "") -> None:
    """Log all browsers of a user out, except the one whose seat's key is `but`."""
    session.execute(
        delete(UserSession).where(UserSession.user_id == user_id, UserSession.key != but)
    )


def all_of(session: Session, user_id: int) -> Sequence[UserSession]:
    """The browsers somebody is logged in with, the latest first."""
    seats = select(UserSession).where(UserSession.user_id == user_id)
    return session.scalars(seats.order_by(UserSession.seen_at.desc())).all()


def forget_ended(session: Session) -> None:
    """Rows of seats that nobody can use any more."""
    session.execute(
        delete(UserSession).where(
            or_(
                UserSession.created_at <= now() - LONGEST,
                UserSession.seen_at <= now() - LONGEST_AWAY,
            )
        )
    )
