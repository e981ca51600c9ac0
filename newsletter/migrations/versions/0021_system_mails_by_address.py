"""System mails of one address, which is asked for each request that nobody confirmed."""

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_outbox_address", "outbox", ["address"], unique=False)
