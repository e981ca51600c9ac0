"""Logging in: password, then the second factor where there is one; who guesses is held back.

Counted are failures, per account and per address on the network, in windows of a quarter of an
hour. An account under attack is closed to everybody for the rest of the window, its owner
included: an answer that told them apart would tell the guesser too.
"""

import hmac
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from newsletter.accounts import passwords
from newsletter.accounts.models import LoginFailure, User
from newsletter.core.clock import now
from newsletter.core.db import Sessions
from newsletter.core.errors import InputError, RefusedError
from newsletter.core.sentences import say
from newsletter.core.tokens import TokenKeys, sign, verify
from newsletter.mail.address import Address

MOST_OF_ACCOUNT = 10
MOST_OF_IP = 50
WINDOW = timedelta(minutes=15)
_SECOND_STEP = timedelta(minutes=10)
_PURPOSE = "second step of a login"


class TooManyFailuresError(RefusedError):
    """Somebody guesses; nobody logs in before the window is over."""


class WrongLoginError(RefusedError):
    """No such account, another password, or an account that is switched off: not said which."""


def check_password(
    sessions: Sessions, keys: TokenKeys, address: str, password: str, ip: str
) -> User:
    """The user of whom this is address and password. Opens its own transactions: hashing is slow.

    An attempt counts before it is looked at, and is taken back when it was right: of many guesses
    at once no more are looked at than one after the other.

    Raises:
        TooManyFailuresError: too many wrong ones lately, of the account or from there.
        WrongLoginError: this is not address and password of anybody who may come in.
    """
    account = _account(address)
    counted = [_key(keys, "account", account), _key(keys, "ip", ip)]
    until = _end_of_window()
    with sessions.writing() as session:
        _refuse_guessers(session, counted)
        _count(session, counted, until)
        user = session.scalar(select(User).where(User.address_key == account))
    right = passwords.matches(user.password_hash if user else "", password)
    if user is None or not right or not user.is_active:
        raise WrongLoginError(say("address and password do not go together"))
    with sessions.writing() as session:
        _take_back(session, counted, until)
    if passwords.is_outdated(user.password_hash):
        return _hash_anew(sessions, user, password)
    return user


def second_step(keys: TokenKeys, user: User) -> str:
    """A token that says: this user's password was right just now."""
    until = int((now() + _SECOND_STEP).timestamp())
    payload = user.id.to_bytes(8) + until.to_bytes(8) + _fingerprint(user)
    return sign(keys, _PURPOSE, payload)


def of_second_step(session: Session, keys: TokenKeys, token: str) -> User | None:
    """Whose password was right; None when that is too long ago, or it was changed since."""
    payload = verify(keys, _PURPOSE, token)
    if payload is None or int.from_bytes(payload[8:16]) < now().timestamp():
        return None
    user = session.get(User, int.from_bytes(payload[:8]))
    if user is None or not user.is_active or _fingerprint(user) != payload[16:]:
        return None
    return user


def refuse_guessers(session: Session, keys: TokenKeys, user: User, ip: str) -> None:
    """Before the second factor is looked at.

    Raises:
        TooManyFailuresError: too many wrong ones lately.
    """
    _refuse_guessers(session, [_key(keys, "account", user.address_key), _key(keys, "ip", ip)])


def count_failure(session: Session, keys: TokenKeys, user: User, ip: str) -> None:
    """The second factor was wrong."""
    counted = [_key(keys, "account", user.address_key), _key(keys, "ip", ip)]
    _count(session, counted, _end_of_window())


def forget_failures(session: Session, keys: TokenKeys, user: User) -> None:
    """They are in: what was mistyped before is forgotten. What was counted of the network stays."""
    account = _key(keys, "account", user.address_key)
    session.execute(delete(LoginFailure).where(LoginFailure.key == account))


def forget_past_windows(session: Session) -> None:
    """Windows that are over are of no use."""
    session.execute(delete(LoginFailure).where(LoginFailure.until <= now()))


def _account(address: str) -> str:
    try:
        return Address.parse(address).key
    except InputError:
        return address.strip().lower()[:320]


def _refuse_guessers(session: Session, counted: list[str]) -> None:
    failures = dict(
        session.execute(
            select(LoginFailure.key, LoginFailure.count).where(
                LoginFailure.key.in_(counted), LoginFailure.until > now()
            )
        ).all()
    )
    most = zip(counted, (MOST_OF_ACCOUNT, MOST_OF_IP), strict=True)
    if any(failures.get(key, 0) >= limit for key, limit in most):
        minutes = int(WINDOW.total_seconds() // 60)
        raise TooManyFailuresError(
            say(
                "too many wrong passwords or codes: please try again in %(minutes)s minutes",
                minutes=minutes,
            )
        )


def _count(session: Session, counted: list[str], until: datetime) -> None:
    on_postgresql = session.get_bind().dialect.name == "postgresql"
    insert: Any = postgresql.insert if on_postgresql else sqlite.insert
    session.execute(
        insert(LoginFailure).on_conflict_do_update(
            index_elements=[LoginFailure.key, LoginFailure.until],
            set_={"count": LoginFailure.count + 1},
        ),
        [{"key": key, "until": until, "count": 1} for key in sorted(counted)],
    )


def _take_back(session: Session, counted: list[str], until: datetime) -> None:
    ours = (LoginFailure.key.in_(counted), LoginFailure.until == until)
    session.execute(update(LoginFailure).where(*ours).values(count=LoginFailure.count - 1))


def is_as_checked(session: Session, user: User) -> bool:
    """Nothing has changed since this user was checked; the row is locked until the end.

    Whoever logs in while the password or the second factor is changed was checked by the old one.
    """
    stored = session.get_one(User, user.id, with_for_update=True, populate_existing=True)
    return (stored.password_hash, stored.totp_secret, stored.is_active) == (
        *(user.password_hash, user.totp_secret),
        True,
    )


def _end_of_window() -> datetime:
    seconds = int(WINDOW.total_seconds())
    return datetime.fromtimestamp((int(now().timestamp()) // seconds + 1) * seconds, UTC)


def _key(keys: TokenKeys, kind: str, thing: str) -> str:
    return hmac.digest(keys.current, f"login failure: {kind} {thing}".encode(), "sha256").hex()


def _fingerprint(user: User) -> bytes:
    """Changes with the password."""
    return hmac.digest(b"password", user.password_hash.encode(), "sha256")[:8]


def _hash_anew(sessions: Sessions, user: User, password: str) -> User:
    """The same user with a hash as they are made today, unless the password changed meanwhile."""
    anew = passwords.hashed(password)
    with sessions.writing() as session:
        stored = session.get_one(User, user.id)
        if stored.password_hash == user.password_hash:
            stored.password_hash = anew
        return stored
