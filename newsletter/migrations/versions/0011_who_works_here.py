"""Who works here: users, their roles, how they come in."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql.schema import SchemaItem

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

JSON = sa.JSON().with_variant(JSONB(), "postgresql")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    _users()
    _sessions()
    _links()
    _tokens()
    _table(
        "login_failures",
        ["key", "until"],
        _text("key", 64),
        _time("until"),
        sa.Column("count", sa.Integer(), nullable=False),
    )
    op.create_index(op.f("ix_login_failures_until"), "login_failures", ["until"])


def _users() -> None:
    _table(
        "users",
        ["id"],
        _number("id"),
        _text("email", 320),
        _text("address_key", 320),
        _text("name", 200),
        _text("role", 20, nullable=True),
        _text("time_zone", 64),
        _text("password_hash", 200),
        _text("totp_secret", 64),
        sa.Column("totp_step", sa.BigInteger(), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        _time("created_at"),
        sa.UniqueConstraint("address_key", name=op.f("uq_users_address_key")),
        counts_up=True,
    )
    _table(
        "memberships",
        ["user_id", "newsletter_id"],
        _number("user_id"),
        _number("newsletter_id"),
        _text("role", 20),
        _refers("memberships", "user_id", "users"),
        _refers("memberships", "newsletter_id", "newsletters"),
    )


def _sessions() -> None:
    _table(
        "user_sessions",
        ["key"],
        _text("key", 64),
        _number("user_id"),
        _number("newsletter_id", nullable=True),
        _time("created_at"),
        _time("seen_at"),
        _refers("user_sessions", "user_id", "users"),
        _refers("user_sessions", "newsletter_id", "newsletters"),
    )
    op.create_index(op.f("ix_user_sessions_user_id"), "user_sessions", ["user_id"])
    _table(
        "recovery_codes",
        ["key"],
        _text("key", 64),
        _number("user_id"),
        _refers("recovery_codes", "user_id", "users"),
    )
    op.create_index(op.f("ix_recovery_codes_user_id"), "recovery_codes", ["user_id"])


def _links() -> None:
    _table(
        "invitations",
        ["key"],
        _text("key", 64),
        _text("email", 320),
        _text("role", 20, nullable=True),
        _number("newsletter_id", nullable=True),
        _number("user_id", nullable=True),
        _time("expires_at"),
        _time("created_at"),
        _refers("invitations", "newsletter_id", "newsletters"),
        _refers("invitations", "user_id", "users"),
    )
    op.create_index(op.f("ix_invitations_user_id"), "invitations", ["user_id"])


def _tokens() -> None:
    _table(
        "api_tokens",
        ["id"],
        _number("id"),
        _text("key", 64),
        _text("hint", 16),
        _text("name", 200),
        _number("newsletter_id"),
        _number("user_id"),
        sa.Column("scopes", JSON, nullable=False),
        _time("created_at"),
        *(_time(name, nullable=True) for name in ("expires_at", "used_at", "revoked_at")),
        _refers("api_tokens", "newsletter_id", "newsletters"),
        _refers("api_tokens", "user_id", "users"),
        sa.UniqueConstraint("key", name=op.f("uq_api_tokens_key")),
        counts_up=True,
    )
    for column in ("newsletter_id", "user_id"):
        op.create_index(op.f(f"ix_api_tokens_{column}"), "api_tokens", [column])


def _table(name: str, keys: Sequence[str], *parts: SchemaItem, counts_up: bool = False) -> None:
    key = sa.PrimaryKeyConstraint(*keys, name=op.f(f"pk_{name}"))
    op.create_table(name, *parts, key, sqlite_autoincrement=counts_up)


def _text(name: str, length: int, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(length=length), nullable=nullable)


def _number(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), nullable=nullable)


def _time(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, TIME, nullable=nullable)


def _refers(table: str, column: str, to: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"{to}.id"], name=op.f(f"fk_{table}_{column}_{to}"))
