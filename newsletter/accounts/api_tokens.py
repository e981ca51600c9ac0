"""API tokens: they let a program into one newsletter, as far as its maker may go there.

A token is worth nothing from the moment that its maker's account is switched off or lacks one of
its scopes: nobody leaves a door behind. Nothing takes tokens yet: they are for the API to come.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from newsletter.accounts.models import MAX_NAME_CHARACTERS, ApiToken, User
from newsletter.accounts.permissions import Permission, permissions
from newsletter.accounts.random_keys import key_of, new_secret
from newsletter.core.clock import now
from newsletter.core.errors import InputError, NotFoundError, RefusedError
from newsletter.core.sentences import say

PREFIX = "nl_"
"""By which a token is known where it must not be, such as in a public repository."""
_NO_PROGRAMS = {Permission.ACCOUNT, Permission.INSTALLATION}
SCOPES = tuple(scope for scope in Permission if scope not in _NO_PROGRAMS)
"""What a token can be for: it is one newsletter's."""
LONGEST_DAYS = 3650
_HINT_CHARACTERS = 8


def make(
    session: Session,
    maker: User,
    newsletter_id: int,
    *,
    name: str,
    scopes: Collection[Permission],
    expires_at: datetime | None,
) -> tuple[ApiToken, str]:
    """A new token, and its text: to be shown once, kept as a hash.

    Raises:
        InputError: no name, no scope, or an end in the past.
        RefusedError: a scope that the maker has not.
    """
    wanted = [scope for scope in SCOPES if scope in scopes]
    _check(name, wanted, expires_at)
    if lacking := sorted(set(scopes) - (_held(maker, newsletter_id) & set(SCOPES))):
        raise RefusedError(
            say("a token may do what its maker may, and not more: %(lacking)s", lacking=lacking[0])
        )
    text = PREFIX + new_secret()
    made = ApiToken(
        key=key_of(text),
        hint=text[:_HINT_CHARACTERS],
        name=name.strip(),
        newsletter_id=newsletter_id,
        user_id=maker.id,
        scopes=[scope.value for scope in wanted],
        expires_at=expires_at,
    )
    session.add(made)
    session.flush()
    return made, text


def revoke(session: Session, token_id: int) -> ApiToken:
    """End a token for good.

    Raises:
        NotFoundError: there is no such token.
        RefusedError: it has ended before.
    """
    token = session.get(ApiToken, token_id)
    if token is None:
        raise NotFoundError("token", token_id, say("`newsletter tokens list` shows them"))
    if token.revoked_at is not None:
        raise RefusedError(say("token %(name)r is revoked already", name=token.name))
    token.revoked_at = now()
    return token


def of_newsletter(session: Session, newsletter_id: int | None) -> Sequence[tuple[ApiToken, User]]:
    """All tokens with their makers, the latest first; None: of every newsletter."""
    tokens = select(ApiToken, User).join(User, User.id == ApiToken.user_id)
    if newsletter_id is not None:
        tokens = tokens.where(ApiToken.newsletter_id == newsletter_id)
    tokens = tokens.options(selectinload(User.memberships)).order_by(ApiToken.id.desc())
    return [(token, maker) for token, maker in session.execute(tokens)]


def standing(token: ApiToken, maker: User) -> str:
    """`active`, or why it lets nobody in: `revoked`, `expired`, `without its maker`."""
    if token.revoked_at is not None:
        return "revoked"
    if token.expires_at is not None and token.expires_at <= now():
        return "expired"
    may = maker.is_active and set(token.scopes) <= _held(maker, token.newsletter_id)
    return "active" if may else "without its maker"


def _held(maker: User, newsletter_id: int) -> frozenset[Permission]:
    """What the maker may do in the newsletter now, were the account on."""
    here = (m.role for m in maker.memberships if m.newsletter_id == newsletter_id)
    return permissions(maker.role, next(here, None))


def _check(name: str, wanted: Sequence[Permission], expires_at: datetime | None) -> None:
    if not 0 < len(name.strip()) <= MAX_NAME_CHARACTERS:
        raise InputError("name", say("expected a name that says what the token is for"))
    if not wanted:
        raise InputError("scopes", say("expected at least one thing that the token is for"))
    if expires_at is not None and not now() < expires_at <= now() + timedelta(days=LONGEST_DAYS):
        raise InputError(
            "expires", say("expected a time to come, within %(most)s days", most=LONGEST_DAYS)
        )
