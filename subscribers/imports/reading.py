"""The rows of a file of people, read here or by a process beside this one that is ahead of it.

The interpreter does one thing at a time: with the reading elsewhere it has its whole time for the
database. See decision 0025.
"""

import pickle
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from newsletter.core.errors import InputError, NewsletterError
from newsletter.core.sentences import say
from subscribers.files.people_files import PeopleFile, opened
from subscribers.imports.batches import batches
from subscribers.imports.rows import Making, Row

_ROWS = 100
"""Of a block that is read here: `bytes_read` is as exact."""
_WORTH_A_PROCESS_BYTES = 4_000_000
"""Reading so much takes longer than a process takes to start."""

Block = tuple[int, list[Row]]
"""How many bytes of the file were read, and the rows since the block before."""


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be read: rows of the file behind the first `already`, made ready.

    `rows_ahead` are there, read beside, while those before them are stored.
    """

    path: Path
    making: Making
    already: int
    rows_ahead: int

    def blocks(self, people: PeopleFile, rows: int) -> Iterator[Block]:
        """So many rows in each."""
        ready = islice(self.making.rows(people), self.already, None)
        for block in batches(ready, lambda: rows):
            yield people.bytes_read, block


class FileRows:
    """An open file whose rows are on their way.

    Attributes:
        folder: what was left out of the sources of rows.
        is_json: JSON lines, not CSV.
        columns: of bad rows, normalised -> as written first; none for JSON lines.
        bytes_read: how far reading has come, for progress.
    """

    def __init__(self, job: Job, people: PeopleFile, blocks: Iterator[Block]) -> None:
        self._job = job
        self._blocks = blocks
        self.folder = job.making.folder
        self.is_json = people.is_json
        self.columns: Mapping[str, str] = people.columns
        self.bytes_read = 0

    def rows(self) -> Iterator[Row]:
        """Every row in order, once; raises as `PeopleFile.rows` does."""
        for bytes_read, block in self._blocks:
            self.bytes_read = bytes_read
            yield from block

    def again(self) -> Iterator[Row]:
        """Every row in order, from the first one, whatever was read of the file before."""
        with opened(self._job.path, self._job.making.reading) as people:
            yield from self._job.making.rows(people)


@contextmanager
def file_rows(job: Job, *, beside: bool) -> Iterator[FileRows]:
    """The file, while the block runs; `beside`: if it is large, another process reads it.

    Raises:
        InputError: it cannot be read, or is none that we understand.
    """
    with ExitStack() as stack:
        people = stack.enter_context(opened(job.path, job.making.reading))
        if beside and job.path.is_file() and job.path.stat().st_size > _WORTH_A_PROCESS_BYTES:
            blocks = stack.enter_context(_read_beside(job))
        else:
            blocks = job.blocks(people, _ROWS)
        yield FileRows(job, people, blocks)


@contextmanager
def _read_beside(job: Job) -> Iterator[Iterator[Block]]:
    command = [sys.executable, "-P", "-m", "subscribers.imports.reading_process"]
    pipe = subprocess.PIPE
    with (
        ThreadPoolExecutor(1, thread_name_prefix="import") as receiver,
        subprocess.Popen(command, stdin=pipe, stdout=pipe) as process,  # noqa: S603 - our own module
    ):
        try:
            yield _ahead(_received(process, job), receiver)
        finally:
            process.kill()


def _ahead(blocks: Iterator[Block], receiver: ThreadPoolExecutor) -> Iterator[Block]:
    """The next one is unpacked while the database works on the one before."""
    coming = receiver.submit(next, blocks, None)
    while (block := coming.result()) is not None:
        coming = receiver.submit(next, blocks, None)
        yield block


def _received(process: "subprocess.Popen[bytes]", job: Job) -> Iterator[Block]:
    assert process.stdin
    assert process.stdout
    pickle.dump(job, process.stdin)
    process.stdin.flush()
    try:
        while (said := pickle.load(process.stdout)) is not None:  # noqa: S301 - by our own process
            if isinstance(said, InputError):
                raise said
            yield said
    except (EOFError, pickle.UnpicklingError):
        raise NewsletterError(
            say(
                "the process that reads %(path)s ended with status %(status)s; "
                "import the file again, what is in stays in",
                path=job.path,
                status=process.wait(),
            )
        ) from None
