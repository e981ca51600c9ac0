"""People: suppressions by domain, list and hash; pauses, sign-up forms, segments, engagement."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

JSON = sa.JSON().with_variant(JSONB(), "postgresql")
BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    _suppressions()
    _sign_up()
    _evidence()
    _projections()
    op.create_table(
        "audit_events",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("action", sa.String(length=60), nullable=False),
        sa.Column("subscriber_id", BIG_ID, nullable=True),
        sa.Column("details", JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_events")),
    )
    op.create_index(
        op.f("ix_audit_events_subscriber_id"), "audit_events", ["subscriber_id"], unique=False
    )
    op.add_column("broadcasts", sa.Column("segment", sa.Text(), nullable=False, server_default=""))


def _suppressions() -> None:
    with op.batch_alter_table("suppressions") as table:
        table.drop_constraint(op.f("uq_suppressions_address_key"), type_="unique")
        table.alter_column("address_key", new_column_name="key")
        table.add_column(sa.Column("list_id", sa.Integer(), nullable=False, server_default="0"))
    with op.batch_alter_table("suppressions") as table:  # SQLite makes the table anew, twice
        table.create_unique_constraint(op.f("uq_suppressions_key_list_id"), ["key", "list_id"])


def _sign_up() -> None:
    yes, none = sa.true(), "[]"
    for name in ("is_public", "confirms", "welcomes"):
        op.add_column(
            "subscriber_lists",
            sa.Column(name, sa.Boolean(), nullable=False, server_default=yes),
        )
    # Whoever made these lists did not know of sign-up pages.
    op.execute(
        sa.update(sa.table("subscriber_lists", sa.column("is_public"))).values(is_public=sa.false())
    )
    op.add_column(
        "subscriber_lists", sa.Column("wording", sa.Text(), nullable=False, server_default="")
    )
    op.add_column(
        "subscriber_lists", sa.Column("fields", JSON, nullable=False, server_default=none)
    )
    op.add_column("subscriptions", sa.Column("paused_until", TIME, nullable=True))
    op.create_table(
        "sign_up_counts",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("until", TIME, nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("key", "until", name=op.f("pk_sign_up_counts")),
    )
    op.create_index(op.f("ix_sign_up_counts_until"), "sign_up_counts", ["until"], unique=False)


def _evidence() -> None:
    """An IP address and user agent stood in `source`, one behind the other; or one of them alone.

    Both are emptied after a time, `source` never is: nothing of a visitor stays there.
    """
    for name, characters in (("form", 80), ("ip", 45), ("user_agent", 300)):
        op.add_column(
            "consent_events",
            sa.Column(name, sa.String(length=characters), nullable=False, server_default=""),
        )
    position = "instr" if op.get_bind().dialect.name == "sqlite" else "strpos"
    gap = f"{position}(source || ' ', ' ')"
    first = f"substr(source, 1, {gap} - 1)"
    is_ip = (
        f"(ltrim({first}, '0123456789abcdefABCDEF.:') = '' AND length({first}) BETWEEN 2 AND 45 "
        f"AND {position}({first}, '.') + {position}({first}, ':') > 0)"
    )
    op.execute(
        f"UPDATE consent_events SET ip = CASE WHEN {is_ip} THEN {first} ELSE '' END, "  # noqa: S608 - no input
        f"user_agent = CASE WHEN {is_ip} THEN substr(source, {gap} + 1) ELSE source END, "
        "source = '' WHERE method IN ('confirmation', 'one-click', 'page')"
    )


def _projections() -> None:
    op.create_table(
        "segments",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("list_id", sa.Integer(), nullable=False),
        sa.Column("slug", sa.String(length=80), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["list_id"], ["subscriber_lists.id"], name=op.f("fk_segments_list_id_subscriber_lists")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_segments")),
        sa.UniqueConstraint("list_id", "slug", name=op.f("uq_segments_list_id_slug")),
    )
    op.create_table(
        "engagement",
        sa.Column("newsletter_id", sa.Integer(), nullable=False),
        sa.Column("subscriber_id", BIG_ID, nullable=False),
        sa.Column("opened_at", TIME, nullable=True),
        sa.Column("clicked_at", TIME, nullable=True),
        sa.ForeignKeyConstraint(
            ["newsletter_id"],
            ["newsletters.id"],
            name=op.f("fk_engagement_newsletter_id_newsletters"),
        ),
        sa.ForeignKeyConstraint(
            ["subscriber_id"],
            ["subscribers.id"],
            name=op.f("fk_engagement_subscriber_id_subscribers"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("newsletter_id", "subscriber_id", name=op.f("pk_engagement")),
    )
    op.create_index(
        op.f("ix_engagement_subscriber_id"), "engagement", ["subscriber_id"], unique=False
    )
