"""Bring a database to this version's tables, or say that it is not there yet.

Every command asks whether the tables are current; only those that change or compare them pay for
importing Alembic.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, column, inspect, select, table, text

from newsletter.core.db import Sessions
from newsletter.core.errors import SchemaError
from newsletter.core.sentences import say
from newsletter.core.tables import ONLY_ON
from newsletter.migrations.tables import METADATA

if TYPE_CHECKING:
    from alembic.config import Config

_VERSION = table("alembic_version", column("version_num"))
_LOCK = 7_305_220_114
"""The PostgreSQL advisory lock that lets one process migrate at a time."""


def config(connection: Connection | None = None) -> "Config":
    """Alembic's configuration, without an ini file."""
    from alembic.config import Config

    alembic = Config()
    alembic.set_main_option("script_location", str(Path(__file__).parent))
    alembic.attributes["connection"] = connection
    return alembic


def upgrade(sessions: Sessions) -> None:
    """Run the missing migrations in one transaction."""
    from alembic import command

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
        say("the database's tables are not those of this version; run `newsletter db upgrade`")
    )


def is_current(sessions: Sessions) -> bool:
    """The database is at this version's head."""
    with sessions.reading() as session:
        return _revision(session.connection()) == head()


def drift(sessions: Sessions) -> list[str]:
    """Differences between the database and the models; empty when they agree."""
    from alembic.autogenerate import compare_metadata
    from alembic.runtime.migration import MigrationContext

    from subscribers import segment_indexes

    def is_of_the_models(item: Any, name: str | None, kind: str, *_: object) -> bool:
        if kind != "index":
            return True
        is_ours = item.info.get(ONLY_ON, sessions.dialect) == sessions.dialect
        return is_ours and not segment_indexes.is_one(name or "")

    opts = {"compare_type": True, "include_object": is_of_the_models}
    with sessions.reading() as session:
        context = MigrationContext.configure(session.connection(), opts=opts)
        return [str(difference) for difference in compare_metadata(context, METADATA)]


def head() -> str:
    """The newest migration; their files are named `REVISION_what_it_does.py`, in order."""
    versions = Path(__file__).with_name("versions").glob("[0-9]*_*.py")
    return max(file.name for file in versions).partition("_")[0]


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table(_VERSION.name):
        return None
    found: str | None = connection.scalar(select(_VERSION.c.version_num))
    return found
