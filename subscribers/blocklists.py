"""Suppressions as files: other systems' blocklists read, all of ours written and read again."""

import codecs
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from io import BufferedReader, BytesIO
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from sqlalchemy.orm import Session

from newsletter.core.clock import now
from newsletter.core.db import Sessions, for_rehearsal
from newsletter.core.erasure_key import ErasureKey
from newsletter.core.errors import InputError
from newsletter.core.sentences import Sentence, say
from subscribers.erased import mark_key
from subscribers.files.csv_files import MAX_ROW_BYTES, CsvFile, Row
from subscribers.files.whole_files import CsvWriter
from subscribers.imports.bulk import take_turns
from subscribers.imports.presets.cells import moment
from subscribers.lists import slugs_of_lists
from subscribers.models import EVERYWHERE, SuppressionReason
from subscribers.suppressions import (
    SuppressionRow,
    each_suppression,
    erased_among,
    parse_key,
    suppress_all,
)

COLUMNS = ("key", "list", "reason", "source", "created_at")
_KEY_COLUMNS = ("key", "address", "email", "email_address", "e_mail", "domain")
_TIME_COLUMNS = ("created_at", "created", "date")
_CHUNK_ROWS = 1_000
_SHOWN_PROBLEMS = 20

_REASONS: Mapping[str, SuppressionReason] = {
    **{reason.value: reason for reason in SuppressionReason},
    "": SuppressionReason.MANUAL,
    "unsubscribed": SuppressionReason.MANUAL,
    "unsubscribe": SuppressionReason.MANUAL,
    "blocklisted": SuppressionReason.MANUAL,
    "bounce": SuppressionReason.GONE,
    "bounced": SuppressionReason.GONE,
    "hard_bounce": SuppressionReason.GONE,
    "hardbounce": SuppressionReason.GONE,
    "cleaned": SuppressionReason.GONE,
    "spam": SuppressionReason.COMPLAINT,
    "spamcomplaint": SuppressionReason.COMPLAINT,
    "spam_complaint": SuppressionReason.COMPLAINT,
    "abuse": SuppressionReason.COMPLAINT,
}
"""Our own words, and those of other systems' files."""


class Fate(StrEnum):
    """What became of a row."""

    ADDED = "added"
    KNOWN = "suppressed already"
    ERASED = "erased, so suppressed already"
    BAD = "bad"


@dataclass(slots=True)
class BlocklistReport:
    """What an import did, or would do.

    Attributes:
        first_problems: the first bad rows, each with file, line and reason.
    """

    counts: Counter[Fate] = field(default_factory=Counter)
    first_problems: list[Sentence] = field(default_factory=list)

    def line(self) -> str:
        """The counts as one sentence."""
        fates = ", ".join(f"{self.counts[fate]:,} {fate}" for fate in Fate if self.counts[fate])
        return f"{self.counts.total():,} rows: {fates or 'nothing to do'}."


def import_blocklist(
    sessions: Sessions,
    file: Path,
    list_id: int = EVERYWHERE,
    *,
    among: Collection[int] | None = None,
    erased: ErasureKey | None = None,
    rehearse: bool = False,
) -> BlocklistReport:
    """Suppress whom the file names, committing every thousand rows; again, it changes nothing.

    A CSV file with a column for the address or domain, or text with one of them per line. Rows
    that name no list are for `list_id`. Nobody is written down again who by `erased` was erased:
    the hash keeps all mail from them.

    `among` are the lists that rows may name, None: any. Who may not name any has nothing to say of
    people who were erased either: a hash makes a bad row.

    Raises:
        InputError: the file cannot be read at all, or from some line on.
        RefusedError: people were erased under another key than this one.
    """
    report = BlocklistReport()
    with _opened(file) as stream, _transactions(sessions, rehearse=rehearse) as transaction:
        with transaction() as session:
            lists = _lists(session, among)
        reader = _Reader(file.name, lists, list_id, report, takes_hashes=among is None)
        rows = reader.rows(stream)
        while chunk := list(islice(rows, _CHUNK_ROWS)):
            with transaction() as session:
                if not rehearse:
                    take_turns(session)  # with who erases
                _store(session, chunk, erased, report)
    return report


def _opened(file: Path) -> BufferedReader:
    try:
        return file.open("rb")
    except OSError as error:
        raise InputError(
            str(file), say("cannot be read: %(strerror)s", strerror=error.strerror)
        ) from None


def _lists(session: Session, among: Collection[int] | None) -> dict[str, int]:
    """The ids of the lists that rows may name, by their names in the file."""
    slugs = slugs_of_lists(session)
    return {slug: number for number, slug in slugs.items() if among is None or number in among}


