"""Named leases: a right that one process holds until a time, and that outlives no crash.

`sender` is the right to be the one embedded sender; `relay/NAME/K` is the right to hold the K-th
connection to a relay, over all workers.
"""

import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from newsletter.core import logs
from newsletter.core.db import DATABASE_AWAY, Sessions
from newsletter.core.tables import database_now
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
    sessions: Sessions, name: str, seconds: int, on_lost: Callable[[], None] = lambda: None
) -> Iterator[Held | None]:
    """Hold the lease called `name`, or None when somebody else does; given back at the end.

    Meanwhile it is renewed by a timer of its own, so that it can be short: when we die, somebody
    else has the right after `seconds`, however long the work is that we held it for. `on_lost` is
    called, in another thread, when somebody else has taken it over all the same.
    """
    held = next(iter(take(sessions, [name], 1, seconds)), None)
    if held is None:
        yield None
        return
    ended = threading.Event()
    keeper = threading.Thread(
        target=_keep, args=(sessions, held, seconds, ended, on_lost), name="lease", daemon=True
    )
    keeper.start()
    try:
        yield held
    finally:
        ended.set()
        keeper.join()
        release(sessions, [held])


def _keep(
    sessions: Sessions,
    held: Held,
    seconds: int,
    ended: threading.Event,
    on_lost: Callable[[], None],
) -> None:
    while not ended.wait(seconds / 3):
        try:
            if not renew(sessions, [held], seconds):
                on_lost()
                return
        except DATABASE_AWAY as error:
            # The database is away or busy; the next turn may come in time.
            log.warning("lease.not_renewed", name=held.name, error=type(error).__name__)


def take(sessions: Sessions, names: Sequence[str], count: int, seconds: int) -> list[Held]:
    """Take up to `count` of the leases that are free, in the order of `names`."""
    with sessions.writing() as session:
        busy = set(
            session.scalars(
                select(Lease.name).where(Lease.name.in_(names), Lease.until >= database_now())
            )
        )
        wanted = [name for name in names if name not in busy][:count]
        held = [Held(name, secrets.randbits(_TOKEN_BITS)) for name in wanted]
        return [lease for lease in held if _took(session, sessions.dialect, lease, seconds)]


def renew(sessions: Sessions, held: Sequence[Held], seconds: int) -> list[Held]:
    """Keep them for another `seconds`; returns those that are still ours."""
    with sessions.writing() as session:
        renewed = session.execute(
            update(Lease)
            .where(Lease.token.in_([lease.token for lease in held]))
            .values(until=database_now(seconds))
            .returning(Lease.name, Lease.token)
        )
        return [Held(name, token) for name, token in renewed]


def release(sessions: Sessions, held: Sequence[Held]) -> None:
    """Give them back; what somebody else has taken over is left alone."""
    with sessions.writing() as session:
        session.execute(delete(Lease).where(Lease.token.in_([lease.token for lease in held])))


def _took(session: Session, dialect: str, lease: Held, seconds: int) -> bool:
    """One statement: insert the lease, or take over one that has ended."""
    insert = postgresql.insert if dialect == "postgresql" else sqlite.insert
    statement = (
        insert(Lease)
        .values(name=lease.name, token=lease.token, until=database_now(seconds))
        .on_conflict_do_update(
            index_elements=[Lease.name],
            set_={"token": lease.token, "until": database_now(seconds)},
            where=Lease.until < database_now(),
        )
        .returning(Lease.name)
    )
    return session.scalars(statement).one_or_none() is not None
