"""The work on imports: whatever waits is rehearsed or imported, and goes on after any crash.

Whoever works holds a lease, so that one process does. What is in is told by the run's row alone:
it is changed in the transaction of the rows themselves, and only by who knows how far they were.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from newsletter.core.db import Sessions
from newsletter.core.erasure_key import ErasureKey
from newsletter.core.errors import InputError, RefusedError
from newsletter.core.sentences import Sentence, say
from subscribers.files.people_files import Reading, opened
from subscribers.imports.fates import Fate
from subscribers.imports.importing import import_file
from subscribers.imports.options import ImportOptions, Step
from subscribers.imports.runs import lines
from subscribers.imports.runs.counts import Counts
from subscribers.imports.runs.looking import in_short
from subscribers.imports.runs.models import WORKING, ImportRun, ImportState
from subscribers.imports.runs.moves import locked, move
from subscribers.imports.runs.uploading import fetched
from subscribers.lists import find_list
from subscribers.models import EVERYWHERE, SubscriberList

MOST_ATTEMPTS = 5
"""Without coming on: a file that kills whoever reads it is let alone."""
_TELL_SECONDS = 0.5

_GIVEN_UP = say("it could not be finished; the log of the server says why")


class StoppedError(Exception):
    """The process ends, or somebody else has moved the run: whoever comes next goes on."""


@dataclass(frozen=True, slots=True)
class Workshop:
    """Where imports are worked on.

    Attributes:
        erased: the key by which people who were erased are recognised.
        record: told of the end of each run, in the transaction that ends it.
        stopping: the process is to end.
    """

    sessions: Sessions
    erased: ErasureKey | None
    record: Callable[[Session, ImportRun], None]
    stopping: Callable[[], bool] = lambda: False


def next_due(session: Session) -> int | None:
    """The run that has waited longest; one that failed before waits behind the others."""
    return session.scalar(
        select(ImportRun.id)
        .where(ImportRun.state.in_(WORKING))
        .order_by(ImportRun.attempts, ImportRun.changed_at, ImportRun.id)
        .limit(1)
    )


def work_on(shop: Workshop, run_id: int) -> None:
    """Rehearse or import one run to its end, unless it is stopped or moved meanwhile."""
    run = _begun(shop, run_id)
    if run is None:
        return
    act = _check if run.state is ImportState.CHECKING else _import
    try:
        with fetched(shop.sessions, run) as file:
            act(shop, run, file)
    except RefusedError as error:
        _end(shop, run, ImportState.FAILED, error.sentence)
    except StoppedError:
        return


def _begun(shop: Workshop, run_id: int) -> ImportRun | None:
    """The run, one attempt further; None when it has moved on, or has had all its attempts."""
    with shop.sessions.writing() as session:
        run = locked(session, run_id)
        if run.state not in WORKING:
            return None
        if run.attempts < MOST_ATTEMPTS:
            run.attempts += 1
            return run
    _end(shop, run, ImportState.FAILED, _GIVEN_UP)
    return None


def _check(shop: Workshop, run: ImportRun, file: Path) -> None:
    try:
        with shop.sessions.reading() as session:
            options = _options(session, shop, run, rehearse=True)
        with opened(file, options.reading) as people:
            header = [list(pair) for pair in people.columns.items()]
        watch = _Watch(shop, run)
        report = import_file(shop.sessions, file, lambda _: run.list_id, options, watch.look)
    except InputError as error:
        _end(shop, run, ImportState.UPLOADED, in_short(error, file))
        return
    with shop.sessions.writing() as session:
        checked = locked(session, run.id)
        if checked.state is ImportState.CHECKING:
            move(checked, ImportState.CHECKED)
            checked.header = header
            checked.expected = Counts.of(report).to_json()
            lines.keep_examples(session, run.id, report, f"{file.parent}/", shop.erased)


def _import(shop: Workshop, run: ImportRun, file: Path) -> None:
    ledger = _Ledger(shop, run, f"{file.parent}/")
    try:
        with shop.sessions.reading() as session:
            options = _options(session, shop, run, with_each=ledger.note)
        import_file(shop.sessions, file, lambda _: run.list_id, options)
    except InputError as error:
        _end(shop, run, ImportState.FAILED, in_short(error, file))
        return
    _end(shop, run, ImportState.DONE)


def _options(
    session: Session,
    shop: Workshop,
    run: ImportRun,
    *,
    rehearse: bool = False,
    with_each: Callable[[Session, Step], None] = lambda _session, _step: None,
) -> ImportOptions:
    """Nothing of another newsletter is named or suppressed, unless that was asked for."""
    target = session.get_one(SubscriberList, run.list_id)
    ours = SubscriberList.newsletter_id == target.newsletter_id
    if target.newsletter_id is None:
        ours = SubscriberList.id == target.id
    lists = session.execute(select(SubscriberList.id, SubscriberList.slug).where(ours)).all()
    ids = tuple(sorted(number for number, _ in lists))
    slugs = frozenset(slug for _, slug in lists)
    return ImportOptions(
        unconfirmed=run.unconfirmed,
        tags=tuple(run.tags),
        rehearse=rehearse,
        reading=Reading(run.preset, run.columns or None, slugs),
        erased=shop.erased,
        list_named=lambda session, name: find_list(session, name).id,
        suppressed_on=(EVERYWHERE,) if run.everywhere else ids,
        already=0 if rehearse else run.rows_read,
        with_each=with_each,
        in_company=True,
    )


def _end(shop: Workshop, run: ImportRun, to: ImportState, problem: Sentence | None = None) -> None:
    """Unless somebody has moved it meanwhile."""
    with shop.sessions.writing() as session:
        ended = locked(session, run.id)
        if ended.state is run.state:
            move(ended, to, problem)
            shop.record(session, ended)


class _Watch:
    """Looks up from a rehearsal now and then: how far it is, and whether it still is wanted."""

    def __init__(self, shop: Workshop, run: ImportRun) -> None:
        self._shop = shop
        self._run_id = run.id
        self._told = time.monotonic()

    def look(self, bytes_read: int) -> None:
        if self._shop.stopping():
            raise StoppedError
        if time.monotonic() - self._told < _TELL_SECONDS:
            return
        with self._shop.sessions.writing() as session:
            wanted = session.scalar(
                update(ImportRun)
                .where(ImportRun.id == self._run_id, ImportRun.state == ImportState.CHECKING)
                .values(bytes_read=bytes_read)
                .returning(ImportRun.id)
            )
        self._told = time.monotonic()
        if wanted is None:
            raise StoppedError


class _Ledger:
    """Writes down how far an import is, in the transaction of the rows."""

    def __init__(self, shop: Workshop, run: ImportRun, folder: str) -> None:
        self._shop = shop
        self._run_id = run.id
        self._folder = folder
        self._rows = run.rows_read
        self._before = Counts.from_json(run.counts)

    def note(self, session: Session, step: Step) -> None:
        if self._shop.stopping():
            raise StoppedError
        counts = self._before + Counts.of(step.report)
        ours = session.scalar(
            update(ImportRun)
            .where(
                ImportRun.id == self._run_id,
                ImportRun.state == ImportState.IMPORTING,
                ImportRun.rows_read == self._rows,
            )
            .values(
                rows_read=self._rows + step.rows,
                bytes_read=step.bytes_read,
                counts=counts.to_json(),
                attempts=0,
            )
            .returning(ImportRun.id)
        )
        if ours is None:
            raise StoppedError
        if counts[Fate.BAD] <= lines.MAX_BAD_ROWS:
            lines.keep_bad(session, self._run_id, step.bad, self._folder)
        self._rows += step.rows
