"""Statements that read a whole table while somebody waits for the answer."""

from typing import Any

from sqlalchemy import CompoundSelect, Select, and_, func, select, union_all
from sqlalchemy.orm import InstrumentedAttribute, Session

from subscribers.models import Subscriber

_PARTS = 4
_ROOM = select(
    func.set_config("work_mem", "64MB", True),
    func.set_config("jit", "off", True),
    func.set_config("random_page_cost", "1.1", True),
    func.set_config("plan_cache_mode", "force_custom_plan", True),
)
_FOR_IDS = select(func.set_config("parallel_tuple_cost", "0.01", True))


def make_room(session: Session, *, for_ids: bool = False) -> None:
    """Until the commit: a million ids in memory, no compiling for a tenth of a second's work.

    And no fear of reading pages here and there: today's disks have no arm to move. A plan is made
    for the values that are asked for: some have an index of their own, see `segment_indexes`. With
    `for_ids` many may come back, and several processes look for them: PostgreSQL takes what they
    hand over for dear, but these are numbers.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.execute(_ROOM)
        if for_ids:
            session.execute(_FOR_IDS)


def in_parts(
    session: Session, counted: Select[*tuple[Any, ...]], *ids: InstrumentedAttribute[int]
) -> CompoundSelect[*tuple[Any, ...]]:
    """A count of people cut by their ids, which each table has in one column; sum up the rows.

    Where tables are walked along in the order of ids, each process of PostgreSQL has its part; of
    the whole, each would walk along all of one table, or there is no more than one process.
    """
    last = session.scalar(select(func.max(Subscriber.id))) or 0
    step = last // _PARTS + 1
    within = (
        and_(*(condition for i in ids for condition in (i > before, i <= before + step)))
        for before in range(0, last + 1, step)
    )
    return union_all(*map(counted.where, within))
