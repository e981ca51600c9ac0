"""Links by which somebody chooses a password: to begin here, or instead of a forgotten one.

Whoever holds the link is believed, so it is good once and for a week; asked again, the old one
ends. The table holds its hash.
"""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from newsletter.accounts import users
from newsletter.accounts.models import Invitation, Membership, User
from newsletter.accounts.permissions import Role, stronger
from newsletter.accounts.random_keys import key_of, new_secret
from newsletter.core.clock import now
from newsletter.core.errors import RefusedError
from newsletter.core.sentences import say
from newsletter.mail.address import Address

GOOD_FOR = timedelta(days=7)


class EndedLinkError(RefusedError):
    """The link was used, is too old, or a newer one took its place."""


def invite(session: Session, address: Address, role: Role, newsletter_id: int | None = None) -> str:
    """A link's secret for somebody new, with a role everywhere or in one newsletter.

    Raises:
        RefusedError: the address has an account.
    """
    if session.scalar(select(User.id).where(User.address_key == address.key)):
        raise RefusedError(
            say(
                "%(address)s has an account already: change its role instead", address=address.typed
            )
        )
    for old in _waiting_for(session, address):
        if old.newsletter_id == newsletter_id:
            session.delete(old)
    made = Invitation(email=address.typed, role=role, newsletter_id=newsletter_id)
    return _kept(session, made)


def for_new_password(session: Session, user: User) -> str:
    """A link's secret for a user who has forgotten theirs; the password they have stays good.

    Raises:
        RefusedError: they may not log in at all.
    """
    if not user.is_active:
        raise RefusedError(
            say("%(email)s is switched off: switch the account on first", email=user.email)
        )
    end_links_of(session, user.id)
    return _kept(session, Invitation(email=user.email, user_id=user.id))


def find(session: Session, secret: str) -> Invitation | None:
    """The invitation with this secret, if it can be taken now."""
    found = session.get(Invitation, key_of(secret)) if secret else None
    if found is None or found.expires_at <= now():
        return None
    if found.user_id is not None and not session.get_one(User, found.user_id).is_active:
        return None
    return found


def waiting(session: Session) -> Sequence[Invitation]:
    """Those of somebody new that can be taken, the latest first."""
    open_ones = select(Invitation).where(
        Invitation.user_id.is_(None), Invitation.expires_at > now()
    )
    return session.scalars(open_ones.order_by(Invitation.created_at.desc())).all()


def withdraw(session: Session, key: str) -> bool:
    """End an invitation by its row's key; False when it is gone already."""
    ended = delete(Invitation).where(Invitation.key == key, Invitation.user_id.is_(None))
    return session.execute(ended.returning(Invitation.key)).first() is not None


def end_links_of(session: Session, user_id: int) -> None:
    """Links for a new password that this user has."""
    session.execute(delete(Invitation).where(Invitation.user_id == user_id))


def take(session: Session, secret: str, password_hash: str, name: str = "") -> User:
    """The new user, or the one whose password it now is; the link is used up.

    Check and hash the password before this transaction. An account that is new gets whatever its
    address was invited to.

    Raises:
        EndedLinkError: the link cannot be taken, or somebody was faster.
        InputError: the name is too long.
        RefusedError: the address has an account by now.
    """
    found = find(session, secret)
    if found is None or not _used_up(session, found.key):
        raise EndedLinkError(
            say("this link has been used, or is too old: please ask for a new one")
        )
    if found.user_id is not None:
        user = session.get_one(User, found.user_id)
        users.set_password(session, user, password_hash)
        return user
    return _newcomer(session, found, password_hash, name)


def forget_ended(session: Session) -> None:
    """Links that nobody can take any more."""
    session.execute(delete(Invitation).where(Invitation.expires_at <= now()))


def _newcomer(session: Session, taken: Invitation, password_hash: str, name: str) -> User:
    address = Address.parse(taken.email)
    others = list(_waiting_for(session, address))
    given = [taken, *(other for other in others if other.expires_at > now())]
    everywhere: Role | None = None
    for one in given:
        everywhere = stronger(everywhere, one.role if one.newsletter_id is None else None)
    user = users.add(session, address, password_hash, everywhere, name)
    for one in given:
        if one.newsletter_id is not None and one.role is not None:
            here = Membership(user_id=user.id, newsletter_id=one.newsletter_id, role=one.role)
            session.add(here)
    for other in others:
        session.delete(other)
    session.flush()
    return user


def _kept(session: Session, made: Invitation) -> str:
    secret = new_secret()
    made.key, made.expires_at = key_of(secret), now() + GOOD_FOR
    session.add(made)
    session.flush()
    return secret


def _used_up(session: Session, key: str) -> bool:
    """One statement takes the link: of two who follow it at once one is too late."""
    taken = delete(Invitation).where(Invitation.key == key).returning(Invitation.key)
    return session.execute(taken).first() is not None


def _waiting_for(session: Session, address: Address) -> Sequence[Invitation]:
    """Few are ever open: addresses are compared as addresses, not as text."""
    open_ones = session.scalars(select(Invitation).where(Invitation.user_id.is_(None)))
    return [one for one in open_ones if Address.parse(one.email).key == address.key]
