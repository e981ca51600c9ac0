"""One import of a file at the desk: its state, its file while it is needed, its remarkable rows."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, LargeBinary, SmallInteger, String, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from newsletter.core.clock import now
from newsletter.core.tables import Base, BigId, Json, Said, UtcDateTime, text_enum
from subscribers.imports.fates import Fate
from subscribers.models import SubscriberList

MAX_FILE_NAME_CHARACTERS = 120


class ImportState(StrEnum):
    """Where an import stands."""

    RECEIVING = "receiving"
    """Its file is on its way into the database."""
    UPLOADED = "uploaded"
    """It waits for somebody to say what the columns are."""
    CHECKING = "checking"
    """Rehearsed, or waiting for its turn to be."""
    CHECKED = "checked"
    """It waits for somebody to say yes."""
    IMPORTING = "importing"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


IMPORT_MOVES: dict[ImportState, frozenset[ImportState]] = {
    ImportState.RECEIVING: frozenset({ImportState.UPLOADED, ImportState.CANCELLED}),
    ImportState.UPLOADED: frozenset({ImportState.CHECKING, ImportState.CANCELLED}),
    ImportState.CHECKING: frozenset(
        {ImportState.CHECKED, ImportState.UPLOADED, ImportState.FAILED, ImportState.CANCELLED}
    ),
    ImportState.CHECKED: frozenset(
        {ImportState.CHECKING, ImportState.IMPORTING, ImportState.CANCELLED}
    ),
    ImportState.IMPORTING: frozenset({ImportState.DONE, ImportState.FAILED, ImportState.CANCELLED}),
    ImportState.DONE: frozenset(),
    ImportState.FAILED: frozenset(),
    ImportState.CANCELLED: frozenset(),
}
"""From `checking` back to `uploaded`: the columns were said to be what they are not."""

WORKING = (ImportState.CHECKING, ImportState.IMPORTING)
"""Something runs, or waits for its turn to."""
WAITING = (ImportState.UPLOADED, ImportState.CHECKED)
"""Nothing happens until somebody says what; after a day it is given up."""
OVER = (ImportState.DONE, ImportState.FAILED, ImportState.CANCELLED)


class ImportRun(Base):
    """One import of one file into one list."""

    __tablename__ = "import_runs"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    list_id: Mapped[int] = mapped_column(
        ForeignKey("subscriber_lists.id", ondelete="CASCADE"), index=True
    )
    actor: Mapped[str] = mapped_column(String(200))
    """Who, as the audit trail has it."""
    state: Mapped[ImportState] = mapped_column(
        text_enum(ImportState), default=ImportState.UPLOADED, index=True
    )
    problem: Mapped[str] = mapped_column(Said(), default="")
    """Why it failed, or why the columns cannot be what they were said to be."""
    file_name: Mapped[str] = mapped_column(String(MAX_FILE_NAME_CHARACTERS))
    file_bytes: Mapped[int] = mapped_column(BigInteger)
    glance: Mapped[dict[str, Any]] = mapped_column(Json, default=dict)
    """`looking.Glance` as JSON; empty once the file is gone."""
    preset: Mapped[str] = mapped_column(String(40), default="")
    columns: Mapped[dict[str, str]] = mapped_column(Json, default=dict)
    """Both as `people_files.Reading` has them."""
    unconfirmed: Mapped[bool] = mapped_column(default=False)
    everywhere: Mapped[bool] = mapped_column(default=False)
    """What the file suppresses is suppressed for every list, not the newsletter's alone."""
    tags: Mapped[list[str]] = mapped_column(Json, default=list)
    header: Mapped[list[list[str]]] = mapped_column(Json, default=list)
    """Columns of bad rows: [normalised, as written] of each; none for JSON lines."""
    expected: Mapped[dict[str, Any]] = mapped_column(Json, default=dict)
    """`Counts` of the rehearsal, as JSON."""
    counts: Mapped[dict[str, Any]] = mapped_column(Json, default=dict)
    """`Counts` of what is in, as JSON."""
    rows_read: Mapped[int] = mapped_column(default=0)
    """Rows of the file that are in: an import that was cut off goes on behind them."""
    bytes_read: Mapped[int] = mapped_column(BigInteger, default=0)
    attempts: Mapped[int] = mapped_column(SmallInteger, default=0)
    """How often it was begun since it last came on."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    """When it came into its state."""

    subscriber_list: Mapped[SubscriberList] = relationship()


class ImportPart(Base):
    """A piece of an uploaded file, zlib; there until the import is over."""

    __tablename__ = "import_parts"

    run_id: Mapped[int] = mapped_column(
        ForeignKey("import_runs.id", ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[int] = mapped_column(primary_key=True)
    data: Mapped[bytes] = mapped_column(LargeBinary)


class ImportLine(Base):
    """A row of a file that is shown: a bad one, to be mended, or an example of what would be."""

    __tablename__ = "import_lines"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    run_id: Mapped[int] = mapped_column(
        ForeignKey("import_runs.id", ondelete="CASCADE"), index=True
    )
    fate: Mapped[Fate] = mapped_column(text_enum(Fate, length=40))
    place: Mapped[str] = mapped_column(String(300))
    """File and line."""
    address_key: Mapped[str] = mapped_column(String(320), index=True)
    """Whose it is, as far as it could be read; whoever is erased is found by it."""
    cells: Mapped[dict[str, str]] = mapped_column(Json, default=dict)
    """Of a bad row, as they stood, by normalised column."""
    text: Mapped[str] = mapped_column(Text, default="")
    """Of a bad line of JSON; of an example its address."""
    problem: Mapped[str] = mapped_column(Said(), default="")
