"""Imports at the desk: a run, its file, its remarkable rows; suppressions of one list."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON = sa.JSON().with_variant(JSONB(), "postgresql")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    _runs()
    op.create_table(
        "import_parts",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        _of_run("import_parts"),
        sa.PrimaryKeyConstraint("run_id", "number", name=op.f("pk_import_parts")),
    )
    op.create_table(
        "import_lines",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("fate", sa.String(length=40), nullable=False),
        sa.Column("place", sa.String(length=300), nullable=False),
        sa.Column("address_key", sa.String(length=320), nullable=False),
        sa.Column("cells", JSON, nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("problem", sa.Text(), nullable=False),
        _of_run("import_lines"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_import_lines")),
    )
    for column in ("run_id", "address_key"):
        op.create_index(op.f(f"ix_import_lines_{column}"), "import_lines", [column])
    op.create_index(op.f("ix_suppressions_list_id_id"), "suppressions", ["list_id", "id"])


def _runs() -> None:
    op.create_table(
        "import_runs",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("list_id", sa.Integer(), nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("problem", sa.Text(), nullable=False),
        sa.Column("file_name", sa.String(length=120), nullable=False),
        sa.Column("file_bytes", sa.BigInteger(), nullable=False),
        sa.Column("glance", JSON, nullable=False),
        sa.Column("preset", sa.String(length=40), nullable=False),
        sa.Column("columns", JSON, nullable=False),
        sa.Column("unconfirmed", sa.Boolean(), nullable=False),
        sa.Column("everywhere", sa.Boolean(), nullable=False),
        *(
            sa.Column(name, JSON, nullable=False)
            for name in ("tags", "header", "expected", "counts")
        ),
        sa.Column("rows_read", sa.Integer(), nullable=False),
        sa.Column("bytes_read", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.SmallInteger(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("changed_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["list_id"],
            ["subscriber_lists.id"],
            name=op.f("fk_import_runs_list_id_subscriber_lists"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_import_runs")),
        sqlite_autoincrement=True,
    )
    for column in ("list_id", "state"):
        op.create_index(op.f(f"ix_import_runs_{column}"), "import_runs", [column])


def _of_run(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["run_id"],
        ["import_runs.id"],
        name=op.f(f"fk_{table}_run_id_import_runs"),
        ondelete="CASCADE",
    )
