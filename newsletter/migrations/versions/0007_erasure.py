"""Erasure: hits keep their class when their evidence goes, freezing hears of who is erased."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "events", sa.Column("reader", sa.String(length=20), nullable=False, server_default="")
    )
    op.add_column(
        "events", sa.Column("rule", sa.String(length=40), nullable=False, server_default="")
    )
    op.add_column(
        "broadcasts", sa.Column("erasures", sa.Integer(), nullable=False, server_default="0")
    )
