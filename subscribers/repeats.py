"""People who come again in a file that is rehearsed in pieces, each of them rolled back.

A later row has to meet what the earlier ones of the same person did, and that is gone. So rows of
whoever came before are left out at first. In the end all rows of these people are rehearsed
together, a few people at a time, and what was counted of them before is taken back.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from itertools import islice

from sqlalchemy.orm import Session

from subscribers.fates import Fates, Incoming
from subscribers.intake import take_in

_PEOPLE_A_READING = 20_000
"""For so many who came again the file is read once more, and their rows are in memory."""
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
        told = [(hash(row.key), row) for row in piece]
        self._again.update(person for person, _ in told if person in self._seen)
        new = [row for person, row in told if person not in self._seen]
        self._seen.update(person for person, _ in told)
        self.sizes.append(rows)
        return new

    def settle(
        self,
        read: Callable[[], Pieces],
        transaction: Callable[[], AbstractContextManager[Session]],
        fates: Fates,
    ) -> None:
        """Count anew the rows of who came again; `read` reads the file from its beginning."""
        again = iter(sorted(self._again))
        while some := set(islice(again, _PEOPLE_A_READING)):
            people: dict[int, list[tuple[int, Incoming]]] = {}
            for piece, row in read():
                if hash(row.key) in some:
                    people.setdefault(hash(row.key), []).append((piece, row))
            each = iter(people.values())
            while few := list(islice(each, _PEOPLE_AT_ONCE)):
                _count_anew(few, transaction, fates)


def _count_anew(
    people: list[list[tuple[int, Incoming]]],
    transaction: Callable[[], AbstractContextManager[Session]],
    fates: Fates,
) -> None:
    counted = [row for rows in people for piece, row in rows if piece == rows[0][0]]
    before = Fates()
    with transaction() as session:
        take_in(session, counted, before)
    fates.counts.subtract(before.counts)
    fates.added_as.subtract(before.added_as)
    with transaction() as session:
        take_in(session, [row for rows in people for _, row in rows], fates)
