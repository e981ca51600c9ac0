"""The express way: commits by itself, loses nothing with its connection, reads no dead rows."""

from datetime import UTC, datetime

import psycopg
import pytest
from sqlalchemy import String, bindparam, insert, literal, select, text

from newsletter.broadcasts import plain_groups
from newsletter.core.db import DATABASE_AWAY, Sessions
from newsletter.core.express import Express, driver_time, written_out
from newsletter.core.tables import UtcDateTime
from newsletter.sending.models import Lease

NOON = datetime(2026, 6, 17, 12, 0, 0, 500, UTC)


def adding(express: Express, name: str) -> None:
    """One row of a small table, with a time in it."""
    statement = insert(Lease).values(
        name=bindparam("name", type_=String), token=7, until=bindparam("at", type_=UtcDateTime())
    )
    express.execute(
        written_out(statement, express.dialect),
        {"name": name, "at": driver_time(express.dialect, NOON)},
    )


def found(sessions: Sessions) -> dict[str, datetime]:
    with sessions.reading() as session:
        return {row.name: row.until for row in session.scalars(select(Lease))}


def test_what_was_said_is_committed_with_its_times(sessions: Sessions) -> None:
    express = Express(sessions)
    with express.transaction():
        adding(express, "it's one")
    assert found(sessions) == {"it's one": NOON}
    express.close()
    express.close()


def test_a_failed_transaction_leaves_nothing_and_the_next_begins_anew(sessions: Sessions) -> None:
    express = Express(sessions)

    def half_of_it() -> None:
        with express.transaction():
            if sessions.dialect == "sqlite":
                adding(express, "one")
            express.execute("SELECT nothing FROM nowhere", {})

    with pytest.raises(DATABASE_AWAY):
        half_of_it()
    with express.transaction():
        adding(express, "two")
    express.close()
    assert set(found(sessions)) == {"two"}


def test_a_connection_that_was_killed_is_opened_again(postgresql: Sessions) -> None:
    express = Express(postgresql)
    with express.transaction():
        ((backend,),) = express.execute("SELECT pg_backend_pid()", {}).fetchall()
    with postgresql.at_once() as connection:
        connection.execute(text("SELECT pg_terminate_backend(:backend)"), {"backend": backend})
    with pytest.raises(psycopg.OperationalError), express.transaction():
        adding(express, "one")
    with express.transaction():
        adding(express, "two")
    express.close()
    assert set(found(postgresql)) == {"two"}


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
def test_constants_are_written_out_and_quoted(dialect: str) -> None:
    named = ":name" if dialect == "sqlite" else "%(name)s::VARCHAR"
    statement = select(literal("it's 5 %"), literal(7)).where(
        bindparam("name", type_=String) == "x"
    )
    sql = written_out(statement, dialect)
    assert "'it''s 5 %" in sql
    assert f"{named} = 'x'" in sql


def test_an_intent_finds_its_rows_by_key_alone(postgresql: Sessions) -> None:
    """Without keys it would rather read all than the index of leases, full of dead rows."""
    express = Express(postgresql)
    rows = {"concluded": "[]", "announced": "[]", "concluded_ids": [1], "announced_ids": [2]}
    times = {"at": driver_time(express.dialect, NOON), "lease": 1, "again": 0}
    with express.transaction():
        for key in ("pk_deliveries", "uq_deliveries_broadcast_id_address_key"):
            express.execute(f"ALTER TABLE deliveries DROP CONSTRAINT {key} CASCADE", {})
        express.execute("SET enable_seqscan = off", {})
        asked = f"EXPLAIN {plain_groups._both()}"
        plan = str(express.execute(asked, {**rows, **times}).fetchall())
    express.close()
    assert "Seq Scan on deliveries" in plan
    assert "ix_deliveries_leased" not in plan
