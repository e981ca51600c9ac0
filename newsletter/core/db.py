"""The database: SQLite (embedded default) or PostgreSQL by URL; the edge owns the transaction.

`session` as a first argument joins the caller's transaction; `sessions` opens its own.
"""

import json
import math
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg
from sqlalchemy import (
    Engine,
    create_engine,
    event,
    make_url,
)
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

from newsletter.core.database_url import check_database_url
from newsletter.core.errors import BusyError, ConfigurationError
from newsletter.core.sentences import say

BUSY_TIMEOUT_SECONDS = 10
DATABASE_AWAY = (DBAPIError, BusyError, psycopg.Error, sqlite3.Error)
"""What a database that is gone, restarting or busy raises: worth trying again."""
_PING_AFTER_SECONDS = 2
_IDLE_SINCE = "idle since"


class _FairLock:
    """First come, first served: SQLite's own busy handler starves whoever sleeps longest."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._held = False
        self._waiting: deque[threading.Event] = deque()

    def acquire(self, timeout_seconds: float) -> None:
        """Wait for our turn.

        Raises:
            BusyError: it did not come in time.
        """
        with self._guard:
            if not self._held:
                self._held = True
                return
            turn = threading.Event()
            self._waiting.append(turn)
        if turn.wait(timeout_seconds):
            return
        with self._guard:
            if turn.is_set():  # handed over in the very last moment: it is ours
                return
            self._waiting.remove(turn)
        raise BusyError(
            say(
                "the database was busy for %(seconds)s seconds: somebody else is writing",
                seconds=format(timeout_seconds, "g"),
            )
        )

    def release(self) -> None:
        with self._guard:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._held = False


class Sessions:
    """The factory of transactions: `with sessions.writing() as session:` commits at the end."""

    def __init__(self, engine: Engine, ring: Callable[[int], None] | None = None) -> None:
        self.engine = engine
        self.ring = ring
        """Called after commit with the id of a broadcast that has work; see `core.doorbell`."""
        self._writer = engine.execution_options(newsletter_writes=True)
        self._turn = _FairLock() if engine.dialect.name == "sqlite" else None
        self._at_once = (
            self._writer if self._turn else engine.execution_options(isolation_level="AUTOCOMMIT")
        )

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self.engine.dialect.name

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A transaction that changes nothing; rolled back at the end."""
        with Session(self.engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def own_connection(self) -> Iterator[Connection]:
        """A connection that nobody else gets, before or after: temporary tables end with it."""
        with self.engine.connect() as connection:
            connection.detach()
            yield connection

    @contextmanager
    def writing(self, *, rehearse: bool = False, on: Connection | None = None) -> Iterator[Session]:
        """A transaction that commits when the block ends and rolls back when it raises.

        Functions registered by `after_commit` run once the commit is known to have succeeded.
        Rehearsed, it rolls back at the end; what was read in it stays readable. `on` is a
        connection of `own_connection`.

        Raises:
            BusyError: other threads kept the database for longer than the busy timeout.
        """
        writer = on.execution_options(newsletter_writes=True) if on else self._writer
        with self.turn(), Session(writer, expire_on_commit=False) as session:
            session.info[_RING] = self.ring
            yield session
            if rehearse:
                session.expunge_all()
                return
            session.commit()
        for call in session.info.get(_AFTER_COMMIT, ()):
            call()

    @contextmanager
    def at_once(self) -> Iterator[Connection]:
        """For statements each of which is a transaction of its own, such as one on a hot path.

        No unit of work, nothing after the commit; on PostgreSQL one round trip for each.
        """
        with self.turn(), self._at_once.begin() as connection:
            yield connection

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Nobody else in this process writes meanwhile; on PostgreSQL all may.

        Raises:
            BusyError: other threads kept the database for longer than the busy timeout.
        """
        if self._turn:
            self._turn.acquire(BUSY_TIMEOUT_SECONDS)
        try:
            yield
        finally:
            if self._turn:
                self._turn.release()


_AFTER_COMMIT = "after_commit"
_RING = "ring"


def after_commit(session: Session, call: Callable[[], None]) -> None:
    """Run `call` once this transaction has committed; drop it when it rolls back."""
    session.info.setdefault(_AFTER_COMMIT, []).append(call)


def connect(url: str) -> Sessions:
    """A pool of connections to the database at `url`; a SQLite file's folder is made.

    Raises:
        ConfigurationError: the URL is not one of SQLite or PostgreSQL.
    """
    try:
        parsed = make_url(check_database_url(url))
    except ValueError as error:
        raise ConfigurationError(say("database.url: %(error)s", error=error)) from None
    if parsed.drivername.startswith("postgresql"):
        psycopg_url = parsed.set(drivername="postgresql+psycopg")
        engine = create_engine(psycopg_url, pool_size=10, hide_parameters=True)
        event.listen(engine, "checkin", _note_idle)
        event.listen(engine, "checkout", _ping_if_idle)
        return Sessions(engine)
    if parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(
        parsed,
        connect_args={"timeout": BUSY_TIMEOUT_SECONDS},
        hide_parameters=True,  # an error names its statement; addresses stay out of logs
        json_serializer=_to_json,
    )
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return Sessions(engine)


def _note_idle(connection: Any, record: ConnectionPoolEntry) -> None:
    del connection
    record.info[_IDLE_SINCE] = time.monotonic()


def _ping_if_idle(
    connection: Any, record: ConnectionPoolEntry, proxy: PoolProxiedConnection
) -> None:
    """Has the server gone meanwhile? Asked of a busy connection too, it would cost a round trip."""
    del proxy
    if time.monotonic() - record.info.get(_IDLE_SINCE, -math.inf) < _PING_AFTER_SECONDS:
        return
    try:
        connection.execute("SELECT 1")
        connection.rollback()
    except psycopg.Error as error:
        raise DisconnectionError(str(error)) from error


@contextmanager
def for_rehearsal(sessions: Sessions) -> Iterator[Sessions]:
    """The same data for a long transaction that is rolled back: on SQLite a copy beside the file.

    SQLite lets one write at a time, and whoever sends must not wait for a rehearsal.
    """
    if sessions.dialect != "sqlite":
        yield sessions
        return
    database = sessions.engine.url.database
    folder = Path(database).parent if database else None
    with TemporaryDirectory(prefix=".rehearsal-", dir=folder) as place:
        file = Path(place) / "copy.db"
        with sessions.reading() as session, closing(sqlite3.connect(file)) as copy:
            original: Any = session.connection().connection.driver_connection
            original.backup(copy)
        copied = connect(f"sqlite:///{file}")
        try:
            yield copied
        finally:
            copied.engine.dispose()


def _to_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, allow_nan=False)


def _prepare_sqlite(connection: Any, record: object) -> None:
    del record
    connection.isolation_level = None  # we say BEGIN ourselves, see _begin_sqlite
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        # An import changes pages all over the index of addresses; brought home after 1,000, as by
        # default, most are written twice. After 20,000 whoever commits then waits for 150 ms.
        "wal_autocheckpoint=4000",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("newsletter_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
