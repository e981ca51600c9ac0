"""Evidence belongs to its subscription: one key says so, where two named its person and its list.

Each is looked up for each line of evidence; see decision 0025.
"""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

PAIR = ["subscriber_id", "list_id"]


def upgrade() -> None:
    with op.batch_alter_table("consent_events") as table:
        table.drop_constraint("fk_consent_events_subscriber_id_subscribers", type_="foreignkey")
        table.drop_constraint("fk_consent_events_list_id_subscriber_lists", type_="foreignkey")
        table.create_foreign_key(
            "fk_consent_events_subscriber_id_subscriptions",
            "subscriptions",
            PAIR,
            PAIR,
            ondelete="CASCADE",
        )
