"""Go through a mailbox: each mail is looked at once, and deleted only when that was committed.

What is remembered of a mail is written with its consequence. So a crash between the two repeats
nothing, and an old mail that could not be deleted undoes nobody's coming back.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from newsletter.bounces.mailbox import Mailbox
from newsletter.bounces.models import MailSeen
from newsletter.core.db import Sessions

MOST_AT_ONCE = 1_000
"""New mails of one round; the next round goes on behind them."""

Handle = Callable[[Session, bytes], bool]
"""Does what the head of a mail asks for; True when it was understood."""


@dataclass(frozen=True, slots=True)
class Collected:
    """What came of one round: mails looked at, those that were understood, and those that stay."""

    looked_at: int
    understood: int

    @property
    def left_alone(self) -> int:
        return self.looked_at - self.understood


def collect(
    sessions: Sessions, mailbox: Mailbox, key: str, handle: Handle, *, rehearse: bool = False
) -> Collected:
    """Hand every new mail to `handle`, in a transaction of its own; no network in between.

    `key` names the mailbox. Rehearsed, nothing is changed here or there.
    """
    present = mailbox.uids()
    with sessions.writing(rehearse=rehearse) as session:
        known = _known(session, key, present)
    new = [uid for uid in present if uid not in known][:MOST_AT_ONCE]
    understood = []
    for uid in new:
        head = mailbox.head(uid)
        with sessions.writing(rehearse=rehearse) as session:
            if _is_ours(session, key, uid) and handle(session, head):
                _note_done(session, key, uid)
                understood.append(uid)
    if not rehearse:
        mailbox.delete([uid for uid in present if known.get(uid)] + understood)
    return Collected(len(new), len(understood))


def _known(session: Session, key: str, present: Sequence[str]) -> dict[str, bool]:
    """By uid, whether it is done; what is no longer in the mailbox is forgotten."""
    rows = dict(
        session.execute(select(MailSeen.uid, MailSeen.is_done).where(MailSeen.mailbox == key)).all()
    )
    gone = rows.keys() - set(present)
    for uid in gone:
        session.execute(delete(MailSeen).where(MailSeen.mailbox == key, MailSeen.uid == uid))
        del rows[uid]
    return rows


def _is_ours(session: Session, key: str, uid: str) -> bool:
    """Of two who look at the same mail one gets it."""
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    added = session.scalars(
        insert(MailSeen)
        .values(mailbox=key, uid=uid)
        .on_conflict_do_nothing(index_elements=[MailSeen.mailbox, MailSeen.uid])
        .returning(MailSeen.uid)
    )
    return added.one_or_none() is not None


def _note_done(session: Session, key: str, uid: str) -> None:
    session.execute(
        update(MailSeen).where(MailSeen.mailbox == key, MailSeen.uid == uid).values(is_done=True)
    )
