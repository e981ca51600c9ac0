"""Failed and skipped rows have an index: a broadcast is counted without reading its rows."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


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
