"""The doorbell: after a commit, tell whoever works that there is work.

The ledger decides, the bell only nudges: a lost ring is found by the next sweep, a doubled ring
is one empty claim. Domain code rings; `newsletter.jobs` answers; tests listen with a list.
"""

from sqlalchemy.orm import Session

from newsletter.core.db import after_commit

OUTBOX = 0
"""Rings for system mail in the outbox; every positive number is a broadcast's id."""
IMPORTS = -1
"""Rings for files of people that wait to be checked or imported."""
SEGMENTS = -2
"""Rings for saved segments, whose indexes are to be looked after."""


def ring_after_commit(session: Session, work: int) -> None:
    """Ring for `work` (a broadcast's id, or one of these) once the transaction has committed."""
    ring = session.info.get("ring")
    if ring is not None:
        after_commit(session, lambda: ring(work))
