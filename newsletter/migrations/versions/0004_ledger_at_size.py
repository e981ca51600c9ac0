"""The ledger at size: totals of pruned broadcasts, and tables that are vacuumed in time."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# A delivery changes state three times, and none of these updates is a heap-only one: the state is
# in the indexes. By default a table of 10 million rows is vacuumed after 2 million such changes,
# and until then every claim steps over the dead entries at the front of the index of due rows.
VACUUMED = {
    "deliveries": {
        "autovacuum_vacuum_scale_factor": "0.01",
        "autovacuum_vacuum_threshold": "10000",
        "autovacuum_vacuum_insert_scale_factor": "0.02",
        "autovacuum_analyze_scale_factor": "0.01",
        "autovacuum_analyze_threshold": "5000",
        "autovacuum_vacuum_cost_limit": "2000",
    },
    # Rows are only added, and counted per broadcast from the index once they are visible to all.
    "events": {
        "autovacuum_vacuum_insert_scale_factor": "0.02",
        "autovacuum_vacuum_scale_factor": "0.02",
        "autovacuum_analyze_scale_factor": "0.02",
    },
    # Small, and its messages are deleted once they are sent: their space is used again soon.
    "outbox": {
        "autovacuum_vacuum_scale_factor": "0.02",
        "autovacuum_vacuum_threshold": "200",
        "toast.autovacuum_vacuum_scale_factor": "0.02",
        "toast.autovacuum_vacuum_threshold": "200",
    },
}


def upgrade() -> None:
    op.create_table(
        "broadcast_totals",
        sa.Column("broadcast_id", sa.Integer(), nullable=False),
        sa.Column("reached", sa.Integer(), nullable=False),
        sa.Column("outcomes", sa.JSON().with_variant(JSONB(), "postgresql"), nullable=False),
        sa.Column("readership", sa.JSON().with_variant(JSONB(), "postgresql"), nullable=False),
        sa.Column("written_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("pruned_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["broadcast_id"],
            ["broadcasts.id"],
            name=op.f("fk_broadcast_totals_broadcast_id_broadcasts"),
        ),
        sa.PrimaryKeyConstraint("broadcast_id", name=op.f("pk_broadcast_totals")),
    )
    if op.get_bind().dialect.name == "postgresql":
        for table, settings in VACUUMED.items():
            listed = ", ".join(f"{name} = {value}" for name, value in settings.items())
            op.execute(f"ALTER TABLE {table} SET ({listed})")
