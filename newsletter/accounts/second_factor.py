"""The second factor: codes by the clock (RFC 6238), and ten recovery codes that each stand in once.

Guesses are counted where people log in; here a code is right or wrong.
"""

import secrets
from base64 import b32encode
from hashlib import sha256
from hmac import compare_digest

import pyotp
from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from newsletter.accounts.models import RecoveryCode, User
from newsletter.core.clock import now
from newsletter.core.errors import InputError, RefusedError
from newsletter.core.sentences import say
from newsletter.core.tokens import TokenKeys, sign, verify

RECOVERY_CODES = 10
STEP_SECONDS = 30
_CODE_BYTES = 10
_CODE_CHARACTERS = 16
_DIGITS = 6
_SECRET_BYTES = 20
"""As RFC 4226, section 4, recommends."""
_GROUP = 4
_OFFER_SECONDS = 1800


def is_on(user: User) -> bool:
    """Logging in takes a code too."""
    return bool(user.totp_secret)


def offer(keys: TokenKeys, user: User) -> str:
    """A token with a new secret for this user, good for half an hour; nothing is stored yet."""
    until = int(now().timestamp()) + _OFFER_SECONDS
    payload = until.to_bytes(8) + secrets.token_bytes(_SECRET_BYTES)
    return sign(keys, _purpose(user), payload)


def offered(keys: TokenKeys, user: User, token: str) -> str:
    """The secret that `offer` made, as base32 text.

    Raises:
        InputError: it is not one of ours for this user, or too old.
    """
    payload = verify(keys, _purpose(user), token)
    if payload is None or int.from_bytes(payload[:8]) < now().timestamp():
        raise InputError(
            "code", say("this page was open for too long: please scan the new picture")
        )
    return b32encode(payload[8:]).decode()


def setup_url(secret: str, user: User, issuer: str) -> str:
    """What an authenticator app reads from the picture (`otpauth://…`)."""
    return pyotp.TOTP(secret).provisioning_uri(name=user.email, issuer_name=issuer)


def turn_on(session: Session, user: User, secret: str, code: str) -> list[str]:
    """Ask this user for codes from now on; returns their recovery codes, to be shown once.

    Raises:
        InputError: the code is not the secret's at this time.
        RefusedError: it is on already.
    """
    if is_on(user):
        raise RefusedError(say("the second factor is on already: turn it off first"))
    step = _step_of(secret, code, after=0)
    if step is None:
        raise InputError("code", say("expected the six digits that the app shows now"))
    user.totp_secret, user.totp_step = secret, step
    session.flush()
    return new_recovery_codes(session, user)


def turn_off(session: Session, user: User) -> None:
    """The password is enough again; ask for password and code before."""
    user.totp_secret = ""
    session.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user.id))


def new_recovery_codes(session: Session, user: User) -> list[str]:
    """Ten new ones, to be shown once; those there were end."""
    session.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user.id))
    codes = [_new_code() for _ in range(RECOVERY_CODES)]
    session.add_all(RecoveryCode(key=_key(user.id, code), user_id=user.id) for code in codes)
    session.flush()
    return codes


def recovery_codes_left(session: Session, user_id: int) -> int:
    """How many have not been used."""
    left = select(func.count()).where(RecoveryCode.user_id == user_id)
    return session.scalar(left) or 0


def accepts(session: Session, user: User, code: str) -> bool:
    """Whether this code lets the user in: of the app, or a recovery code. None is taken twice.

    Needs a writing session: it is one statement that takes the code, so of two who send the same
    one is let in.
    """
    typed = "".join(code.split()).replace("-", "").lower()
    if not user.totp_secret:
        return False
    if len(typed) == _CODE_CHARACTERS:
        return _takes_recovery_code(session, user, typed)
    return _takes_step(session, user, typed)


def _takes_step(session: Session, user: User, code: str) -> bool:
    step = _step_of(user.totp_secret, code, after=user.totp_step)
    if step is None:
        return False
    taken = session.execute(
        update(User)
        .where(User.id == user.id, User.totp_secret == user.totp_secret, User.totp_step < step)
        .values(totp_step=step)
        .returning(User.id)
    )
    return taken.first() is not None


def _takes_recovery_code(session: Session, user: User, code: str) -> bool:
    taken = session.execute(
        delete(RecoveryCode)
        .where(RecoveryCode.key == _key(user.id, code), RecoveryCode.user_id == user.id)
        .returning(RecoveryCode.key)
    )
    return taken.first() is not None


def _step_of(secret: str, code: str, *, after: int) -> int | None:
    """The time step of which this is the code: now, or one before or behind it."""
    typed = "".join(code.split())
    if len(typed) != _DIGITS or not (typed.isascii() and typed.isdigit()):
        return None
    present = int(now().timestamp()) // STEP_SECONDS
    totp = pyotp.HOTP(secret)  # by the number of the step: TOTP asks the clock of the machine
    found = None
    for step in (present - 1, present, present + 1):
        if compare_digest(totp.at(step), typed) and step > after:
            found = step
    return found


def _new_code() -> str:
    code = b32encode(secrets.token_bytes(_CODE_BYTES)).decode().lower()
    return "-".join(code[start : start + _GROUP] for start in range(0, len(code), _GROUP))


def _key(user_id: int, code: str) -> str:
    return sha256(f"{user_id} {code.replace('-', '')}".encode()).hexdigest()


def _purpose(user: User) -> str:
    return f"second factor of user {user.id}"