def _store(
    session: Session,
    chunk: list[SuppressionRow],
    erased: ErasureKey | None,
    report: BlocklistReport,
) -> None:
    keys = [row.key for row in chunk if row.key[0] not in "@#"]
    forgotten = erased_among(session, keys, erased)
    rows = [row for row in chunk if row.key not in forgotten]
    if erased and any(row.key.startswith("#") for row in rows):
        mark_key(session, erased)
    added = suppress_all(session, rows) if rows else 0
    report.counts[Fate.ADDED] += added
    report.counts[Fate.KNOWN] += len(rows) - added
    report.counts[Fate.ERASED] += len(chunk) - len(rows)


def export_blocklist(session: Session, file: Path, list_id: int | None = None) -> int:
    """Write all suppressions, or one list's, to a CSV file that imports again; returns how many.

    Raises:
        InputError: no file can be written there; one that was there before is untouched.
    """
    slugs, count = slugs_of_lists(session), 0
    with CsvWriter(file, COLUMNS) as writer:
        for count, row in enumerate(each_suppression(session, list_id), 1):  # noqa: B007 - the count
            place = slugs.get(row.list_id, "")
            created_at = row.created_at.isoformat()
            writer.write([row.key, place, row.reason, row.source, created_at])
    return count


@contextmanager
def _transactions(
    sessions: Sessions, *, rehearse: bool
) -> Iterator[Callable[[], AbstractContextManager[Session]]]:
    """What gives each chunk its transaction: its own, or rehearsed the one that is rolled back."""
    if not rehearse:
        yield sessions.writing
        return
    with for_rehearsal(sessions) as scratch, scratch.writing(rehearse=True) as whole:
        yield lambda: nullcontext(whole)


@dataclass(frozen=True, slots=True)
class _Reader:
    """Rows of a file, understood; bad ones go into the report."""

    name: str
    lists: Mapping[str, int]
    list_id: int
    report: BlocklistReport
    takes_hashes: bool

    def rows(self, stream: BufferedReader) -> Iterator[SuppressionRow]:
        is_plain = _is_plain(stream.peek(MAX_ROW_BYTES))
        table = CsvFile(_Headed(stream) if is_plain else stream, self.name)
        column = next((name for name in _KEY_COLUMNS if name in table.header), None)
        if column is None:
            found = ", ".join(filter(None, table.header))
            raise InputError(
                f"{self.name}:1", say("expected a column `address`, found %(found)s", found=found)
            )
        for row in table.rows():
            line = row.line - 1 if is_plain else row.line
            try:
                yield self._understood(row, column, line)
            except InputError as problem:
                self._refuse(line, problem)

    def _understood(self, row: Row, column: str, line: int) -> SuppressionRow:
        if row.problem:
            raise row.problem
        cells, written = row.cells, row.cells[column]
        if len(row.raw) > 1 and len(cells) == 1:
            raise InputError(column, say("expected one address on a line"))
        if column == "domain" and not written.startswith("@"):
            written = f"@{written}"
        key = parse_key(written, place=column)
        if key.startswith("#") and not self.takes_hashes:
            raise InputError(column, say("expected an address or @domain, found the hash of one"))
        reason = _reason(cells.get("reason", ""))
        if reason is SuppressionReason.ERASED and not key.startswith("#"):
            # Nobody lifts that, and of who was erased no address is kept.
            raise InputError("reason", say("only a hash can say `erased`; expected another reason"))
        return SuppressionRow(
            key=key,
            list_id=self._list(cells.get("list", "")),
            reason=reason,
            source=cells.get("source") or f"import {self.name}:{line}",
            created_at=_time(cells),
        )

    def _list(self, slug: str) -> int:
        if slug and slug not in self.lists:
            raise InputError("list", say("there is no list %(slug)r", slug=slug[:80]))
        return self.lists[slug] if slug else self.list_id

    def _refuse(self, line: int, problem: InputError) -> None:
        self.report.counts[Fate.BAD] += 1
        if len(self.report.first_problems) < _SHOWN_PROBLEMS:
            place = f"{self.name}:{line}"
            self.report.first_problems.append(InputError(place, problem.sentence).sentence)


def _is_plain(beginning: bytes) -> bool:
    """No header names a column with an `@`, and none begins with the `#` of a hash."""
    first = beginning.partition(b"\n")[0].removeprefix(codecs.BOM_UTF8)
    return b"@" in first or first.startswith(b"#")


class _Headed(BytesIO):
    """Text without a header as a table of one column."""

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__(b"address\n")
        self._stream = stream

    def readline(self, size: int | None = -1, /) -> bytes:
        line = super().readline(size) or self._stream.readline(size or -1)
        return line.removeprefix(codecs.BOM_UTF8)


def _reason(text: str) -> SuppressionReason:
    word = "_".join(text.lower().replace("-", " ").split())
    if word not in _REASONS:
        known = ", ".join(SuppressionReason)
        raise InputError(
            "reason", say("expected one of %(known)s, found %(text)r", known=known, text=text[:60])
        )
    return _REASONS[word]


def _time(cells: Mapping[str, str]) -> datetime:
    column = next((name for name in _TIME_COLUMNS if cells.get(name)), None)
    return moment(column, cells[column]) if column else now()
