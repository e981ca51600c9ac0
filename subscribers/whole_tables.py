"""Statements that read a whole table while somebody waits for the answer."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

_ROOM = select(func.set_config("work_mem", "64MB", True), func.set_config("jit", "off", True))


def make_room(session: Session) -> None:
    """Until the commit: a million ids in memory, no compiling for a tenth of a second's work."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(_ROOM)
