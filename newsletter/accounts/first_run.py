"""The first user: made once, by whoever runs the machine."""

import hmac
from base64 import b32encode

from sqlalchemy import text
from sqlalchemy.orm import Session

from newsletter.accounts import users
from newsletter.accounts.models import User
from newsletter.accounts.permissions import Role
from newsletter.core.errors import RefusedError
from newsletter.core.sentences import say
from newsletter.core.tokens import TokenKeys
from newsletter.mail.address import Address

_CODE_BYTES = 10
_GROUP = 4


class SomebodyIsHereError(RefusedError):
    """There is a user: the first run is over."""


def set_up_code(keys: TokenKeys) -> str:
    """What `serve` prints and every browser is asked for; 80 bits of the key."""
    digest = hmac.digest(keys.current, b"set-up code", "sha256")[:_CODE_BYTES]
    code = b32encode(digest).decode().lower()
    return "-".join(code[start : start + _GROUP] for start in range(0, len(code), _GROUP))


def set_up_path(keys: TokenKeys) -> str:
    """The page on which the first user is made, with the code: nothing is left to be typed."""
    return f"/set-up?code={set_up_code(keys)}"


def is_set_up_code(keys: TokenKeys, typed: str) -> bool:
    """Whether somebody has read it where `serve` prints it."""
    plain = "".join(typed.split()).replace("-", "").lower()
    return hmac.compare_digest(plain.encode(), set_up_code(keys).replace("-", "").encode())


def add_first_admin(session: Session, address: Address, password_hash: str, name: str = "") -> User:
    """The first user, an admin of everything; of two who try at once one is too late.

    Raises:
        SomebodyIsHereError: there is a user already.
    """
    if session.get_bind().dialect.name == "postgresql":  # SQLite lets one write at a time
        session.execute(text("LOCK TABLE users IN SHARE ROW EXCLUSIVE MODE"))
    if users.anybody(session):
        raise SomebodyIsHereError(say("somebody works here already: please log in"))
    return users.add(session, address, password_hash, Role.ADMIN, name)
