"""Import a file of subscribers: streamed, rehearsable, idempotent; it revives nobody who left."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from sqlalchemy.orm import Session

from newsletter.core.clock import now
from newsletter.core.db import Sessions, for_rehearsal
from newsletter.core.erasure_key import ErasureKey
from newsletter.core.errors import InputError
from newsletter.mail.address import Address
from subscribers import suppressions
from subscribers.bad_rows import BadRows, check_bad_rows
from subscribers.bulk import Others, give_room, take_turns
from subscribers.fates import Fate, Fates, Incoming
from subscribers.imported import (
    ImportedSubscriber,
    ImportedSubscription,
    ImportedSuppression,
)
from subscribers.intake import take_in
from subscribers.models import EVERYWHERE, SubscriptionStatus, TrackingConsent
from subscribers.pace import Pace
from subscribers.people_files import Bad, Good, PeopleFile, Reading, opened
from subscribers.suppressions import SuppressionRow

CHUNK_ROWS = 5_000
_EXAMPLES = 3
_PROBLEMS = 5
"""Enough to see the pattern."""


@dataclass(slots=True)
class ImportReport:
    """What an import did, or when rehearsed would do.

    Attributes:
        added_as: the status of those that were added.
        examples: of a rehearsal: file, line and address of a few rows of each fate.
    """

    counts: Counter[Fate] = field(default_factory=Counter)
    added_as: Mapping[str, int] = field(default_factory=Counter)
    examples: Mapping[Fate, list[str]] = field(default_factory=dict)
    bad_rows: Path | None = None
    first_problems: list[str] = field(default_factory=list)

    @property
    def rows(self) -> int:
        return self.counts.total()

    def line(self) -> str:
        """The sentence people are shown."""
        fates = ", ".join(self._shown(fate) for fate in Fate if self.counts[fate])
        return f"{self.rows:,} rows: {fates or 'nothing to do'}."

    def _shown(self, fate: Fate) -> str:
        statuses = {name: n for name, n in self.added_as.items() if n}
        if fate is not Fate.ADDED or set(statuses) <= {SubscriptionStatus.ACTIVE}:
            return f"{self.counts[fate]:,} {fate}"
        as_what = ", ".join(f"{n:,} {name}" for name, n in sorted(statuses.items()))
        return f"{self.counts[fate]:,} {fate} ({as_what})"


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """How to import.

    Attributes:
        unconfirmed: active rows become pending, their owners still have to confirm.
        rehearse: find out what would happen and change nothing.
        bad_rows: where bad rows go, with their reasons; such a file imports again once mended.
        reading: how the file is to be read.
        erased: the key by which people who were erased are recognised, and left out.
        list_named: finds or makes the list that a row names, as the file's own column has it.
    """

    unconfirmed: bool = False
    rehearse: bool = False
    bad_rows: Path | None = None
    reading: Reading = field(default_factory=Reading)
    erased: ErasureKey | None = None
    list_named: Callable[[Session, str], int] | None = None


def import_file(
    sessions: Sessions,
    file: Path,
    find_list: Callable[[Session], int] | None,
    options: ImportOptions = ImportOptions(),
    progress: Callable[[int], None] = lambda _bytes: None,
) -> ImportReport:
    """Put the people of a file on a list, committing every few thousand rows or fewer.

    `find_list` finds or makes the list and returns its id, in the transaction of the first rows: a
    file that cannot be read makes no list. It is None where the file says the list of each row.
    Imported again, the same file changes nothing. Whoever unsubscribed, is suppressed or was
    erased stays so; people who are known keep their name and attributes. `progress` gets the bytes
    read so far.

    Rehearsed, the whole file is one transaction, so that rows meet those before them; nobody who
    writes meanwhile has to wait for it.

    Raises:
        InputError: the file cannot be read at all, or from some line on; the rows committed
            before that line are imported, and importing the mended file goes on from there.
    """
    with ExitStack() as stack:
        people = stack.enter_context(opened(file, options.reading))
        check_bad_rows(file, options.bad_rows)
        importing = _Importing(file, people, find_list, options)
        stack.callback(importing.close)
        transaction = stack.enter_context(_transactions(sessions, rehearse=options.rehearse))
        pace = Pace(CHUNK_ROWS, alone=sessions.dialect == "sqlite" and not options.rehearse)
        others = Others()
        for chunk in stack.enter_context(_chunks(people.rows(), pace)):
            pace.rest()
            with transaction() as session:
                session.connection()  # SQLite waits for its turn here
                pace.begin(others_wrote=others.wrote(session))
                importing.store(session, chunk)
            pace.end()
            progress(people.bytes_read)
    return importing.report


@contextmanager
def _transactions(
    sessions: Sessions, *, rehearse: bool
) -> Iterator[Callable[[], AbstractContextManager[Session]]]:
    """What gives each chunk its transaction: its own, or rehearsed the one that is rolled back."""
    with ExitStack() as stack:
        database = stack.enter_context(for_rehearsal(sessions)) if rehearse else sessions
        connection = stack.enter_context(database.own_connection())
        give_room(connection)
        if rehearse:
            whole = stack.enter_context(database.writing(rehearse=True, on=connection))
            yield lambda: nullcontext(whole)
        else:
            yield lambda: database.writing(on=connection)


_Rows = list[Good | Bad]


@contextmanager
def _chunks(rows: Iterator[Good | Bad], pace: Pace) -> Iterator[Iterator[_Rows]]:
    """Rows in chunks, at least one; none when there are no more.

    Where nobody waits for us, the next chunk is read while the database works on this one.
    """
    following = _following(rows, pace)
    if pace.alone:
        yield following
        return
    with ThreadPoolExecutor(1, thread_name_prefix="import") as reader:
        yield _ahead(following, reader)


def _following(rows: Iterator[Good | Bad], pace: Pace) -> Iterator[_Rows]:
    chunk = list(islice(rows, pace.rows))
    yield chunk
    while chunk := list(islice(rows, pace.rows)):
        yield chunk


def _ahead(chunks: Iterator[_Rows], reader: ThreadPoolExecutor) -> Iterator[_Rows]:
    coming = reader.submit(next, chunks, None)
    while (chunk := coming.result()) is not None:
        coming = reader.submit(next, chunks, None)
        yield chunk


class _Importing:
    """One import: its lists, its bad rows, and what it has come to so far."""

    def __init__(
        self,
        file: Path,
        people: PeopleFile,
        find_list: Callable[[Session], int] | None,
        options: ImportOptions,
    ) -> None:
        self._find_list = find_list
        self._options = options
        self._folder = str(file).removesuffix(file.name)
        self._names: dict[str, str] = {}
        self._lists: dict[str, int] = {}
        self._fates = Fates(_EXAMPLES if options.rehearse else 0)
        self._bad = (
            BadRows(people, options.bad_rows) if options.bad_rows and not options.rehearse else None
        )
        self.report = ImportReport(self._fates.counts, self._fates.added_as, self._fates.examples)

    def store(self, session: Session, chunk: _Rows) -> None:
        if not self._options.rehearse:
            take_turns(session)
        if self._find_list and "" not in self._lists:
            self._lists[""] = self._find_list(session)
        erased = self._erased(session, chunk)
        incoming: list[Incoming] = []
        for row in chunk:
            if isinstance(row, Bad):
                is_erased = row.address is not None and row.address.key in erased
                self._refuse(row, is_erased=is_erased)
            else:
                incoming += self._incoming(session, row, erased)
        take_in(session, incoming, self._fates)

    def close(self) -> None:
        if self._bad:
            self._bad.close()

    def _erased(self, session: Session, chunk: _Rows) -> set[str]:
        """Address keys; asked before anything of the chunk is stored."""
        if not self._options.erased:
            return set()
        addresses = [
            person.address for row in chunk if isinstance(row, Good) for person in row.people
        ]
        addresses += [row.address for row in chunk if isinstance(row, Bad) and row.address]
        return suppressions.erased_among(session, addresses, self._options.erased)

    def _incoming(self, session: Session, row: Good, erased: set[str]) -> Iterator[Incoming]:
        source = f"{self._short(row.file)}:{row.line}"
        for person in row.people:
            if person.address.key in erased:
                self._fates.counts[Fate.KEPT_ERASED] += 1
                continue
            try:
                yield self._placed(session, source, self._as_asked(person))
            except InputError as problem:
                raise InputError(f"{row.file}:{row.line}", str(problem)) from None

    def _short(self, file: str) -> str:
        """Evidence names the file, not the operator's folders."""
        if file not in self._names:
            self._names[file] = file.removeprefix(self._folder)
        return self._names[file]

    def _as_asked(self, person: ImportedSubscriber) -> ImportedSubscriber:
        if self._options.unconfirmed and person.subscription:
            return replace(person, subscription=_pending(person.subscription))
        return person

    def _placed(self, session: Session, source: str, person: ImportedSubscriber) -> Incoming:
        standing = person.subscription
        list_id = self._list(session, standing.list_name) if standing else None
        if not person.suppressions:
            return Incoming(source, person, list_id)
        suppressed = [
            self._suppression(session, source, person.address, each) for each in person.suppressions
        ]
        return Incoming(source, person, list_id, suppressed)

    def _suppression(
        self, session: Session, source: str, address: Address, asked: ImportedSuppression
    ) -> SuppressionRow:
        list_id = self._list(session, asked.list_name) if asked.list_name else EVERYWHERE
        said_by, at = asked.source or f"import {source}", asked.at or now()
        return SuppressionRow(address.key, list_id, asked.reason, said_by, at)

    def _list(self, session: Session, name: str) -> int:
        """The list that a row names; for a row that names none, that of the whole import."""
        if name not in self._lists:
            if not name or not self._options.list_named:
                raise InputError("list", "expected --list NAME, this row names none")
            self._lists[name] = self._options.list_named(session, name)
        return self._lists[name]

    def _refuse(self, row: Bad, *, is_erased: bool) -> None:
        """Count a bad row and keep it for mending; of who was erased nothing is kept."""
        if is_erased:
            self._fates.counts[Fate.KEPT_ERASED] += 1
            return
        self._fates.counts[Fate.BAD] += 1
        if len(self.report.first_problems) < _PROBLEMS:
            self.report.first_problems.append(f"{row.file}:{row.line}: {row.problem}")
        if self._bad:
            self._bad.add(row)
            self.report.bad_rows = self._bad.path


def _pending(standing: ImportedSubscription) -> ImportedSubscription:
    """Their owner still has to confirm; what the file says of consent is not taken for it."""
    if standing.tracking_consent is TrackingConsent.GRANTED:
        standing = replace(standing, tracking_consent=TrackingConsent.UNKNOWN)
    if standing.status is not SubscriptionStatus.ACTIVE:
        return standing
    pending = SubscriptionStatus.PENDING
    return replace(standing, status=pending, confirmed_at=None, history=())
