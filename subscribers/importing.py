"""Import a file of subscribers: streamed, rehearsable, idempotent; it revives nobody who left."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import islice
from pathlib import Path

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from newsletter.core.clock import now
from newsletter.core.db import Sessions, for_rehearsal
from newsletter.core.errors import InputError
from subscribers import subscriptions
from subscribers.csv_files import CsvFile, CsvWriter, Row
from subscribers.models import (
    ConsentChange,
    ConsentEvent,
    Subscriber,
    Subscription,
    SubscriptionStatus,
    Suppression,
    TrackingConsent,
)
from subscribers.pace import Pace
from subscribers.presets import ImportedSubscriber, Preset, recognise

CHUNK_ROWS = 1_000
STATEMENT = "The operator states that these people agreed to be mailed."


class Fate(StrEnum):
    """What became of one row."""

    ADDED = "added"
    PRESENT = "already there"
    ENDED = "unsubscribed by the file"
    KEPT_UNSUBSCRIBED = "kept unsubscribed"
    KEPT_SUPPRESSED = "kept suppressed"
    BAD = "bad"


@dataclass(slots=True)
class ImportReport:
    """What an import did, or when rehearsed would do."""

    counts: Counter[Fate] = field(default_factory=Counter)
    bad_rows: Path | None = None
    first_problems: list[str] = field(default_factory=list)

    @property
    def rows(self) -> int:
        return self.counts.total()

    def line(self) -> str:
        """The sentence people are shown."""
        fates = ", ".join(f"{self.counts[fate]:,} {fate}" for fate in Fate if self.counts[fate])
        return f"{self.rows:,} rows: {fates or 'nothing to do'}."


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """How to import.

    Attributes:
        unconfirmed: active rows become pending, their owners still have to confirm.
        rehearse: find out what would happen and change nothing.
        bad_rows: where bad rows go, with their reasons; such a file imports again once mended.
    """

    unconfirmed: bool = False
    rehearse: bool = False
    bad_rows: Path | None = None


def import_file(
    sessions: Sessions,
    file: Path,
    find_list: Callable[[Session], int],
    options: ImportOptions = ImportOptions(),
    progress: Callable[[int], None] = lambda _bytes: None,
) -> ImportReport:
    """Put the people of a CSV file on a list, committing every thousand rows or fewer.

    `find_list` finds or makes the list and returns its id, in the transaction of the first rows: a
    file that cannot be read makes no list. Imported again, the same file changes nothing. Whoever
    unsubscribed or is suppressed stays so; people who are known keep their name and attributes.
    `progress` gets the bytes read so far.

    Rehearsed, the whole file is one transaction, so that rows meet those before them; nobody who
    writes meanwhile has to wait for it.

    Raises:
        InputError: the file cannot be read at all, or from some line on; the rows committed
            before that line are imported, and importing the mended file goes on from there.
    """
    report = ImportReport()
    with ExitStack() as stack:
        table = _opened(file, stack)
        preset = recognise(table.header, f"{table.name}:1")
        _check_bad_rows(file, options.bad_rows)
        bad = _BadRows(table, report, options)
        stack.callback(bad.close)
        transaction = stack.enter_context(_transactions(sessions, rehearse=options.rehearse))
        understood = _understood(table, preset, bad, options)
        list_id: int | None = None
        alone = sessions.dialect == "sqlite" and not options.rehearse
        pace = Pace(CHUNK_ROWS, alone)
        while (chunk := list(islice(understood, pace.rows))) or list_id is None:
            with transaction() as session:
                session.connection()  # SQLite waits for its turn here, and a wait is no work
                with pace.chunk():
                    list_id = find_list(session) if list_id is None else list_id
                    for rows in _each_address_once(chunk):
                        _Chunk(session, list_id, file.name, rows, report.counts).store()
            pace.rest()
            progress(table.bytes_read)
        progress(table.bytes_read)
    return report


_Rows = dict[str, tuple[int, ImportedSubscriber]]
"""Address key -> (line, person)."""


def _opened(file: Path, stack: ExitStack) -> CsvFile:
    try:
        return CsvFile(stack.enter_context(file.open("rb")), str(file))
    except OSError as error:
        raise InputError(str(file), f"cannot be read: {error.strerror}") from None


def _check_bad_rows(file: Path, bad_rows: Path | None) -> None:
    """Before anything is stored: bad rows would find their place, and it is not the file itself."""
    if bad_rows is None:
        return
    if bad_rows.exists() and bad_rows.samefile(file):
        raise InputError(str(bad_rows), "is the file to import; name another one for bad rows")
    if bad_rows.is_dir() or not bad_rows.parent.is_dir():
        raise InputError(str(bad_rows), "expected a file in a folder that is there, for bad rows")


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


def _each_address_once(rows: Iterable[tuple[int, ImportedSubscriber]]) -> list[_Rows]:
    """Rows such that no address stands twice in one part; a repeated one comes in a later part.

    Thus it meets what the first one did, exactly as it would from far below in the file: an
    opt-out counts wherever it stands.
    """
    parts: list[_Rows] = []
    seen: Counter[str] = Counter()
    for line, person in rows:
        key = person.address.key
        if seen[key] == len(parts):
            parts.append({})
        parts[seen[key]][key] = (line, person)
        seen[key] += 1
    return parts


class _BadRows:
    """Rows that cannot be imported, with their reasons; the file is made by the first of them."""

    def __init__(self, table: CsvFile, report: ImportReport, options: ImportOptions) -> None:
        self._table = table
        self._report = report
        self._path = None if options.rehearse else options.bad_rows
        self._writer: CsvWriter | None = None

    def add(self, row: Row, problem: InputError) -> None:
        self._report.counts[Fate.BAD] += 1
        if len(self._report.first_problems) < 5:  # noqa: PLR2004 - enough to see the pattern
            self._report.first_problems.append(f"{self._table.name}:{row.line}: {problem}")
        if self._path:
            columns = tuple(c for c in self._table.columns if c != "error")
            if self._writer is None:
                self._writer = CsvWriter(self._path, (*columns, "error"))
                self._report.bad_rows = self._path
            self._writer.write([*row.raw[: len(columns)], str(problem)])

    def close(self) -> None:
        if self._writer:
            self._writer.close()


def _understood(
    table: CsvFile, preset: Preset, bad: _BadRows, options: ImportOptions
) -> Iterator[tuple[int, ImportedSubscriber]]:
    """(line, person) of every good row."""
    for row in table.rows():
        try:
            person = preset.read(row.cells)
        except InputError as problem:
            bad.add(row, problem)
            continue
        yield row.line, _pending(person) if options.unconfirmed else person


def _pending(person: ImportedSubscriber) -> ImportedSubscriber:
    if person.status is SubscriptionStatus.ACTIVE:
        return replace(person, status=SubscriptionStatus.PENDING)
    return person


class _Chunk:
    """Some rows of different people, stored by a handful of statements whatever their number."""

    def __init__(
        self,
        session: Session,
        list_id: int,
        file_name: str,
        rows: _Rows,
        counts: Counter[Fate],
    ) -> None:
        self._session = session
        self._list_id = list_id
        self._file_name = file_name
        self._counts = counts
        self._rows = rows

    def store(self) -> None:
        ids = self._ensure_people()
        standing = self._standing(list(ids.values()))
        suppressed = self._suppressed()
        new = []
        for key, (line, person) in self._rows.items():
            subscription = standing.get(ids[key])
            if subscription is None:
                new.append((ids[key], line, person))
                fate = Fate.KEPT_SUPPRESSED if key in suppressed else Fate.ADDED
            else:
                fate = self._meet(subscription, line, person)
            self._counts[fate] += 1
        self._add(new)

    def _meet(self, known: Subscription, line: int, person: ImportedSubscriber) -> Fate:
        """A row about somebody who is on the list: only leaving and refusing count."""
        if person.tracking_consent is TrackingConsent.DENIED:
            subscriptions.set_tracking_consent(
                self._session, known, TrackingConsent.DENIED, self._evidence(line, person)
            )
        if known.status is SubscriptionStatus.UNSUBSCRIBED:
            same = person.status is SubscriptionStatus.UNSUBSCRIBED
            return Fate.PRESENT if same else Fate.KEPT_UNSUBSCRIBED
        if person.status is SubscriptionStatus.UNSUBSCRIBED:
            subscriptions.end(self._session, known, self._evidence(line, person))
            return Fate.ENDED
        return Fate.PRESENT

    def _ensure_people(self) -> dict[str, int]:
        """Address key -> subscriber id, for every row."""
        ids = self._ids()
        missing = [person for key, (_, person) in self._rows.items() if key not in ids]
        if missing:
            self._session.execute(
                insert(Subscriber),
                [
                    {
                        "email": person.address.typed,
                        "address_key": person.address.key,
                        "domain_key": person.address.domain,
                        "name": person.name,
                        "locale": person.locale,
                        "time_zone": person.time_zone,
                        "attributes": dict(person.attributes),
                        "created_at": now(),
                    }
                    for person in missing
                ],
            )
            ids = self._ids()
        return ids

    def _ids(self) -> dict[str, int]:
        found = select(Subscriber.address_key, Subscriber.id)
        rows = self._session.execute(found.where(Subscriber.address_key.in_(self._rows)))
        return dict(rows.all())

    def _standing(self, subscriber_ids: list[int]) -> dict[int, Subscription]:
        rows = self._session.scalars(
            select(Subscription).where(
                Subscription.list_id == self._list_id,
                Subscription.subscriber_id.in_(subscriber_ids),
            )
        )
        return {subscription.subscriber_id: subscription for subscription in rows}

    def _suppressed(self) -> set[str]:
        found = select(Suppression.key)
        return set(self._session.scalars(found.where(Suppression.key.in_(self._rows))))

    def _add(self, new: list[tuple[int, int, ImportedSubscriber]]) -> None:
        if not new:
            return
        self._session.execute(
            insert(Subscription),
            [
                {
                    "subscriber_id": subscriber_id,
                    "list_id": self._list_id,
                    "status": person.status,
                    "tracking_consent": person.tracking_consent,
                    "subscribed_at": person.subscribed_at or now(),
                    "unsubscribed_at": None
                    if person.status is not SubscriptionStatus.UNSUBSCRIBED
                    else now(),
                }
                for subscriber_id, _, person in new
            ],
        )
        self._session.execute(
            insert(ConsentEvent),
            [
                {
                    "subscriber_id": subscriber_id,
                    "list_id": self._list_id,
                    "change": _CHANGE[person.status],
                    "at": now(),
                    **evidence.to_columns(),
                }
                for subscriber_id, line, person in new
                for evidence in [self._evidence(line, person)]
            ],
        )

    def _evidence(self, line: int, person: ImportedSubscriber) -> subscriptions.Evidence:
        return subscriptions.Evidence(
            method="import",
            source=f"{self._file_name}:{line}"[:300],
            wording=person.evidence or STATEMENT,
        )


_CHANGE = {
    SubscriptionStatus.ACTIVE: ConsentChange.SUBSCRIBED,
    SubscriptionStatus.PENDING: ConsentChange.REQUESTED,
    SubscriptionStatus.UNSUBSCRIBED: ConsentChange.UNSUBSCRIBED,
}
