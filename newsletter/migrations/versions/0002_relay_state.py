"""What is known about a relay beyond its settings."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "relay_state",
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("paused", sa.Boolean(), nullable=False),
        sa.Column("pause_reason", sa.String(length=200), nullable=False),
        sa.Column("breaker_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("breaker_reason", sa.String(length=200), nullable=False),
        sa.Column("breaker_openings", sa.SmallInteger(), nullable=False),
        sa.Column("probing", sa.Boolean(), nullable=False),
        sa.Column("faults", sa.SmallInteger(), nullable=False),
        sa.Column("first_fault_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("learned_connections", sa.SmallInteger(), nullable=True),
        sa.Column("learned_messages_per_connection", sa.Integer(), nullable=True),
        sa.Column("pipelining_broken", sa.Boolean(), nullable=False),
        sa.Column("learned_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_relay_state")),
    )
