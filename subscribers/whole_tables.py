"""Statements that read a whole table while somebody waits for the answer."""

from typing import Any

from sqlalchemy import CompoundSelect, Select, and_, func, select, union_all
from sqlalchemy.orm import Session

from subscribers.models import Subscriber, Subscription

_PARTS = 4
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


def in_parts(
    session: Session, counted: Select[*tuple[Any, ...]]
) -> CompoundSelect[*tuple[Any, ...]]:
    """A count of people joined with subscriptions, cut by their ids; the rows are to be summed.

    Where both tables are walked in the order of ids, each process of PostgreSQL walks along its
    part; of the whole, each would walk along all of one table.
    """
    last = session.scalar(select(func.max(Subscriber.id))) or 0
    step = last // _PARTS + 1
    ids = (Subscriber.id, Subscription.subscriber_id)
    within = (
        and_(*(condition for i in ids for condition in (i > before, i <= before + step)))
        for before in range(0, last + 1, step)
    )
    return union_all(*map(counted.where, within))
