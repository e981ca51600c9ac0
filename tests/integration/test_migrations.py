"""Migrations: one head, and the tables they make are those the models describe."""

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import text

from newsletter.core.db import Sessions, connect
from newsletter.core.errors import SchemaError
from newsletter.migrations import schema


def test_there_is_one_head() -> None:
    assert len(ScriptDirectory.from_config(schema.config()).get_heads()) == 1


def test_the_tables_are_those_of_the_models(sessions: Sessions) -> None:
    assert schema.is_current(sessions)
    assert schema.drift(sessions) == []


def test_a_missing_column_is_a_difference(sessions: Sessions) -> None:
    with sessions.writing() as session:
        session.connection().exec_driver_sql("ALTER TABLE broadcasts DROP COLUMN pause_reason")
    assert any("pause_reason" in difference for difference in schema.drift(sessions))


def test_upgrading_again_changes_nothing(sessions: Sessions) -> None:
    schema.upgrade(sessions)
    schema.prepare(sessions)
    assert schema.is_current(sessions)


def test_a_fresh_postgresql_is_the_operators_to_upgrade(postgresql_database: str) -> None:
    sessions = connect(postgresql_database)
    with pytest.raises(SchemaError, match="newsletter db upgrade"):
        schema.prepare(sessions)
    schema.upgrade(sessions)
    schema.prepare(sessions)
    sessions.engine.dispose()


def test_the_ledger_is_vacuumed_long_before_a_fifth_of_it_changed(postgresql_database: str) -> None:
    sessions = connect(postgresql_database)
    schema.upgrade(sessions)
    with sessions.reading() as session:
        found = session.execute(
            text("SELECT relname, reloptions FROM pg_class WHERE reloptions IS NOT NULL")
        )
        settings = {table: dict(option.split("=") for option in of) for table, of in found}
    sessions.engine.dispose()
    for table in ("deliveries", "events", "outbox"):
        assert float(settings[table]["autovacuum_vacuum_scale_factor"]) <= 0.02
