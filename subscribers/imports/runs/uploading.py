"""A file of people comes into the database, piece by piece, and out of it where it is worked on."""

import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from sqlalchemy import select

from newsletter.core.db import Sessions
from newsletter.core.errors import InputError, RefusedError
from newsletter.core.sentences import quoted, say
from subscribers.imports.runs.looking import Glance
from subscribers.imports.runs.models import (
    MAX_FILE_NAME_CHARACTERS,
    ImportPart,
    ImportRun,
    ImportState,
)
from subscribers.imports.runs.moves import Wishes, locked, move

_PART_BYTES = 2**20
_FASTEST = 1
_MOST_STEM, _MOST_SUFFIX = MAX_FILE_NAME_CHARACTERS // 2, 10
_BREAKING = re.compile(r'[\x00-\x1f\x7f-\x9f<>:"|?*\\/]+')


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that somebody sent, and what it is for.

    Attributes:
        file: where it lies for now.
        glance: what `looking.look` made of it.
    """

    file: Path
    glance: Glance
    list_id: int
    actor: str
    wishes: Wishes = field(default_factory=Wishes)


def plain_file_name(name: str) -> str:
    """The name of a sent file as a name here: without folders and control characters."""
    base = PurePosixPath(name.replace("\\", "/")).name
    plain = _BREAKING.sub(" ", base).strip(" .")
    stem, dot, suffix = plain.rpartition(".")
    if not dot:
        return _cut(plain, _MOST_STEM) or "file.csv"
    return _cut(stem, _MOST_STEM) + dot + _cut(suffix, _MOST_SUFFIX)


def _cut(text: str, most: int) -> str:
    """So many letters; fewer of those that take more than three bytes: folders count bytes."""
    return text[:most].encode("utf-8", "ignore")[: 3 * most].decode("utf-8", "ignore")


def upload(sessions: Sessions, sent: Upload) -> int:
    """Keep the file and return the run's id; a large one goes in by many short transactions.

    Raises:
        InputError: the file is empty.
        RefusedError: it was ended meanwhile, and says why.
    """
    size = sent.file.stat().st_size
    if not size:
        raise InputError(sent.file.name, say("expected people, found nothing: the file is empty"))
    run = ImportRun(
        list_id=sent.list_id,
        actor=sent.actor,
        state=ImportState.RECEIVING,
        file_name=sent.file.name,
        file_bytes=size,
        glance=sent.glance.to_json(),
        unconfirmed=sent.wishes.unconfirmed,
        everywhere=sent.wishes.everywhere,
        tags=list(sent.wishes.tags),
    )
    with sessions.writing() as session:
        session.add(run)
        session.flush()
        run_id = run.id
    for number, data in enumerate(_parts(sent.file)):
        with sessions.writing() as session:
            session.add(ImportPart(run_id=run_id, number=number, data=data))
    with sessions.writing() as session:
        kept = locked(session, run_id)
        if kept.state is ImportState.CANCELLED:
            raise RefusedError(quoted(kept.problem))
        move(kept, ImportState.UPLOADED)
    return run_id


def _parts(file: Path) -> Iterator[bytes]:
    with file.open("rb") as stream:
        while piece := stream.read(_PART_BYTES):
            yield zlib.compress(piece, _FASTEST)


@contextmanager
def fetched(sessions: Sessions, run: ImportRun) -> Iterator[Path]:
    """The file under its own name, in a folder that goes when the block ends.

    Raises:
        RefusedError: it is not there any more.
    """
    with TemporaryDirectory(prefix="newsletter-import-") as folder:
        file = Path(folder) / run.file_name
        with file.open("wb") as stream:
            number = 0
            while (data := _part(sessions, run.id, number)) is not None:
                stream.write(zlib.decompress(data))
                number += 1
        if file.stat().st_size != run.file_bytes:
            raise RefusedError(say("the file is not there any more; upload it again"))
        yield file


def _part(sessions: Sessions, run_id: int, number: int) -> bytes | None:
    with sessions.reading() as session:
        wanted = select(ImportPart.data).where(
            ImportPart.run_id == run_id, ImportPart.number == number
        )
        return session.scalar(wanted)
