"""Many rows in few statements: COPY on PostgreSQL, prepared statements on SQLite."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import chain
from typing import Any, Protocol

from psycopg.errors import UniqueViolation
from sqlalchemy import Connection, func, select
from sqlalchemy.orm import Session

from subscribers.models import Subscriber

PEOPLE = (
    *("email", "address_key", "domain_key", "name", "locale", "time_zone"),
    *("attributes", "created_at"),
)
SUBSCRIPTIONS = (
    *("subscriber_id", "list_id", "status", "tracking_consent"),
    *("subscribed_at", "confirmed_at", "unsubscribed_at", "paused_until", "answers"),
)
EVENTS = (
    *("subscriber_id", "list_id", "change", "at", "method", "source"),
    *("form", "ip", "user_agent", "wording", "reason", "remark"),
)
Values = Sequence[Any]
"""One row, in the order of the columns above; times as `time_for` has them, JSON as text."""
Moment = Callable[[datetime | None], str | None]


class Bulk(Protocol):
    """Adds rows within the session's transaction."""

    def add_people(self, rows: Sequence[Values]) -> dict[str, int]:
        """Address key -> id of those that were added: not those who are there already."""

    def add_subscriptions(self, rows: Sequence[Values]) -> set[tuple[int, int]]:
        """(subscriber id, list id) of those that were added: not what somebody else just added."""

    def add_events(self, rows: Iterable[Values]) -> None:
        """Evidence."""


def as_json(value: Mapping[str, Any]) -> str:
    """As both databases take it."""
    return _JSON.encode(value) if value else "{}"


_JSON = json.JSONEncoder(ensure_ascii=False, sort_keys=True, allow_nan=False)


def time_for(dialect: str) -> Moment:
    """What makes a value of a time that is UTC already, a good deal faster than the drivers do."""
    return _time_on_postgresql if dialect == "postgresql" else _time_on_sqlite


def _time_on_postgresql(moment: datetime | None) -> str | None:
    return moment.isoformat(" ") if moment else None


def _time_on_sqlite(moment: datetime | None) -> str | None:
    """As `json_time` has it."""
    return moment.isoformat(" ", "microseconds")[:_SECONDS_END] if moment else None


_SECONDS_END = len("2026-06-17 08:00:00.000000")


def bulk(session: Session) -> Bulk:
    """For the session's database."""
    on_postgresql = session.get_bind().dialect.name == "postgresql"
    return _OnPostgresql(session) if on_postgresql else _OnSqlite(session)


def give_room(connection: Connection) -> None:
    """On SQLite, memory for the pages that so many rows change, for as long as it is open.

    From then on no commit takes pages from the log to their places: `bring_home` does.
    """
    if connection.dialect.name == "sqlite":
        driver: Any = connection.connection.dbapi_connection
        driver.execute(f"PRAGMA cache_size=-{_CACHE_KB}")
        driver.execute("PRAGMA wal_autocheckpoint=0")


def bring_home(connection: Connection) -> None:
    """On SQLite, between transactions: others may write while pages go to their places."""
    if connection.dialect.name == "sqlite":
        driver: Any = connection.connection.dbapi_connection
        driver.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()


_CACHE_KB = 64_000
"""The index of a million addresses, nearly: each row goes to another page of it."""


class Others:
    """Whether other connections have written meanwhile; asked on SQLite, where they wait for us."""

    def __init__(self) -> None:
        self._version: int | None = None

    def wrote(self, session: Session) -> bool:
        """Since this was asked last; always of the same connection, in a transaction of its own."""
        if session.get_bind().dialect.name != "sqlite":
            return False
        before = self._version
        self._version = session.connection().exec_driver_sql("PRAGMA data_version").scalar_one()
        return before is not None and before != self._version


