"""Users: make, find, change; who they are in a newsletter."""

from collections.abc import Sequence

from sqlalchemy import exists, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from newsletter.accounts import seats
from newsletter.accounts.models import MAX_NAME_CHARACTERS, Membership, User
from newsletter.accounts.permissions import Role, stronger
from newsletter.core.errors import InputError, NotFoundError, RefusedError
from newsletter.core.sentences import say
from newsletter.mail.address import Address


def anybody(session: Session) -> bool:
    """There is a user: the first run is over."""
    return bool(session.scalar(select(exists().where(User.id > 0))))


def add(
    session: Session, address: Address, password_hash: str, role: Role | None, name: str = ""
) -> User:
    """A new user; without a role they may do nothing until a membership says so.

    Raises:
        InputError: the name is too long.
        RefusedError: the address has an account.
    """
    if session.scalar(select(User.id).where(User.address_key == address.key)):
        raise RefusedError(say("%(address)s has an account already", address=address.typed))
    user = User(
        email=address.typed,
        address_key=address.key,
        password_hash=password_hash,
        role=role,
        name=checked_name(name),
    )
    session.add(user)
    try:
        session.flush()
    except IntegrityError:  # somebody was faster, in a transaction that was not seen above
        raise RefusedError(
            say("%(address)s has an account already", address=address.typed)
        ) from None
    return user


def checked_name(name: str) -> str:
    """The name as it is kept.

    Raises:
        InputError: it is too long.
    """
    if len(name.strip()) > MAX_NAME_CHARACTERS:
        raise InputError(
            "name", say("expected at most %(most)s characters", most=MAX_NAME_CHARACTERS)
        )
    return name.strip()


def find(session: Session, address: str) -> User:
    """The user with this address.

    Raises:
        InputError: it is no address.
        NotFoundError: nobody has it.
    """
    key = Address.parse(address).key
    found = session.scalar(select(User).where(User.address_key == key))
    if found is None:
        raise NotFoundError("user", address, say("`newsletter users list` shows them"))
    return found


def everybody(session: Session) -> Sequence[User]:
    """All users, by address."""
    return session.scalars(select(User).order_by(User.address_key)).all()


def role_in(user: User, newsletter_id: int) -> Role | None:
    """What somebody is in a newsletter; None: nobody."""
    here = (m.role for m in user.memberships if m.newsletter_id == newsletter_id)
    return stronger(user.role, next(here, None))


def set_password(session: Session, user: User, password_hash: str, *, but: str = "") -> None:
    """A new password; every browser is logged out, except the one whose seat's key is `but`."""
    user.password_hash = password_hash
    seats.end_all(session, user.id, but=but)


def set_role(session: Session, user: User, role: Role | None) -> None:
    """A role in every newsletter; every browser of theirs is logged out.

    Raises:
        RefusedError: nobody would be admin any more.
    """
    if role is not Role.ADMIN:
        _not_the_last_admin(session, user)
    user.role = role
    seats.end_all(session, user.id)


def set_membership(session: Session, user: User, newsletter_id: int, role: Role | None) -> None:
    """A role in one newsletter, or none; every browser of theirs is logged out."""
    found = session.get(Membership, (user.id, newsletter_id))
    if found is not None and role is not None:
        found.role = role
    elif role is not None:
        session.add(Membership(user_id=user.id, newsletter_id=newsletter_id, role=role))
    elif found is not None:
        session.delete(found)
    session.flush()
    session.expire(user, ["memberships"])
    seats.end_all(session, user.id)


def set_active(session: Session, user: User, *, is_active: bool) -> None:
    """Whether they may log in; what they did stays under their name.

    Raises:
        RefusedError: nobody would be admin any more.
    """
    if not is_active:
        _not_the_last_admin(session, user)
    user.is_active = is_active
    seats.end_all(session, user.id)


def _not_the_last_admin(session: Session, user: User) -> None:
    """The rows of the admins are the lock: of two who demote each other one is refused."""
    admins = session.scalars(
        select(User.id)
        .where(User.role == Role.ADMIN, User.is_active)
        .order_by(User.id)
        .with_for_update()
    ).all()
    if list(admins) == [user.id]:
        raise RefusedError(
            say(
                "%(email)s is the only admin of everything: make another one first",
                email=user.email,
            )
        )


def count(session: Session) -> int:
    """How many users there are."""
    return session.scalar(select(func.count()).select_from(User)) or 0
