"""Who works at a furnished installation, and what they left behind."""

from datetime import timedelta

from sqlalchemy.orm import Session

from newsletter.accounts import audit, invitations, seats, users
from newsletter.accounts.models import ApiToken, User
from newsletter.accounts.permissions import Permission, Role
from newsletter.core.clock import now
from newsletter.core.db import Sessions
from newsletter.mail.address import Address
from tests.desk import hashed_password
from tests.furnished.people import days_ago


def workers(sessions: Sessions, newsletter_id: int, other_id: int) -> dict[str, int]:
    """An admin, a sender, an author, one who left, one of the other newsletter; ids by role."""
    with days_ago(149), sessions.writing() as session:
        admin = _user(session, "Grace Fields", Role.ADMIN)
        sender = _user(session, "Samir Sender")
        author = _user(session, "Ines Author")
        gone = _user(session, "Gus Gone")
        cook = _user(session, "Carla Cook")
        users.set_membership(session, sender, newsletter_id, Role.SENDER)
        users.set_membership(session, author, newsletter_id, Role.AUTHOR)
        users.set_membership(session, cook, other_id, Role.ADMIN)
        users.set_active(session, gone, is_active=False)
        author.time_zone = "Europe/Berlin"
    with days_ago(2), sessions.writing() as session:
        _left_behind(session, admin.id, newsletter_id)
    return {"admin": admin.id, "sender": sender.id, "author": author.id, "cook": cook.id}


def invite(session: Session, newsletter_id: int) -> str:
    """Somebody new; the last part of the link they get."""
    address = Address.parse("nadia@news.example.org")
    return invitations.invite(session, address, Role.AUTHOR, newsletter_id)


def take_seat(session: Session, user_id: int, newsletter_id: int) -> str:
    """The secret of a browser that this user is logged in with."""
    return seats.take(session, session.get_one(User, user_id), newsletter_id)


def _user(session: Session, name: str, role: Role | None = None) -> User:
    address = Address.parse(f"{name.split(maxsplit=1)[0].lower()}@news.example.org")
    return users.add(session, address, hashed_password(), role, name)


def _left_behind(session: Session, admin_id: int, newsletter_id: int) -> None:
    tokens = (("Website", None), ("Old importer", now()))
    session.add_all(
        ApiToken(
            key=str(number) * 64,
            hint=f"nl_{number}f9c",
            name=name,
            newsletter_id=newsletter_id,
            user_id=admin_id,
            scopes=[Permission.READ, Permission.PEOPLE],
            expires_at=now() + timedelta(days=90),
            revoked_at=revoked_at,
            used_at=now() - timedelta(hours=3),
        )
        for number, (name, revoked_at) in enumerate(tokens)
    )
    audit.record(session, "user grace@news.example.org", "user.invited", role="author")
    audit.record(session, "command root", "subscriber.exported", subscriber_id=1)
    audit.record(session, "user grace@news.example.org", "suppression.added", list="readers")
