"""Passwords: argon2id, and what one has to be (NIST SP 800-63B: long, not guessable, no riddles).

Hashing takes tens of milliseconds of a core on purpose: do it outside of transactions.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

from newsletter.core.errors import BusyError, InputError
from newsletter.core.sentences import say

FEWEST_CHARACTERS = 12
_MOST_CHARACTERS = 1_000
_COMMON = (
    *("password", "passwort", "qwertyuiop", "qwertzuiop", "letmein", "administrator", "welcome"),
    *("newsletter", "iloveyou", "changeme", "correcthorsebatterystaple", "abcdefghijkl"),
    *("123456789012", "1234567890", "0123456789", "987654321", "111111", "000000"),
)
"""What a guesser tries first, also doubled or with a year behind it."""
_FEWEST_DIFFERENT = 5

_AT_ONCE, _MOST_WAITING = 2, 8
"""Each takes 64 MiB: whoever floods the login page gets neither the memory nor all the threads."""

_hashing, _let_in = BoundedSemaphore(_AT_ONCE), BoundedSemaphore(_MOST_WAITING)
_hasher = PasswordHasher()
_NOBODYS = (
    "$argon2id$v=19$m=65536,t=3,p=4$4gXTHbuzzoNmNgDvKn/Ixg"
    "$kxr7ML0DLXUllo9oiJjsR4dIQGiEgb/NLh6VCEXqm7U"
)
"""Made with the same parameters. Making it at the start would cost every command a hashing."""


def check(password: str, address: str = "") -> None:
    """Whether it may become a password.

    Raises:
        InputError: it is too short, too long or too easy to guess.
    """
    if len(password) < FEWEST_CHARACTERS:
        raise InputError(
            "password", say("expected at least %(least)s characters", least=FEWEST_CHARACTERS)
        )
    if len(password) > _MOST_CHARACTERS:
        raise InputError(
            "password", say("expected at most %(most)s characters", most=_MOST_CHARACTERS)
        )
    if _is_guessable(password.casefold(), address.casefold()):
        raise InputError(
            "password",
            say("expected one that is hard to guess: several words that do not go together"),
        )


def _is_guessable(password: str, address: str) -> bool:
    rest = password
    for known in (address, address.partition("@")[0], *_COMMON):
        rest = rest.replace(known, "") if known else rest
    return len(rest) < FEWEST_CHARACTERS // 2 or len(set(password)) < _FEWEST_DIFFERENT


def hashed(password: str) -> str:
    """What is stored: argon2id with its salt and parameters, as a PHC string.

    Raises:
        BusyError: too many passwords are being hashed at this moment.
    """
    with _turn():
        return _hasher.hash(password)


def matches(password_hash: str, password: str) -> bool:
    """Whether this is the password; of an unknown account ask with an empty hash: it takes as long.

    Too long a password is nobody's, and is not hashed.

    Raises:
        BusyError: as `hashed`.
    """
    if len(password) > _MOST_CHARACTERS:
        return False
    try:
        with _turn():
            _hasher.verify(password_hash or _NOBODYS, password)
    except (VerifyMismatchError, VerificationError, InvalidHashError):
        return False
    return password_hash != ""


def is_outdated(password_hash: str) -> bool:
    """It was made with parameters that are too weak by now: hash the password anew."""
    return _hasher.check_needs_rehash(password_hash)


@contextmanager
def _turn() -> Iterator[None]:
    if not _let_in.acquire(blocking=False):
        raise BusyError(
            say("too many people log in at this moment: please try again in a few seconds")
        )
    try:
        with _hashing:
            yield
    finally:
        _let_in.release()
