"""Issues at the desk: who saved which text, and pictures."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    for table in ("issues", "issue_revisions"):
        # In words that both databases know: to make the tables anew, those that refer to them
        # would have to go first.
        op.execute(
            f"ALTER TABLE {table} ADD COLUMN saved_by INTEGER"
            f" CONSTRAINT fk_{table}_saved_by_users REFERENCES users (id)"
        )
        op.add_column(
            table,
            sa.Column("saved_by_name", sa.String(length=200), nullable=False, server_default=""),
        )
    op.add_column(
        "issues",
        sa.Column("is_autosaved", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    long_ago = sa.text("'1970-01-01 00:00:00'")
    op.add_column("issues", sa.Column("begun_at", TIME, nullable=False, server_default=long_ago))
    op.execute("UPDATE issues SET begun_at = updated_at")
    _images()


def _images() -> None:
    op.create_table(
        "images",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("newsletter_id", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("mime", sa.String(length=20), nullable=False),
        *(
            sa.Column(name, sa.Integer(), nullable=False)
            for name in ("width", "height", "size_bytes")
        ),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("alt", sa.String(length=500), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("uploaded_by", sa.Integer(), nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["newsletter_id"], ["newsletters.id"], name=op.f("fk_images_newsletter_id_newsletters")
        ),
        sa.ForeignKeyConstraint(
            ["uploaded_by"], ["users.id"], name=op.f("fk_images_uploaded_by_users")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_images")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_images_newsletter_id"), "images", ["newsletter_id"])
