"""Bring a database to this version's tables, or say that it is not there yet."""

from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from newsletter.core.db import Sessions
from newsletter.core.errors import SchemaError
from newsletter.migrations.tables import METADATA

_LOCK = 7_305_220_114
"""The PostgreSQL advisory lock that lets one process migrate at a time."""


def config(connection: Connection | None = None) -> Config:
    """Alembic's configuration, without an ini file."""
    alembic = Config()
    alembic.set_main_option("script_location", str(Path(__file__).parent))
    alembic.attributes["connection"] = connection
    return alembic


def upgrade(sessions: Sessions) -> None:
    """Run the missing migrations in one transaction."""
    with sessions.writing() as session:
        connection = session.connection()
        if sessions.dialect == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        if _revision(connection) != head():
            command.upgrade(config(connection), "head")


def prepare(sessions: Sessions) -> None:
    """Make the tables current on SQLite; on PostgreSQL only check, the operator upgrades.

    Raises:
        SchemaError: the PostgreSQL database is behind or ahead of this version.
    """
    if is_current(sessions):
        return
    if sessions.dialect == "sqlite":
        upgrade(sessions)
        return
    raise SchemaError(
        "the database's tables are not those of this version; run `newsletter db upgrade`"
    )


def is_current(sessions: Sessions) -> bool:
    """The database is at this version's head."""
    with sessions.reading() as session:
        return _revision(session.connection()) == head()


def drift(sessions: Sessions) -> list[str]:
    """Differences between the database and the models; empty when they agree."""
    with sessions.reading() as session:
        context = MigrationContext.configure(session.connection(), opts={"compare_type": True})
        return [str(difference) for difference in compare_metadata(context, METADATA)]


def head() -> str:
    """The newest migration."""
    revision = ScriptDirectory.from_config(config()).get_current_head()
    assert revision is not None
    return revision


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()
