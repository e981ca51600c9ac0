"""Chunks of a file on their way in: lists found, bad rows kept, erased people left out."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from itertools import islice

from sqlalchemy.orm import Session

from newsletter.core.clock import now
from newsletter.core.errors import InputError
from newsletter.core.sentences import say
from subscribers import suppressions
from subscribers.files.people_files import Bad
from subscribers.imports.bad_rows import BadRows
from subscribers.imports.bulk import take_turns
from subscribers.imports.fates import Fate, Fates, Incoming
from subscribers.imports.imported import ImportedSuppression
from subscribers.imports.intake import take_in
from subscribers.imports.options import ImportOptions, ImportReport, Step
from subscribers.imports.reading import FileRows
from subscribers.imports.repeats import Repeats
from subscribers.imports.rows import Ready, Row
from subscribers.suppressions import SuppressionRow

_EXAMPLES = 3
_PROBLEMS = 5
"""Enough to see the pattern."""

Chunk = list[Row]


class Importing:
    """One import: its lists, its bad rows, and what it has come to so far."""

    def __init__(
        self,
        file: FileRows,
        find_list: Callable[[Session], int] | None,
        options: ImportOptions,
        repeats: Repeats | None = None,
    ) -> None:
        self._file = file
        self._repeats = repeats
        self._find_list = find_list
        self._options = options
        self._lists: dict[str, int] = {}
        self._refused: list[Bad] = []
        self._likely_new = False
        self._fates = Fates(_EXAMPLES if options.rehearse else 0)
        self._bad = (
            BadRows(file, options.bad_rows) if options.bad_rows and not options.rehearse else None
        )
        self.report = ImportReport(self._fates.counts, self._fates.added_as, self._fates.examples)

    def store(self, session: Session, chunk: Chunk) -> None:
        """In the session's transaction, with what the caller wants to be done in it."""
        self._refused = []
        if self._repeats or not self._options.rehearse:
            take_turns(session)
        if self._find_list and "" not in self._lists:
            self._lists[""] = self._find_list(session)
        erased = self._erased(session, chunk)
        incoming: list[Incoming] = []
        for row in chunk:
            if isinstance(row, Bad):
                self._refuse(row, erased)
            else:
                incoming += [self._placed(session, each) for each in self._kept(row, erased)]
        if self._repeats:
            incoming = self._repeats.new(incoming, len(chunk))
        added = self._fates.counts[Fate.ADDED]
        take_in(
            session,
            incoming,
            self._fates,
            likely_new=self._likely_new,
            is_kept=not self._options.rehearse,
        )
        self._likely_new = self._fates.counts[Fate.ADDED] == added + len(incoming)
        if not self._options.rehearse:
            step = Step(len(chunk), self._refused, self._file.bytes_read, self.report)
            self._options.with_each(session, step)

    def settle(
        self,
        transaction: Callable[[], AbstractContextManager[Session]],
        look: Callable[[], None],
    ) -> None:
        """Of a rehearsal in pieces: rows meet those before them after all; `look` as there."""
        if self._repeats:
            again = self._again(transaction, look)
            self._repeats.settle(again, transaction, self._fates, look)

    def _again(
        self,
        transaction: Callable[[], AbstractContextManager[Session]],
        look: Callable[[], None],
    ) -> Iterator[tuple[int, Incoming]]:
        """The file's rows once more, with the numbers of their pieces; erased people among them."""
        assert self._repeats
        with transaction() as session:
            rows = self._file.again()
            for number, size in enumerate(self._repeats.sizes):
                look()
                for row in islice(rows, size):
                    if not isinstance(row, Bad):
                        for each in row:
                            yield number, self._placed(session, each)

    def close(self) -> None:
        if self._bad:
            self._bad.close()

    def _erased(self, session: Session, chunk: Chunk) -> set[str]:
        """Address keys; asked before anything of the chunk is stored."""
        return suppressions.erased_among(session, _address_keys(chunk), self._options.erased)

    def _kept(self, people: tuple[Ready, ...], erased: set[str]) -> tuple[Ready, ...]:
        """Those who were not erased; they are of one person, or none."""
        if not erased or not people or people[0].key not in erased:
            return people
        self._fates.counts[Fate.KEPT_ERASED] += len(people)
        return ()

    def _placed(self, session: Session, row: Ready) -> Incoming:
        try:
            list_id = None if row.list_name is None else self._list(session, row.list_name)
            if not row.suppressions:
                return Incoming(row, list_id)
            suppressed = [
                each
                for asked in row.suppressions
                for each in self._suppressions(session, row, asked)
            ]
            return Incoming(row, list_id, suppressed)
        except InputError as problem:
            raise InputError(f"{self._file.folder}{row.source}", problem.sentence) from None

    def _suppressions(
        self, session: Session, row: Ready, asked: ImportedSuppression
    ) -> Iterator[SuppressionRow]:
        named = asked.list_name
        said_by, at = asked.source or f"import {row.source}", asked.at or now()
        for list_id in (self._list(session, named),) if named else self._options.suppressed_on:
            yield SuppressionRow(row.key, list_id, asked.reason, said_by, at)

    def _list(self, session: Session, name: str) -> int:
        """The list that a row names; for a row that names none, that of the whole import."""
        if name not in self._lists:
            if not name or not self._options.list_named:
                raise InputError("list", say("expected --list NAME, this row names none"))
            self._lists[name] = self._options.list_named(session, name)
        return self._lists[name]

    def _refuse(self, row: Bad, erased: set[str]) -> None:
        """Count a bad row and keep it for mending; of who was erased nothing is kept."""
        if row.address is not None and row.address.key in erased:
            self._fates.counts[Fate.KEPT_ERASED] += 1
            return
        self._fates.counts[Fate.BAD] += 1
        self._refused.append(row)
        if len(self.report.first_problems) < _PROBLEMS:
            place = f"{row.file}:{row.line}"
            self.report.first_problems.append(InputError(place, row.problem.sentence).sentence)
        if self._bad:
            self._bad.add(row)
            self.report.bad_rows = self._bad.path


def _address_keys(chunk: Chunk) -> Iterator[str]:
    for row in chunk:
        if not isinstance(row, Bad):
            yield from (each.key for each in row)
        elif row.address:
            yield row.address.key
