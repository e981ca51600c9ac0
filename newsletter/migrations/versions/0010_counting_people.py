"""Counting people: a list's statuses without its rows, attributes by what they hold."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index(op.f("ix_subscriptions_list_id_subscriber_id"), table_name="subscriptions")
    op.create_index(
        op.f("ix_subscriptions_list_id_subscriber_id"),
        "subscriptions",
        ["list_id", "subscriber_id"],
        unique=False,
        postgresql_include=["status", "tracking_consent"],
    )
    if op.get_bind().dialect.name == "postgresql":
        op.create_index(
            "ix_subscribers_attributes",
            "subscribers",
            ["attributes"],
            unique=False,
            postgresql_using="gin",
            postgresql_ops={"attributes": "jsonb_path_ops"},
        )
