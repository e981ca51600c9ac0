"""What was typed into a sign-up form waits with the subscription until its owner confirms."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    answers = sa.JSON().with_variant(JSONB(), "postgresql")
    op.add_column(
        "subscriptions", sa.Column("answers", answers, nullable=False, server_default="{}")
    )
