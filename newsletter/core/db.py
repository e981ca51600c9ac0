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
from datetime import UTC, datetime
from enum import IntEnum, StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import psycopg
from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Engine,
    Enum,
    Integer,
    MetaData,
    SmallInteger,
    TypeDecorator,
    create_engine,
    event,
    make_url,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import Connection, Dialect
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from newsletter.core.database_url import check_database_url
from newsletter.core.errors import BusyError, ConfigurationError

BUSY_TIMEOUT_SECONDS = 10
DATABASE_AWAY = (DBAPIError, BusyError, psycopg.Error, sqlite3.Error)
"""What a database that is gone, restarting or busy raises: worth trying again."""
_PING_AFTER_SECONDS = 2
_IDLE_SINCE = "idle since"

BigId = BigInteger().with_variant(Integer, "sqlite")
"""A 64-bit key; SQLite only counts up by itself when the column is called INTEGER."""

Json = JSON().with_variant(JSONB(), "postgresql")


class Base(DeclarativeBase):
    """The one metadata; constraint names are fixed so that migrations can name them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class UtcDateTime(TypeDecorator[datetime]):
    """An aware datetime in UTC, stored alike on both databases; naive values are refused."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("expected an aware datetime, got a naive one")
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        del dialect
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


_E = TypeVar("_E", bound=IntEnum)
_S = TypeVar("_S", bound=StrEnum)


class SmallEnum(TypeDecorator[_E]):
    """An IntEnum kept as a smallint: for tables with a row per recipient."""

    impl = SmallInteger
    cache_ok = True

    def __init__(self, enum: type[_E]) -> None:
        super().__init__()
        self.enum = enum

    def process_bind_param(self, value: _E | None, dialect: Dialect) -> int | None:
        del dialect
        return None if value is None else int(self.enum(value))

    def process_result_value(self, value: int | None, dialect: Dialect) -> _E | None:
        del dialect
        return None if value is None else self.enum(value)


def text_enum(enum: type[_S], length: int = 20) -> Enum:
    """A StrEnum kept as its text, readable in any database client."""
    return Enum(
        enum,
        native_enum=False,
        length=length,
        values_callable=lambda members: [member.value for member in members],
    )


class database_now(FunctionElement[datetime]):  # noqa: N801 - reads as the SQL function it is
    """The database's clock, or so many seconds later: machines need not agree on the time.

    Leases are given and judged by it: `database_now()` and `database_now(lease_seconds)`.
    """

    type = UtcDateTime()
    inherit_cache = True


@compiles(database_now, "postgresql")
def _postgresql_now(element: database_now, compiler: SQLCompiler, **options: Any) -> str:
    later = [compiler.process(seconds, **options) for seconds in element.clauses]
    return "clock_timestamp()" + "".join(f" + make_interval(secs => {s})" for s in later)


@compiles(database_now, "sqlite")
def _sqlite_now(element: database_now, compiler: SQLCompiler, **options: Any) -> str:
    later = [compiler.process(seconds, **options) for seconds in element.clauses]
    shifts = "".join(f", {s} || ' seconds'" for s in later)
    return f"strftime('%Y-%m-%d %H:%M:%f000', 'now'{shifts})"


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
            f"the database was busy for {timeout_seconds:g} seconds: somebody else is writing"
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
        """For one statement that is a transaction of its own, on a hot path.

        No unit of work, nothing after the commit; on PostgreSQL one round trip in all.
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
        raise ConfigurationError(f"database.url: {error}") from None
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
