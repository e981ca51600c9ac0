"""What a search reads of people, beside their ids, without the rest of their rows: PostgreSQL."""

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.create_index(
            "ix_subscribers_sought",
            "subscribers",
            ["id"],
            unique=False,
            postgresql_include=["address_key", "name"],
        )
