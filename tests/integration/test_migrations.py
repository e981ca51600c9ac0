"""Migrations: one head, and the tables they make are those the models describe."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import select, text

from newsletter.broadcasts.models import Broadcast
from newsletter.core.db import Sessions, connect
from newsletter.core.errors import SchemaError
from newsletter.migrations import schema


def test_there_is_one_head() -> None:
    assert ScriptDirectory.from_config(schema.config()).get_heads() == [schema.head()]


def test_the_tables_are_those_of_the_models(sessions: Sessions) -> None:
    assert schema.is_current(sessions)
    assert schema.drift(sessions) == []


def test_a_missing_column_is_a_difference(sessions: Sessions) -> None:
    with sessions.writing() as session:
        session.connection().exec_driver_sql("ALTER TABLE broadcasts DROP COLUMN pause_reason")
    assert any("pause_reason" in difference for difference in schema.drift(sessions))


@pytest.mark.parametrize(
    ("before", "reason", "detail"),
    [
        ("operator", "operator", ""),
        ("does not add up: candidates 2 = …", "health", "does not add up: candidates 2 = …"),
        ("relay main: login: 535 no", "breaker", "relay main: login: 535 no"),
    ],
)
def test_a_pause_of_an_earlier_version_says_by_whom(
    tmp_path: Path, postgresql_database: str, before: str, reason: str, detail: str
) -> None:
    for url in (f"sqlite:///{tmp_path / 'newsletter.db'}", postgresql_database):
        sessions = connect(url)
        with sessions.writing() as session:
            connection = session.connection()
            command.upgrade(schema.config(connection), "0001")
            for table, row in _a_paused_broadcast(before):
                names, values = ", ".join(row), ", ".join(f":{name}" for name in row)
                connection.execute(text(f"INSERT INTO {table} ({names}) VALUES ({values})"), row)
        schema.upgrade(sessions)
        with sessions.reading() as session:
            (broadcast,) = session.scalars(select(Broadcast))
        assert (broadcast.pause_reason, broadcast.pause_detail) == (reason, detail)
        assert (broadcast.on_in_doubt, broadcast.resume_at) == ("hold", None)
        assert schema.drift(sessions) == []
        sessions.engine.dispose()


def _a_paused_broadcast(pause_reason: str) -> list[tuple[str, dict[str, object]]]:
    """Rows as version 0001 has them."""
    day = datetime(2026, 6, 17, tzinfo=UTC)
    words = ["name", "sender_name", "sender_address", "reply_to", "postal_address", "list_id"]
    return [
        (
            "newsletters",
            {"id": 1, "slug": "n", "tracking_mode": "off", "created_at": day}
            | dict.fromkeys(words, ""),
        ),
        (
            "issues",
            {"id": 1, "newsletter_id": 1, "date": day.date(), "revision": 1}
            | dict.fromkeys(["subject", "source", "source_name"], "")
            | dict.fromkeys(["created_at", "updated_at"], day),
        ),
        (
            "broadcasts",
            {"id": 1, "issue_id": 1, "state": "paused", "pause_reason": pause_reason}
            | {"freeze_cursor": 0, "candidates": 0, "exclusions": "{}"}
            | dict.fromkeys(["start_at", "not_after", "created_at"], day),
        ),
    ]


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
