"""Who asked to be forgotten is known by a keyed hash alone, so the key has to stay what it was.

Without it, or under another one, they would be strangers whom any import brings back. So the
database has a mark of the key: the keyed hash of a constant, of which the key cannot be guessed.
"""

from sqlalchemy import select
from sqlalchemy.orm import Session

from newsletter.core.erasure_key import ErasureKey
from newsletter.core.errors import RefusedError
from newsletter.core.sentences import say
from subscribers.models import ErasureMark, Suppression, SuppressionReason

_CONSTANT = "the mark of an erasure key"
"""No address: nobody's hash is the same."""


def mark_key(session: Session, key: ErasureKey) -> None:
    """Somebody's hash is about to be kept under this key.

    Raises:
        RefusedError: others were erased under another.
    """
    check_key(session, key)
    mark = session.scalar(select(ErasureMark))
    if mark is None:
        session.add(ErasureMark(mark=_mark_of(key)))
    else:
        mark.mark = _mark_of(key)  # nobody is left whom another key knows


def check_key(session: Session, key: ErasureKey | None) -> None:
    """Whoever was erased can be told by this key, or nobody was; asked at every door.

    Raises:
        RefusedError: they cannot.
    """
    if not fits(session, key):
        found = say("another one") if key else say("none")
        raise RefusedError(
            say(
                "people asked to be forgotten, and only the key under which they were erased can "
                "tell who must not come back, but there is %(found)s now: give back "
                "site.erasure_key, or var/erasure_key from where the backups are kept",
                found=found,
            )
        )


def fits(session: Session, key: ErasureKey | None) -> bool:
    """As `check_key`."""
    kept = session.scalar(select(ErasureMark.mark))
    if kept is None or (key and kept in ("", _mark_of(key))):
        return True
    of_erased = Suppression.reason == SuppressionReason.ERASED
    return session.scalar(select(Suppression.id).where(of_erased).limit(1)) is None


def _mark_of(key: ErasureKey) -> str:
    return key.hashed(_CONSTANT)
