"""Import a file of subscribers: streamed, rehearsable, idempotent; it revives nobody who left."""

import gc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from itertools import islice
from pathlib import Path

from sqlalchemy.orm import Session

from newsletter.core.db import Sessions, for_rehearsal
from subscribers.bad_rows import check_bad_rows
from subscribers.bulk import Others, give_room
from subscribers.import_chunks import Chunk, Importing
from subscribers.import_options import ImportOptions, ImportReport
from subscribers.pace import Pace
from subscribers.people_files import Bad, Good, opened
from subscribers.repeats import Repeats

CHUNK_ROWS = 5_000
_ALLOCATIONS = 200_000
"""Of containers, before the youngest are looked through: some chunks."""
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
        stack.enter_context(_seldom_collected())
        people = stack.enter_context(opened(file, options.reading))
        check_bad_rows(file, options.bad_rows)
        repeats = Repeats() if _in_pieces(sessions, options) else None
        importing = Importing(file, people, find_list, options, repeats)
        stack.callback(importing.close)
        transaction = stack.enter_context(_transactions(sessions, options))
        alone = sessions.dialect == "sqlite" and not options.rehearse
        pace = Pace(CHUNK_ROWS, alone, options.in_company)
        others = Others()
        rows = islice(people.rows(), options.already, None)
        for chunk in stack.enter_context(_chunks(rows, pace)):
            pace.rest()
            with transaction() as session:
                session.connection()  # SQLite waits for its turn here
                pace.begin(others_wrote=others.wrote(session))
                importing.store(session, chunk)
            pace.end()
            progress(people.bytes_read)
        importing.settle(transaction, file, lambda: progress(people.bytes_read))
    return importing.report


@contextmanager
def _seldom_collected() -> Iterator[None]:
    """Rows make no cycles; looking for some among thousands of rows takes a fifth of the time."""
    first, *others = gc.get_threshold()
    if first >= _ALLOCATIONS:  # another import of this process has said so, and takes it back
        yield
        return
    gc.set_threshold(_ALLOCATIONS, *others)
    try:
        yield
    finally:
        gc.set_threshold(first, *others)


def _in_pieces(sessions: Sessions, options: ImportOptions) -> bool:
    """Rehearsed where others sign up and leave meanwhile, who would wait for one transaction.

    On SQLite they do not: what is rehearsed there is a copy.
    """
    return options.rehearse and options.in_company and sessions.dialect == "postgresql"


@contextmanager
def _transactions(
    sessions: Sessions, options: ImportOptions
) -> Iterator[Callable[[], AbstractContextManager[Session]]]:
    """What gives each chunk its transaction: its own, or rehearsed the one that is rolled back."""
    rehearse = options.rehearse
    with ExitStack() as stack:
        database = stack.enter_context(for_rehearsal(sessions)) if rehearse else sessions
        connection = stack.enter_context(database.own_connection())
        give_room(connection)
        if _in_pieces(sessions, options):
            yield lambda: database.writing(rehearse=True, on=connection)
        elif rehearse:
            whole = stack.enter_context(database.writing(rehearse=True, on=connection))
            yield lambda: nullcontext(whole)
        else:
            yield lambda: database.writing(on=connection)


@contextmanager
def _chunks(rows: Iterator[Good | Bad], pace: Pace) -> Iterator[Iterator[Chunk]]:
    """Rows in chunks, at least one; none when there are no more.

    Where nobody waits for us, the next chunk is read while the database works on this one.
    """
    following = _following(rows, pace)
    if pace.alone or pace.in_company:
        yield following
        return
    with ThreadPoolExecutor(1, thread_name_prefix="import") as reader:
        yield _ahead(following, reader)


def _following(rows: Iterator[Good | Bad], pace: Pace) -> Iterator[Chunk]:
    chunk = list(islice(rows, pace.rows))
    yield chunk
    while chunk := list(islice(rows, pace.rows)):
        yield chunk


def _ahead(chunks: Iterator[Chunk], reader: ThreadPoolExecutor) -> Iterator[Chunk]:
    coming = reader.submit(next, chunks, None)
    while (chunk := coming.result()) is not None:
        coming = reader.submit(next, chunks, None)
        yield chunk
