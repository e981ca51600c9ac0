"""Alembic's environment: the connection is handed in by `newsletter.migrations.schema`."""

from typing import Literal

import sqlalchemy as sa
from alembic import context
from alembic.autogenerate.api import AutogenContext

from newsletter.core.tables import SmallEnum, UtcDateTime
from newsletter.migrations.tables import METADATA


def _plain_types(kind: str, item: object, autogen: AutogenContext) -> str | Literal[False]:
    """Write migrations in the database's types, so that they outlive our own type classes."""
    if kind != "type":
        return False
    if isinstance(item, UtcDateTime):
        return "sa.DateTime(timezone=True)"
    if isinstance(item, SmallEnum):
        return "sa.SmallInteger()"
    if isinstance(item, sa.Enum):
        return f"sa.String(length={item.length})"
    if isinstance(item, sa.JSON):
        autogen.imports.add("from sqlalchemy.dialects.postgresql import JSONB")
        return 'sa.JSON().with_variant(JSONB(), "postgresql")'
    return False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    render_item=_plain_types,
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
