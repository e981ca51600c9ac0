"""A mark of the key under which people were erased: without that key nobody can tell who they are.

Empty where people were erased before it was kept; the next erasure says which key it is.
"""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "erasure_marks",
        sa.Column("mark", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("mark", name=op.f("pk_erasure_marks")),
    )
    op.execute(
        "INSERT INTO erasure_marks (mark)"
        " SELECT '' WHERE EXISTS (SELECT 1 FROM suppressions WHERE reason = 'erased')"
    )
