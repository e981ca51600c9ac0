"""What is counted about sign-ups: windows of time, and letters to one address.

The key is a keyed hash: the table tells nobody's address. After a change of `site.secret_key`
everything is counted anew.
"""

import hmac
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from sqlalchemy import Connection, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from newsletter.core.clock import now
from newsletter.core.tokens import TokenKeys
from subscribers.models import SignUpCount

MOST_LETTERS = 3
"""One a day and three in all: asking is not allowed to become a nuisance."""
MOST_TO_ONE_MAILBOX = 5
"""A day, by whatever tags and dots: an address of one's own costs nothing, a mailbox is one."""
_LETTER_EVERY = timedelta(days=1)
_WITHOUT_DOTS = ("gmail.com", "googlemail.com")
_FOREVER = datetime(9999, 12, 31, tzinfo=UTC)


class LetterKind(StrEnum):
    """What a letter about a sign-up is for; of each kind so many in all are sent."""

    ASKING = "letter"
    """To confirm by."""
    TELLING = "letter to who is on the list"
    """That they are. Whoever leaves later can be asked still."""


def count_key(keys: TokenKeys, kind: str, thing: str) -> str:
    """What stands in the table for this thing of this kind."""
    return hmac.digest(keys.current, f"sign-up count: {kind} {thing}".encode(), "sha256").hex()


def count(connection: Connection, keys: Sequence[str], until: datetime) -> Mapping[str, int]:
    """One more of each, in windows that end then; returns how many there are now.

    One statement, in one order for everybody: two who count the same things never block each other
    for good.
    """
    dialect = connection.dialect.name
    insert = postgresql.insert if dialect == "postgresql" else sqlite.insert
    rows = [{"key": key, "until": until, "count": 1} for key in sorted(set(keys))]
    counted = connection.execute(
        insert(SignUpCount)
        .on_conflict_do_update(
            index_elements=[SignUpCount.key, SignUpCount.until],
            set_={"count": SignUpCount.count + 1},
        )
        .returning(SignUpCount.key, SignUpCount.count),
        rows,
    )
    return dict(counted.all())


def letter_is_due(
    session: Session, keys: TokenKeys, address_key: str, kind: LetterKind = LetterKind.ASKING
) -> bool:
    """Whether the address may get a letter about a sign-up now; if so, it is counted.

    Whoever asks holds the lock of the person's row: of two at once, one is told yes. Over all
    lists, one a day of whatever kind; the counts outlive the outbox, until the person confirms.
    """
    today = count_key(keys, "letter today", address_key)
    in_all = count_key(keys, kind, address_key)
    mailbox = count_key(keys, "letter to a mailbox", _mailbox_of(address_key))
    _wait_for_turn(session, mailbox)
    standing = session.execute(
        select(SignUpCount.key, func.sum(SignUpCount.count))
        .where(SignUpCount.key.in_([today, in_all, mailbox]), SignUpCount.until > now())
        .group_by(SignUpCount.key)
    )
    counts = dict(standing.all())
    if today in counts or counts.get(in_all, 0) >= MOST_LETTERS:
        return False
    if counts.get(mailbox, 0) >= MOST_TO_ONE_MAILBOX:
        return False
    count(session.connection(), [today, mailbox], now() + _LETTER_EVERY)
    count(session.connection(), [in_all], _FOREVER)
    return True


def _wait_for_turn(session: Session, mailbox: str) -> None:
    """Its addresses are people of their own: many at once would all see room for one letter."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(select(func.pg_advisory_xact_lock(int(mailbox[:15], 16))))


def _mailbox_of(address_key: str) -> str:
    """Where its mail arrives with most providers: without a tag, with Google without dots."""
    local, _, domain = address_key.rpartition("@")
    local = local.partition("+")[0]
    return f"{local.replace('.', '')}@gmail.com" if domain in _WITHOUT_DOTS else f"{local}@{domain}"


def forget_letters(session: Session, keys: TokenKeys, address_key: str) -> None:
    """They have confirmed, or are erased: later letters are counted anew; a day stays a day."""
    in_all = [count_key(keys, kind, address_key) for kind in LetterKind]
    session.execute(delete(SignUpCount).where(SignUpCount.key.in_(in_all)))


def forget_past_windows(connection: Connection) -> int:
    """Windows that are over are of no use; returns how many went."""
    gone = connection.execute(
        delete(SignUpCount).where(SignUpCount.until <= now()).returning(SignUpCount.key)
    )
    return len(gone.all())
