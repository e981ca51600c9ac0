"""What becomes of rows in doubt; pauses say by whom, and some end by themselves."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "broadcasts",
        sa.Column("on_in_doubt", sa.String(length=20), nullable=False, server_default="hold"),
    )
    op.add_column("broadcasts", sa.Column("resume_at", sa.DateTime(timezone=True), nullable=True))
    _split_the_reason_of_a_pause()
    op.create_index(
        "ix_deliveries_in_doubt",
        "deliveries",
        ["broadcast_id", "id"],
        unique=False,
        postgresql_where=sa.text("state = 6"),
        sqlite_where=sa.text("state = 6"),
    )


def _split_the_reason_of_a_pause() -> None:
    """The text becomes the detail; who paused is read from it."""
    op.execute("ALTER TABLE broadcasts RENAME COLUMN pause_reason TO pause_detail")
    op.add_column("broadcasts", sa.Column("pause_reason", sa.String(length=20), nullable=True))
    op.execute(
        "UPDATE broadcasts SET pause_reason = CASE "
        "WHEN pause_detail = 'operator' THEN 'operator' "
        "WHEN pause_detail LIKE 'does not add up%' THEN 'health' "
        "ELSE 'breaker' END "
        "WHERE state = 'paused'"
    )
    op.execute("UPDATE broadcasts SET pause_detail = '' WHERE pause_detail = 'operator'")
