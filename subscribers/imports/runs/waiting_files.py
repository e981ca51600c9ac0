"""Uploaded files that wait are searched for who is erased; one that names them is deleted.

Rewriting it would leave out the row but not what other rows say of them, and a ZIP cannot be
rewritten: whoever sent the file sends it again, and they are left out.
"""

import json
import re
import zlib
from codecs import getincrementaldecoder
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain, islice
from tempfile import TemporaryFile
from typing import NamedTuple
from unicodedata import normalize

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from newsletter.core.db import Sessions
from newsletter.core.errors import InputError
from newsletter.core.sentences import say
from newsletter.mail.address import Address
from subscribers.files.csv_files import ByteLines
from subscribers.files.zip_files import ZipOfTables, is_zip
from subscribers.imports.runs.models import WAITING, ImportPart, ImportRun, ImportState
from subscribers.imports.runs.moves import move

_WHOLE = (ImportState.CHECKING, *WAITING)
"""What is being imported leaves them out, and its file goes with its end."""
_READ_BYTES, _LINES = 2**20, 10_000
_KEPT_CHARACTERS = 5_000
"""Of one piece for the next: more than an address has in any spelling."""
_ESCAPES = re.compile(r"(?:\\u[0-9a-fA-F]{4}|\\/)+")
"""As JSON writes what is not ASCII, and some programs other signs."""
_ERASED = say(
    "somebody in it was erased, so the file is deleted; send it again, it goes without them"
)

_Piece = Callable[[int, int], bytes | None]
"""(run's id, number) -> a part as it is kept; None behind the last."""


class Searched(NamedTuple):
    """Files that were read, and those of them that name the address; by their runs' ids."""

    seen: frozenset[int]
    naming: frozenset[int]


NOTHING = Searched(frozenset(), frozenset())


def search(sessions: Sessions, address: Address) -> Searched:
    """Which files name them. In short transactions: a large file takes a second."""

    def piece(run_id: int, number: int) -> bytes | None:
        with sessions.reading() as session:
            return _piece(session, run_id, number)

    with sessions.reading() as session:
        waiting = session.scalars(select(ImportRun.id).where(ImportRun.state.in_(_WHOLE))).all()
    naming = frozenset(run_id for run_id in waiting if _names(piece, run_id, address))
    return Searched(frozenset(waiting), naming)


def drop(session: Session, address: Address, searched: Searched = NOTHING) -> list[int]:
    """End the imports whose files name the address, and delete these; returns their ids.

    What was not `searched` is read here. Of a file that still comes in nobody can tell: it goes.
    """
    waiting = session.scalars(
        select(ImportRun)
        .where(ImportRun.state.in_((ImportState.RECEIVING, *_WHOLE)))
        .order_by(ImportRun.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).all()
    dropped = []
    for run in waiting:
        is_new = run.id not in searched.seen
        if (
            run.state is ImportState.RECEIVING
            or run.id in searched.naming
            or (is_new and _names(partial(_piece, session), run.id, address))
        ):
            move(run, ImportState.CANCELLED, _ERASED)
            run.glance = {}
            session.execute(delete(ImportPart).where(ImportPart.run_id == run.id))
            dropped.append(run.id)
    return dropped


def _piece(session: Session, run_id: int, number: int) -> bytes | None:
    wanted = select(ImportPart.data).where(ImportPart.run_id == run_id, ImportPart.number == number)
    return session.scalar(wanted)


def _names(piece: _Piece, run_id: int, address: Address) -> bool:
    pieces = _unpacked(piece, run_id)
    first = next(pieces, b"")
    if not is_zip(first):
        return _is_in(address, first, pieces)
    with TemporaryFile() as file:
        file.write(first)
        file.writelines(pieces)
        try:
            streams = ZipOfTables(file, "").files()
            return any(_is_in(address, b"", _pieces(stream)) for stream, _name in streams)
        except InputError:
            return True  # it was read once, and cannot be any more


def _unpacked(piece: _Piece, run_id: int) -> Iterator[bytes]:
    number = 0
    while (data := piece(run_id, number)) is not None:
        yield zlib.decompress(data)
        number += 1


def _pieces(stream: ByteLines) -> Iterator[bytes]:
    lines = iter(partial(stream.readline, _READ_BYTES), b"")
    while piece := b"".join(islice(lines, _LINES)):
        yield piece


def _is_in(address: Address, first: bytes, pieces: Iterator[bytes]) -> bool:
    """The whole address in any spelling; none that it is a part of.

    What stands beside it is no letter of an address in ASCII: other scripts write no spaces.
    """
    written = (address.key, address.typed, address.envelope)
    spellings = {folded for text in written for folded in _folded(text)}
    either = "|".join(re.escape(each) for each in spellings)
    whole = re.compile(r"(?<![\w.!#$%&*+/=?^`{|}~-])(?:" + either + r")(?![\w-]|\.\w)", re.ASCII)
    decoder = getincrementaldecoder("utf-8")("replace")
    raw = ""
    for piece in chain([first], pieces):
        raw = raw[-_KEPT_CHARACTERS:] + decoder.decode(piece)
        for text in _folded(raw):
            if any(each in text for each in spellings) and whole.search(text):
                return True
    return False


def _folded(text: str) -> set[str]:
    """Alike for all spellings that `Address.parse` takes for one, and for those in JSON.

    Domains may be in wide letters; what stands beside an address is not to become a letter of it.
    """
    if "\\" in text:
        text = _ESCAPES.sub(lambda found: json.loads(f'"{found[0]}"'), text)
    return {normalize(form, text).casefold() for form in ("NFC", "NFKC")}
