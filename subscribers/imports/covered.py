"""Rows on their way in and suppressions: whose mail is forbidden, and whose the rows forbid."""

from collections.abc import Sequence

from sqlalchemy.orm import Session

from subscribers import suppressions
from subscribers.imports.fates import Incoming
from subscribers.imports.rows import Ready
from subscribers.models import EVERYWHERE
from subscribers.suppressions import SuppressionRow


class Covered:
    """The suppressions about a part's addresses: those there are, and those its rows ask for."""

    def __init__(self, session: Session, rows: Sequence[Incoming]) -> None:
        self._session = session
        self._rows = rows
        keys = (key for incoming in rows for key in _suppression_keys(incoming.row))
        self._standing = suppressions.standing_among(session, keys)
        self._new: list[SuppressionRow] = []

    @property
    def concerns_nobody(self) -> bool:
        return not self._standing and not any(incoming.suppressed for incoming in self._rows)

    def covers(self, incoming: Incoming) -> bool:
        """No mail for the row's list gets to its person."""
        if not self._standing:
            return False
        lists = (EVERYWHERE, incoming.list_id)
        keys = _suppression_keys(incoming.row)
        return any((key, list_id) in self._standing for key in keys for list_id in lists)

    def suppress(self, incoming: Incoming) -> bool:
        """As the row asks; False when it does not, or it is so already."""
        any_new = False
        for asked in incoming.suppressed:
            if (asked.key, asked.list_id) not in self._standing:
                self._standing.add((asked.key, asked.list_id))
                self._new.append(asked)
                any_new = True
        return any_new

    def store(self) -> None:
        if self._new:
            suppressions.suppress_all(self._session, self._new)


def _suppression_keys(row: Ready) -> tuple[str, str]:
    return row.key, suppressions.domain_suppression(row.domain)
