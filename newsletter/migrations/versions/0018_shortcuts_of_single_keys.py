"""Who does not want shortcuts of single keys has none."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "users",
        sa.Column("uses_shortcuts", sa.Boolean(), nullable=False, server_default=sa.true()),
    )
