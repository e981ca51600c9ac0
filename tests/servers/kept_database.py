"""A PostgreSQL database that tests use one after the other: made once, emptied in between.

Copying a template takes a test longer than most tests do. What cannot be emptied for certain is
thrown away and made anew: other tables, statistics that would sway the planner, many dead rows.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

import psycopg
from psycopg import sql
from sqlalchemy import URL

from newsletter.migrations.tables import METADATA

_TABLES = [sql.Identifier(table.name) for table in METADATA.sorted_tables]
_MANY_ROWS = 2_000
_OTHERS = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
_SHAPE = """
    SELECT md5(string_agg(relname || attname || atttypid || attnotnull || atthasdef, ','
                          ORDER BY relname, attnum))
    FROM pg_attribute JOIN pg_class c ON c.oid = attrelid
    WHERE relnamespace = 'public'::regnamespace AND NOT attisdropped
"""
_STATISTICS = """
    SELECT count(*) FROM pg_statistic JOIN pg_class c ON c.oid = starelid
    WHERE relnamespace = 'public'::regnamespace
"""
_COUNT_ANEW = """
    SELECT setval(format('%I.%I', schemaname, sequencename)::regclass, 1, false)
    FROM pg_sequences WHERE last_value IS NOT NULL
"""
_FILLED = sql.SQL(" UNION ALL ").join(
    sql.SQL("SELECT {} WHERE EXISTS (SELECT FROM {})").format(sql.Literal(t._obj[0]), t)
    for t in _TABLES
)


class KeptDatabase:
    """Of one process of the test run."""

    def __init__(self, server: URL, template: str, prefix: str) -> None:
        self._server = server
        self._template = template
        self._names = (f"{prefix}_kept_{number}" for number in count(1))
        self._name = ""
        self._shape: str | None = None

    @contextmanager
    def lent(self) -> Iterator[str]:
        """The URL of a database that has this version's tables and no row."""
        if not self._name:
            self._make()
        try:
            yield self._server.set(database=self._name).render_as_string(hide_password=False)
        finally:
            if not self._emptied():
                self.drop()

    def drop(self) -> None:
        """It is not used again."""
        if self._name:
            with self._connection("postgres") as admin:
                name = sql.Identifier(self._name)
                admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))
            self._name = ""

    def _make(self) -> None:
        self._name = next(self._names)
        names = map(sql.Identifier, (self._name, self._template))
        with self._connection("postgres") as admin:
            admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(*names))
        with self._connection(self._name) as inside:
            self._shape = _one(inside, _SHAPE)

    def _emptied(self) -> bool:
        with self._connection(self._name) as inside:
            inside.execute(_OTHERS)
            if _one(inside, _SHAPE) != self._shape or _one(inside, _STATISTICS):
                return False
            inside.execute("SET session_replication_role = replica")  # in any order
            gone = 0
            for (table,) in inside.execute(_FILLED).fetchall():
                deleted = inside.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(table)))
                gone += deleted.rowcount
            inside.execute(_COUNT_ANEW)
            return gone < _MANY_ROWS

    def _connection(self, database: str) -> psycopg.Connection:
        url = self._server.set(drivername="postgresql", database=database)
        return psycopg.connect(url.render_as_string(hide_password=False), autocommit=True)


def _one(connection: psycopg.Connection, query: str) -> str | None:
    row = connection.execute(query.encode()).fetchone()
    return str(row[0]) if row and row[0] else None
