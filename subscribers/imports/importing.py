"""Import a file of subscribers: streamed, rehearsable, idempotent; it revives nobody who left."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.orm import Session

from newsletter.core.db import Sessions, for_rehearsal
from subscribers.imports.bad_rows import check_bad_rows
from subscribers.imports.batches import batches
from subscribers.imports.bulk import Others, bring_home, give_room
from subscribers.imports.chunks import Chunk, Importing
from subscribers.imports.garbage import seldom_collected
from subscribers.imports.options import ImportOptions, ImportReport
from subscribers.imports.pace import Pace
from subscribers.imports.reading import Job, file_rows
from subscribers.imports.repeats import Repeats
from subscribers.imports.rows import Making, Row

CHUNK_ROWS = 5_000
_AS_IT_STANDS = ImportOptions()


def import_file(
    sessions: Sessions,
    file: Path,
    find_list: Callable[[Session], int] | None,
    options: ImportOptions = _AS_IT_STANDS,
    progress: Callable[[int], None] = lambda _bytes: None,
) -> ImportReport:
    """Put the people of a file on a list, committing every few thousand rows or fewer.

    `find_list` finds or makes the list and returns its id, in the transaction of the first rows: a
    file that cannot be read makes no list. It is None where the file says the list of each row.
    Imported again, the same file changes nothing. Whoever unsubscribed, is suppressed or was
    erased stays so; people who are known keep their name and attributes. `progress` gets the bytes
    read so far.

    Rehearsed, the whole file is one transaction, so that rows meet those before them; on SQLite it
    is that of a copy. Rehearsed `in_company` on PostgreSQL it goes in pieces, and lists have to be
    there: whoever writes about the same people meanwhile waits for a piece.

    Raises:
        InputError: the file cannot be read at all, or from some line on; the rows committed
            before that line are imported, and importing the mended file goes on from there.
    """
    with ExitStack() as stack:
        stack.enter_context(seldom_collected())
        job = _job(sessions, file, options)
        people = stack.enter_context(file_rows(job, beside=not options.in_company))
        check_bad_rows(file, options.bad_rows)
        repeats = Repeats() if _in_pieces(sessions, options) else None
        importing = Importing(people, find_list, options, repeats)
        stack.callback(importing.close)
        database = stack.enter_context(_database(sessions, options))
        alone = sessions.dialect == "sqlite" and not options.rehearse
        pace = Pace(CHUNK_ROWS, alone, options.in_company)
        others = Others()
        for chunk in _chunks(people.rows(), pace):
            pace.rest()
            with database.transaction() as session:
                session.connection()  # SQLite waits for its turn here
                pace.begin(others_wrote=others.wrote(session))
                importing.store(session, chunk)
            pace.end()
            database.after_each()
            progress(people.bytes_read)
        importing.settle(database.transaction, lambda: progress(people.bytes_read))
    return importing.report


def _job(sessions: Sessions, file: Path, options: ImportOptions) -> Job:
    folder = str(file).removesuffix(file.name)
    making = Making(options.reading, sessions.dialect, folder, options.unconfirmed, options.tags)
    return Job(file, making, options.already, CHUNK_ROWS)


def _in_pieces(sessions: Sessions, options: ImportOptions) -> bool:
    """Rehearsed where others sign up and leave meanwhile, who would wait for one transaction.

    On SQLite they do not: what is rehearsed there is a copy.
    """
    return options.rehearse and options.in_company and sessions.dialect == "postgresql"


@dataclass(frozen=True, slots=True)
class _Database:
    """What chunks go into.

    Attributes:
        transaction: that of a chunk: its own, or rehearsed the one that is rolled back.
        after_each: what is to be done when nobody waits for it.
    """

    transaction: Callable[[], AbstractContextManager[Session]]
    after_each: Callable[[], None] = lambda: None


@contextmanager
def _database(sessions: Sessions, options: ImportOptions) -> Iterator[_Database]:
    rehearse = options.rehearse
    with ExitStack() as stack:
        database = stack.enter_context(for_rehearsal(sessions)) if rehearse else sessions
        connection = stack.enter_context(database.own_connection())
        give_room(connection)
        if _in_pieces(sessions, options):
            yield _Database(lambda: database.writing(rehearse=True, on=connection))
        elif rehearse:
            whole = stack.enter_context(database.writing(rehearse=True, on=connection))
            yield _Database(lambda: nullcontext(whole))
        else:
            yield _Database(lambda: database.writing(on=connection), lambda: bring_home(connection))


def _chunks(rows: Iterator[Row], pace: Pace) -> Iterator[Chunk]:
    """At least one, which may have no rows: lists are found even so."""
    is_first = True
    for chunk in batches(rows, lambda: pace.rows):
        is_first = False
        yield chunk
    if is_first:
        yield []
