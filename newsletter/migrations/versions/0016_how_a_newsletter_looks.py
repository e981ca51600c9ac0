"""How a newsletter's mail looks: its template, its own colours. The audit trail by who and what."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

JSON = sa.JSON().with_variant(JSONB(), "postgresql")


def upgrade() -> None:
    op.add_column(
        "newsletters",
        sa.Column("template", sa.String(length=40), nullable=False, server_default="digest"),
    )
    for column in ("palette", "logo"):
        op.add_column("newsletters", sa.Column(column, JSON, nullable=False, server_default="{}"))
    for columns in (["at", "id"], ["actor", "at", "id"], ["action", "at", "id"]):
        op.create_index(op.f(f"ix_audit_events_{'_'.join(columns)}"), "audit_events", columns)
