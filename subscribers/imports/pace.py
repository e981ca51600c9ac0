"""The pace of a long writing: short transactions, and air between them for everybody else."""

import math
import time
from dataclasses import dataclass

HOLD_SECONDS = 0.08
"""How long one chunk is meant to keep the database; a reader's click waits for it on SQLite."""
_AIR_SHARE = 0.35
"""Of the time that a chunk took. Whoever waits for SQLite looks every 25 ms whether it is free."""
_COMPANY_HOLD_SECONDS, _COMPANY_AIR_SHARE = 0.02, 1.0
"""While others write as well: they wait for each other besides."""
_COMPANY_SECONDS = 2
"""So long after somebody else wrote, more is to be expected."""
_OTHER_WORK_SHARE = 0.5
"""Of the time that rows took to read and store, where the process has other things to do."""
_FEWEST_ROWS = 25
_GROWTH = 2.0


@dataclass(slots=True)
class Pace:
    """How many rows the next chunk takes, from how long those before took.

    Attributes:
        most: rows of the largest chunk.
        alone: whoever writes keeps everybody else from writing, as on SQLite; else chunks are as
            large as they may be, and follow each other at once.
        in_company: this process sends or answers as well: chunks are short on every database, and
            the interpreter is left to others after each.
    """

    most: int
    alone: bool
    in_company: bool = False
    _fitting: float = 100
    _took_seconds: float = 0.0
    _began: float = 0.0
    _company_until: float = -math.inf
    _ended: float = -math.inf
    _rested: float = 0.0

    @property
    def rows(self) -> int:
        is_short = self.alone or self.in_company
        return min(self.most, max(1, int(self._fitting))) if is_short else self.most

    def begin(self, *, others_wrote: bool = False) -> None:
        """The database is ours: a wait for it is no work. Have others written since our last?"""
        self._began = time.monotonic()
        if others_wrote:
            self._company_until = self._began + _COMPANY_SECONDS

    def end(self) -> None:
        """The chunk is committed."""
        self._ended = time.monotonic()
        self.took(self._ended - self._began)

    def rest(self) -> None:
        """Before the next transaction: the others' turn, the time since the last one included."""
        began, wait = time.monotonic(), 0.0
        if self.alone:
            share = _COMPANY_AIR_SHARE if self._others_write else _AIR_SHARE
            wait = self._ended + self._took_seconds * share - began
        if self.in_company and self._rested:
            wait = max(wait, (began - self._rested) * _OTHER_WORK_SHARE)
        time.sleep(max(0.0, wait))
        self._rested = time.monotonic()

    def took(self, seconds: float) -> None:
        """A chunk took so long: the next is to take its time, and at most twice the rows."""
        self._took_seconds = seconds
        hold = _COMPANY_HOLD_SECONDS if self._others_write else HOLD_SECONDS
        change = min(_GROWTH, hold / max(seconds, 1e-6))
        self._fitting = min(float(self.most), max(_FEWEST_ROWS, self.rows * change))

    @property
    def _others_write(self) -> bool:
        return time.monotonic() < self._company_until
