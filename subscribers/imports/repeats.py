"""People who come again in a file that is rehearsed in pieces, each of them rolled back.

A later row has to meet what the earlier ones of the same person did, and that is gone. So rows of
whoever came before are left out at first. In the end all rows of these people are rehearsed
together, a few people at a time, and what was counted of them before is taken back. However many
they are, the file is read once more: their rows go on heaps, files that each fit into memory.
"""

import pickle
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack
from itertools import islice
from tempfile import SpooledTemporaryFile

from sqlalchemy.orm import Session

from subscribers.imports.fates import Fates, Incoming
from subscribers.imports.intake import take_in

_PEOPLE_A_HEAP = 20_000
"""Of whom all rows are in memory at once."""
_MOST_HEAPS = 64
"""Open files; with more people each heap is larger."""
_HEAP_IN_MEMORY = 2**20
_PEOPLE_AT_ONCE = 500

Pieces = Iterator[tuple[int, Incoming]]
"""Rows, each with the number of the piece that it was in."""


class Repeats:
    """Who has come so far, told by the hash of their address key: some 60 MB for a million."""

    def __init__(self) -> None:
        self._seen: set[int] = set()
        self._again: set[int] = set()
        self.sizes: list[int] = []
        """How many rows of the file each piece had."""

    def new(self, piece: Iterable[Incoming], rows: int) -> list[Incoming]:
        """Those of a piece of the file whose people are in no piece before it."""
        told = [(hash(incoming.row.key), incoming) for incoming in piece]
        self._again.update(person for person, _ in told if person in self._seen)
        new = [row for person, row in told if person not in self._seen]
        self._seen.update(person for person, _ in told)
        self.sizes.append(rows)
        return new

    def settle(
        self,
        again: Pieces,
        transaction: Callable[[], AbstractContextManager[Session]],
        fates: Fates,
        look: Callable[[], None],
    ) -> None:
        """Count anew the rows of who came again; `again` is the whole file once more.

        `look` is called now and then, outside of any transaction that writes; it may raise.
        """
        many = min(-(-len(self._again) // _PEOPLE_A_HEAP), _MOST_HEAPS)
        if not many:
            return
        with ExitStack() as stack:
            heaps = [stack.enter_context(_heap()) for _ in range(many)]
            for piece, row in again:
                person = hash(row.row.key)
                if person in self._again:
                    pickle.dump((piece, row), heaps[person % many])
            for heap in heaps:
                each = iter(_people(heap))
                while few := list(islice(each, _PEOPLE_AT_ONCE)):
                    look()
                    _count_anew(few, transaction, fates)


def _heap() -> SpooledTemporaryFile[bytes]:
    return SpooledTemporaryFile(_HEAP_IN_MEMORY, prefix="newsletter-repeats-")


def _people(heap: SpooledTemporaryFile[bytes]) -> Iterable[list[tuple[int, Incoming]]]:
    """The rows of each person, as they stand in the file."""
    people: dict[int, list[tuple[int, Incoming]]] = {}
    end = heap.tell()
    heap.seek(0)
    while heap.tell() < end:
        piece, row = pickle.load(heap)  # noqa: S301 - written just now, a file without a name
        people.setdefault(hash(row.row.key), []).append((piece, row))
    return people.values()


def _count_anew(
    people: list[list[tuple[int, Incoming]]],
    transaction: Callable[[], AbstractContextManager[Session]],
    fates: Fates,
) -> None:
    counted = [row for rows in people for piece, row in rows if piece == rows[0][0]]
    before = Fates()
    with transaction() as session:
        take_in(session, counted, before, is_kept=False)
    fates.counts.subtract(before.counts)
    fates.added_as.subtract(before.added_as)
    with transaction() as session:
        take_in(session, [row for rows in people for _, row in rows], fates, is_kept=False)
