"""Preferences: why somebody left, and what of a mailbox has been looked at."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("consent_events", sa.Column("reason", sa.String(length=20), nullable=True))
    op.add_column(
        "consent_events",
        sa.Column("remark", sa.String(length=500), nullable=False, server_default=""),
    )
    op.create_table(
        "mails_seen",
        sa.Column("mailbox", sa.String(length=64), nullable=False),
        sa.Column("uid", sa.String(length=100), nullable=False),
        sa.Column("is_done", sa.Boolean(), nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("mailbox", "uid", name=op.f("pk_mails_seen")),
    )
