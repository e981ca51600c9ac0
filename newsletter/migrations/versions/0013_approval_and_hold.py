"""Approval by a second person, a hold before the start, one broadcast for one form."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("newsletters", _flag("wants_approval"))
    op.add_column(
        "newsletters", sa.Column("hold_minutes", sa.Integer(), nullable=False, server_default="0")
    )
    for column in (
        _flag("is_at_once"),
        _who("asked_by"),
        _who("approved_by"),
        sa.Column("approved_at", TIME, nullable=True),
        sa.Column("request_key", sa.String(length=64), nullable=True),
    ):
        op.add_column("broadcasts", column)
    op.create_index(op.f("ix_broadcasts_request_key"), "broadcasts", ["request_key"], unique=True)


def _flag(name: str) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean(), nullable=False, server_default=sa.false())


def _who(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.String(length=200), nullable=False, server_default="")
