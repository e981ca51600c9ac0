"""The express way to the database: for the statements that run for every few messages.

The driver's own connection, kept open by the one thread that uses it, and SQL written out once. A
unit of work asks more of the interpreter, which the loop beside it needs (decision page 0017).
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, cast

from sqlalchemy import BindParameter, Executable, String, literal_column
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Dialect
from sqlalchemy.sql import visitors

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

    def time(self, moment: datetime) -> str | datetime:
        """A value for a column of times."""
        return moment if self.dialect == "postgresql" else json_time(moment.astimezone(UTC)) or ""

    def _opened(self) -> Any:
        pooled = self._sessions.engine.raw_connection()
        connection: Any = pooled.driver_connection
        pooled.detach()
        if self.dialect == "postgresql":
            connection.autocommit = True
            # Planned once: for a group of three, planning would cost as much as running.
            connection.execute("SET plan_cache_mode = force_generic_plan")
        return connection


def written_out(statement: Executable, dialect: str) -> str:
    """The statement as the driver takes it: constants in it, parameters without a value by name."""

    def constant(element: Any, **_: Any) -> Any:
        if not isinstance(element, BindParameter) or element.required:
            return None
        return literal_column(_literal(element, dialect), element.type)

    spoken = visitors.replacement_traverse(cast("Any", statement), {}, constant)
    compiled = spoken.compile(dialect=_DIALECTS[dialect])
    assert set(compiled.params.values()) <= {None}, compiled.params
    return str(compiled)


def _literal(parameter: BindParameter[Any], dialect: str) -> str:
    spoken, value = _DIALECTS[dialect], parameter.value
    kind = String() if isinstance(value, str) else parameter.type
    written = kind.dialect_impl(spoken).literal_processor(spoken)
    return written(value) if written else str(int(cast("int", value)))
