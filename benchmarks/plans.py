"""What a database is asked, how long it takes, and what it does for that, in one line."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import event

from newsletter.core.db import Sessions

_DETAILS = ("Cond", "Filter", "Key", "Workers", "Planned", "Rows Removed", "SubPlan", "InitPlan")
_MOST_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class Statement:
    """One that the database was asked, and for how long."""

    text: str
    parameters: Any
    seconds: float


@contextmanager
def statements(sessions: Sessions) -> Iterator[list[Statement]]:
    """What the database is asked while the block runs."""
    ran: list[Statement] = []
    began: dict[int, float] = {}

    def before(_connection: Any, cursor: Any, *_: Any) -> None:
        began[id(cursor)] = time.perf_counter()

    def after(
        _connection: Any, cursor: Any, text: str, parameters: Any, _context: Any, many: bool
    ) -> None:
        seconds = time.perf_counter() - began.pop(id(cursor))
        if not many:
            ran.append(Statement(text, parameters, seconds))

    event.listen(sessions.engine, "before_cursor_execute", before)
    event.listen(sessions.engine, "after_cursor_execute", after)
    try:
        yield ran
    finally:
        event.remove(sessions.engine, "before_cursor_execute", before)
        event.remove(sessions.engine, "after_cursor_execute", after)


def plan_of(
    sessions: Sessions,
    statement: str,
    parameters: Any,
    settings: Sequence[Statement] = (),
) -> str:
    """PostgreSQL's steps from the top, or SQLite's in their order, with settings made before."""
    explain = "EXPLAIN (COSTS OFF)" if sessions.dialect == "postgresql" else "EXPLAIN QUERY PLAN"
    with sessions.reading() as session:
        driver: Any = session.connection().connection.driver_connection
        cursor = driver.cursor()
        for setting in settings:
            cursor.execute(setting.text, setting.parameters)
        cursor.execute(f"{explain} {statement}", parameters)
        return _shortened([str(row[-1]) for row in cursor.fetchall()])


def _shortened(lines: list[str]) -> str:
    """Without conditions: `Limit < Index Scan using pk_subscribers on subscribers`."""
    steps = [line.strip().removeprefix("->").strip() for line in lines]
    shown = " < ".join(step for step in steps if not any(word in step for word in _DETAILS))
    return shown[:_MOST_CHARACTERS]
