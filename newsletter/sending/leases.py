"""Named leases: a right that one process holds until a time, and that outlives no crash.

`sender` is the right to be the one embedded sender; `relay/NAME/K` is the right to hold the K-th
connection to a relay, over all workers.
"""

import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import delete, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from newsletter.core import logs
from newsletter.core.db import Sessions, database_now
from newsletter.sending.models import Lease

SENDER = "sender"
_TOKEN_BITS = 63

log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class Held:
    """A lease we hold; `token` proves it."""

    name: str
    token: int


@contextmanager
def hold(
    sessions: Sessions, names: Iterator[str] | list[str], seconds: int
) -> Iterator[Held | None]:
    """Hold the first of `names` that is free, or None when none is; given back at the end.

    Meanwhile it is renewed by a timer of its own, so that it can be short: when we die, somebody
    else has the right after `seconds`, however long the work is that we held it for.
    """
    held = next((h for name in names if (h := _take(sessions, name, seconds))), None)
    if held is None:
        yield None
        return
    ended = threading.Event()
    keeper = threading.Thread(target=_keep, args=(sessions, held, seconds, ended), daemon=True)
    keeper.start()
    try:
        yield held
    finally:
        ended.set()
        keeper.join()
        with sessions.writing() as session:
            _release(session, held)


def renew(sessions: Sessions, held: Held, seconds: int) -> bool:
    """Keep it for another `seconds`; False when somebody else has taken it over."""
    with sessions.writing() as session:
        renewed = session.scalars(
            update(Lease)
            .where(Lease.name == held.name, Lease.token == held.token)
            .values(until=database_now(seconds))
            .returning(Lease.name)
        )
        return renewed.one_or_none() is not None


def _keep(sessions: Sessions, held: Held, seconds: int, ended: threading.Event) -> None:
    while not ended.wait(seconds / 3):
        try:
            renew(sessions, held, seconds)
        except SQLAlchemyError as error:
            # The database is away or busy; the next turn may come in time.
            log.warning("lease.not_renewed", name=held.name, error=type(error).__name__)


def _take(sessions: Sessions, name: str, seconds: int) -> Held | None:
    """One statement: insert the lease, or take over one that has ended."""
    held = Held(name, secrets.randbits(_TOKEN_BITS))
    with sessions.writing() as session:
        insert = postgresql.insert if sessions.dialect == "postgresql" else sqlite.insert
        statement = (
            insert(Lease)
            .values(name=name, token=held.token, until=database_now(seconds))
            .on_conflict_do_update(
                index_elements=[Lease.name],
                set_={"token": held.token, "until": database_now(seconds)},
                where=Lease.until < database_now(),
            )
            .returning(Lease.name)
        )
        taken = session.scalars(statement).one_or_none()
    return held if taken else None


def _release(session: Session, held: Held) -> None:
    session.execute(delete(Lease).where(Lease.name == held.name, Lease.token == held.token))
