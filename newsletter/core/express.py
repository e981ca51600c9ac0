"""The express way to the database: for the statements that run for every few messages.

The driver's own connection, kept open by the one thread that uses it, and SQL written out once. A
unit of work asks more of the interpreter, which the loop beside it needs (decision page 0017).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, cast

from sqlalchemy import BindParameter, Connection, Executable, String
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Dialect
from sqlalchemy.sql.compiler import SQLCompiler

from newsletter.core.db import Sessions
from newsletter.core.given_rows import json_time

_DIALECTS: Mapping[str, Dialect] = {
    "postgresql": postgresql.psycopg.dialect(),  # type: ignore[no-untyped-call] # theirs
    "sqlite": sqlite.pysqlite.dialect(paramstyle="named"),
}


class Express:
    """One connection; opened when first used, and again after an error."""

    def __init__(self, sessions: Sessions) -> None:
        self.dialect = sessions.dialect
        self._sessions = sessions
        self._connection: Any = None

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commits at the end. On PostgreSQL every statement commits by itself: say only one.

        Raises:
            BusyError: other threads kept the database for longer than the busy timeout.
            psycopg.Error, sqlite3.Error: as `DATABASE_AWAY` has them.
        """
        with self._sessions.turn():
            try:
                connection = self._connection = self._connection or self._opened()
                if self.dialect == "sqlite":
                    connection.execute("BEGIN IMMEDIATE")
                yield
                if self.dialect == "sqlite":
                    connection.execute("COMMIT")
            except BaseException:
                self.close()
                raise

    def execute(self, sql: str, values: Mapping[str, Any]) -> Any:
        """The driver's cursor."""
        return self._connection.execute(sql, values)

    def close(self) -> None:
        """Idempotent; what is not committed is rolled back."""
        connection, self._connection = self._connection, None
        if connection:
            connection.close()

    def _opened(self) -> Any:
        pooled = self._sessions.engine.raw_connection()
        connection: Any = pooled.driver_connection
        pooled.detach()
        if self.dialect == "postgresql":
            connection.autocommit = True
            # Planned once: for a group of three, planning would cost as much as running.
            connection.execute("SET plan_cache_mode = force_generic_plan")
        return connection


def driver_time(dialect: str, moment: datetime) -> str | datetime:
    """A time as the driver takes it."""
    return moment if dialect == "postgresql" else json_time(moment.astimezone(UTC)) or ""


def driver_rows(connection: Connection, sql: str, values: Mapping[str, Any]) -> Sequence[Any]:
    """What a statement that is written out returns, in the transaction of the connection.

    As the driver has them: no column knows its type here. Nothing for a statement without rows.
    """
    cursor = connection.connection.cursor()
    try:
        cursor.execute(sql, values)
        return cursor.fetchall() if cursor.description else ()
    finally:
        cursor.close()


def written_out(statement: Executable, dialect: str) -> str:
    """The statement as the driver takes it: constants in it, parameters without a value by name."""
    compiled = cast("SQLCompiler", cast("Any", statement).compile(dialect=_DIALECTS[dialect]))
    sql = str(compiled)
    for parameter, name in compiled.bind_names.items():
        if not parameter.required:
            sql = re.sub(_place(name, dialect), _literal(parameter, dialect), sql)
    return sql


def _place(name: str, dialect: str) -> str:
    """Where a compiled statement has this parameter; the second form is of `literal_execute`."""
    usual = rf"%\({name}\)s" if dialect == "postgresql" else rf":{name}\b"
    return rf"{usual}|__\[POSTCOMPILE_{name}\]"


def _literal(parameter: BindParameter[Any], dialect: str) -> str:
    spoken, value = _DIALECTS[dialect], parameter.value
    kind = String() if isinstance(value, str) else parameter.type
    written = kind.dialect_impl(spoken).literal_processor(spoken)
    return written(value) if written else str(int(cast("int", value)))
