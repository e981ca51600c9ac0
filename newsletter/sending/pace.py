"""How fast a process concludes rows, and so how many rows a claim should take."""

from dataclasses import dataclass

CLAIM_ROWS = 100
CLAIM_SECONDS = 3
_FEWEST_ROWS = 4
_FIRST_ROWS = 24
_WINDOW_SECONDS = 1


@dataclass(slots=True)
class Pace:
    """Counts what is concluded; times are those of a monotonic clock, in seconds.

    Attributes:
        rows: about three seconds of work, and never more than a hundred rows.
    """

    rows: int = _FIRST_ROWS
    _since: float = 0.0
    _count: int = 0

    def begin(self, at: float) -> None:
        """There is work again: the time without any says nothing about the pace."""
        self._since, self._count = at, 0

    def count(self, at: float) -> None:
        """One more row is concluded."""
        self._count += 1
        elapsed = at - self._since
        if elapsed > _WINDOW_SECONDS:
            rows = round(CLAIM_SECONDS * self._count / elapsed)
            self.rows = max(_FEWEST_ROWS, min(CLAIM_ROWS, rows))
            self.begin(at)