def take_turns(session: Session) -> None:
    """One import at a time, chunk by chunk: two might wait for each other's people crosswise.

    Whoever erases takes a turn too: no import brings back whom it did not know to be erased.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.execute(select(func.pg_advisory_xact_lock(_IMPORTS)))


_IMPORTS = 0x1A907
"""The number of the lock; nothing else in the database has it."""


_AT_ONCE = 10
"""Rows of a statement; more gain nothing."""


class _OnSqlite:
    """Nobody else writes while we do."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add_people(self, rows: Sequence[Values]) -> dict[str, int]:
        highest = select(func.max(Subscriber.id))
        before = self._session.scalar(highest) or 0
        added = self._insert("subscribers", PEOPLE, rows, "ON CONFLICT (address_key) DO NOTHING")
        if added < len(rows):
            new = select(Subscriber.address_key, Subscriber.id).where(Subscriber.id > before)
            return dict(self._session.execute(new).all())
        # Ids count up by one within a transaction, and the last was given to the last row.
        last = self._session.scalar(highest) or 0
        return {row[1]: number for number, row in enumerate(rows, last - len(rows) + 1)}

    def add_subscriptions(self, rows: Sequence[Values]) -> set[tuple[int, int]]:
        self._insert("subscriptions", SUBSCRIPTIONS, rows)
        return {(row[0], row[1]) for row in rows}

    def add_events(self, rows: Iterable[Values]) -> None:
        self._insert("consent_events", EVENTS, list(rows))

    def _insert(
        self, table: str, columns: Sequence[str], rows: Sequence[Values], unless: str = ""
    ) -> int:
        """Some at once, the rest one by one; returns how many were added.

        FAIL: what has failed may have left rows behind, and is rolled back whole; to be able to
        take back one statement of several rows SQLite would copy every page before it writes.
        """
        cut = len(rows) - len(rows) % _AT_ONCE
        together = [
            tuple(chain.from_iterable(rows[at : at + _AT_ONCE])) for at in range(0, cut, _AT_ONCE)
        ]
        row = f"({', '.join('?' * len(columns))})"
        into = f"INSERT OR FAIL INTO {table} ({', '.join(columns)}) VALUES"
        connection = self._session.connection()
        driver: Any = connection.connection.dbapi_connection
        before = driver.total_changes
        for several, given in ((_AT_ONCE, together), (1, list(map(tuple, rows[cut:])))):
            if given:
                values = ", ".join([row] * several)
                connection.exec_driver_sql(f"{into} {values} {unless}", given)
        return int(driver.total_changes - before)


# The sequence is looked up once by itself: within `nextval`, for each number.
_NEW_IDS = """
    SELECT array_agg(nextval((SELECT pg_get_serial_sequence('subscribers', 'id')::regclass)))
    FROM generate_series(1, %s)
"""


class _OnPostgresql:
    """Rows come by COPY, or where somebody is there already by COPY past those that are."""

    def __init__(self, session: Session) -> None:
        self._session = session
        driver: Any = session.connection().connection.dbapi_connection
        self._driver = driver

    def add_people(self, rows: Sequence[Values]) -> dict[str, int]:
        ids = self._new_ids(len(rows))
        numbered = [(number, *row) for number, row in zip(ids, rows, strict=True)]
        if self._copied("subscribers", ("id", *PEOPLE), numbered):
            return {row[1]: number for number, row in zip(ids, rows, strict=True)}
        return dict(self._insert("subscribers", PEOPLE, rows, "address_key", "address_key, id"))

    def add_subscriptions(self, rows: Sequence[Values]) -> set[tuple[int, int]]:
        if self._copied("subscriptions", SUBSCRIPTIONS, rows):
            return {(row[0], row[1]) for row in rows}
        key = "subscriber_id, list_id"
        return set(self._insert("subscriptions", SUBSCRIPTIONS, rows, key, key))

    def add_events(self, rows: Iterable[Values]) -> None:
        self._copy("consent_events", EVENTS, rows)

    def _new_ids(self, many: int) -> Sequence[int]:
        return self._driver.execute(_NEW_IDS, [many]).fetchone()[0] or []

    def _copied(self, table: str, columns: Sequence[str], rows: Sequence[Values]) -> bool:
        """All of them; False, and none, when one is there already."""
        if not rows:
            return True
        try:
            with self._driver.transaction():
                self._copy(table, columns, rows)
        except UniqueViolation:
            return False
        return True

    def _insert(
        self, table: str, columns: Sequence[str], rows: Sequence[Values], key: str, wanted: str
    ) -> list[tuple[Any, Any]]:
        if not rows:
            return []
        named, staged = ", ".join(columns), f"incoming_{table}"
        as_there = f"SELECT {named} FROM {table} WITH NO DATA"  # noqa: S608 - our own names
        self._driver.execute(f"CREATE TEMPORARY TABLE IF NOT EXISTS {staged} AS {as_there}")
        self._driver.execute(f"TRUNCATE {staged}")
        self._copy(staged, columns, rows)
        added: list[tuple[Any, Any]] = self._driver.execute(
            f"INSERT INTO {table} ({named}) SELECT {named} FROM {staged} "  # noqa: S608 - our own names
            f"ON CONFLICT ({key}) DO NOTHING RETURNING {wanted}"
        ).fetchall()
        return added

    def _copy(self, table: str, columns: Sequence[str], rows: Iterable[Values]) -> None:
        sql = f"COPY {table} ({', '.join(columns)}) FROM STDIN"
        with self._driver.cursor() as cursor, cursor.copy(sql) as copy:
            for row in rows:
                copy.write_row(row)
