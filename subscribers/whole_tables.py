"""Statements that read a whole table while somebody waits for the answer."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

_ROOM = select(
    func.set_config("work_mem", "64MB", True),
    func.set_config("jit", "off", True),
    func.set_config("random_page_cost", "1.1", True),
    func.set_config("plan_cache_mode", "force_custom_plan", True),
)


def make_room(session: Session) -> None:
    """Until the commit: a million ids in memory, no compiling for a tenth of a second's work.

    And no fear of reading pages here and there: today's disks have no arm to move. A plan is made
    for the values that are asked for: some have an index of their own, see `segment_indexes`.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.execute(_ROOM)
