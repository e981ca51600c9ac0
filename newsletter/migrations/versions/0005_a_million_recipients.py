"""A million recipients: failed and skipped rows have an index, freezing follows the addresses."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

broadcasts = sa.table(
    "broadcasts",
    sa.column("id"),
    sa.column("state"),
    sa.column("frozen_at"),
    sa.column("freeze_cursor"),
    sa.column("candidates"),
    sa.column("exclusions", sa.JSON().with_variant(JSONB(), "postgresql")),
)
deliveries = sa.table("deliveries", sa.column("broadcast_id"))
half_frozen = sa.and_(
    broadcasts.c.frozen_at.is_(None),
    broadcasts.c.freeze_cursor > 0,
    broadcasts.c.state.in_(["freezing", "paused"]),
)


def upgrade() -> None:
    # A row enters it once, when it fails or is skipped: what is accepted costs nothing.
    op.create_index(
        "ix_deliveries_not_sent",
        "deliveries",
        ["broadcast_id", "state", "reason"],
        unique=False,
        postgresql_where=sa.text("state IN (4, 5)"),
        sqlite_where=sa.text("state IN (4, 5)"),
    )
    _freeze_again_what_was_half_frozen()
    op.add_column(
        "broadcasts",
        sa.Column("frozen_upto", sa.String(length=320), nullable=False, server_default=""),
    )
    op.drop_column("broadcasts", "freeze_cursor")


def _freeze_again_what_was_half_frozen() -> None:
    """By subscriber id, up to the cursor, it cannot go on by address; nobody was mailed yet."""
    again = sa.select(broadcasts.c.id).where(half_frozen)
    op.execute(sa.delete(deliveries).where(deliveries.c.broadcast_id.in_(again)))
    op.execute(sa.update(broadcasts).where(half_frozen).values(candidates=0, exclusions={}))
