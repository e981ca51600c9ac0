"""The people of one newsletter as pages show them: the newest first, to leaf to and fro.

As `directory`, a page goes by the person beside it: a late one costs what the first does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg.errors import QueryCanceled
from sqlalchemy import ColumnElement, Select, func, select, union_all
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from subscribers.directory import Search, matching
from subscribers.models import Subscriber, Subscription, SubscriptionStatus
from subscribers.whole_tables import make_room

_NEARBY = 10_000


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page is; neither: at the newest.

    Attributes:
        older_than: it begins behind the person with this id.
        newer_than: it ends in front of the person with this id.
    """

    older_than: int | None = None
    newer_than: int | None = None

    @property
    def goes_back(self) -> bool:
        return self.newer_than is not None


@dataclass(frozen=True, slots=True)
class Sheet:
    """One page of people, the newest first.

    Attributes:
        standings: of each person, by id: status by list id, on the lists asked about.
        older: the place of the next page, None at the end.
        newer: that of the page before, None at the beginning.
    """

    people: Sequence[Subscriber]
    standings: Mapping[int, Mapping[int, SubscriptionStatus]]
    older: Place | None
    newer: Place | None


def sheet(session: Session, search: Search, place: Place, *, limit: int = 50) -> Sheet:
    """The people of one page.

    `search.among` says whose people; with a list it is one of those.
    """
    ids = _ids(session, search, place, limit)
    has_more = len(ids) > limit
    shown = sorted(ids[:limit], reverse=True)
    people = session.scalars(
        select(Subscriber).where(Subscriber.id.in_(shown)).order_by(Subscriber.id.desc())
    ).all()
    older, newer = _beside(place, shown, has_more=has_more)
    return Sheet(people, _standings(session, search, shown), older, newer)


def sheet_in_time(
    session: Session, search: Search, place: Place, *, limit: int, within_ms: int
) -> Sheet | None:
    """As `sheet`; None when a statement for it would take longer than that.

    Some searches have to read everybody. SQLite, which serves few and small lists, is not stopped.
    """
    if session.get_bind().dialect.name != "postgresql":
        return sheet(session, search, place, limit=limit)
    try:
        with session.begin_nested():
            session.execute(select(func.set_config("statement_timeout", f"{within_ms}ms", True)))
            found = sheet(session, search, place, limit=limit)
            session.execute(select(func.set_config("statement_timeout", "0", True)))
    except OperationalError as error:
        if not isinstance(error.orig, QueryCanceled):
            raise
        return None
    return found


def _beside(
    place: Place, shown: Sequence[int], *, has_more: bool
) -> tuple[Place | None, Place | None]:
    if not shown:
        return None, None
    older, newer = Place(older_than=shown[-1]), Place(newer_than=shown[0])
    if place.goes_back:
        return older, newer if has_more else None
    return older if has_more else None, newer if place.older_than is not None else None


def _ids(session: Session, search: Search, place: Place, limit: int) -> list[int]:
    """One more than the page holds, the nearest first."""
    if search.part or search.inside is not None or search.on_none:
        nearby = _read(session, _picked(search, place, limit, _nearby(session, place)))
        # What is frequent is found nearby, what is rare is looked for everywhere: see `directory`.
        if len(nearby) > limit:
            return nearby
        make_room(session, for_ids=True)
        return _read(session, _picked(search, place, limit, None))
    return _read(session, _of_lists(search, place, limit))


def _read(session: Session, ids: Select[int]) -> list[int]:
    return list(session.scalars(ids))


def _nearby(session: Session, place: Place) -> int:
    """The farthest id that is near."""
    if place.newer_than is not None:
        return place.newer_than + _NEARBY
    start = place.older_than
    if start is None:
        start = session.scalar(select(func.max(Subscriber.id))) or 0
    return start - _NEARBY


def _picked(search: Search, place: Place, limit: int, farthest: int | None) -> Select[int]:
    """Some of many; in order only nearby, where it costs nothing."""
    column: Any = Subscriber.id if search.list_id is None else Subscription.subscriber_id
    found = matching(search, select(column).select_from(Subscriber)).where(*_behind(column, place))
    if search.list_id is not None:
        found = found.where(*_behind(Subscriber.id, place))
    if farthest is None:
        return _all_then_some(found, column, place, limit)
    found = found.where(Subscriber.id < farthest if place.goes_back else Subscriber.id > farthest)
    return found.order_by(column if place.goes_back else column.desc()).limit(limit + 1)


def _all_then_some(found: Select[int], column: Any, place: Place, limit: int) -> Select[int]:
    """Everybody is found before anybody is put in order, in no order that an index has.

    Else PostgreSQL, which takes any filter for one that half of all pass, sorts a list and looks
    its people up one by one until a page is full; of a rare kind that is everybody.
    """
    everybody = found.with_only_columns(column.label("id")).offset(0).subquery()
    order = everybody.c.id + 0
    return (
        select(everybody.c.id).order_by(order if place.goes_back else order.desc()).limit(limit + 1)
    )


def _of_lists(search: Search, place: Place, limit: int) -> Select[int]:
    """Every list gives as many as a page may need, each by its own index."""
    lists = (search.list_id,) if search.list_id is not None else search.among or ()
    each = [
        select(_of_list(search, list_id, place, limit).subquery().c.subscriber_id)
        for list_id in lists
    ] or [select(Subscriber.id.label("subscriber_id")).where(Subscriber.id < 0)]
    found = union_all(*each).subquery()
    column = found.c.subscriber_id
    order = column if place.goes_back else column.desc()
    return select(column).distinct().order_by(order).limit(limit + 1)


def _of_list(search: Search, list_id: int, place: Place, limit: int) -> Select[int]:
    column: Any = Subscription.subscriber_id
    found = select(column).where(Subscription.list_id == list_id, *_behind(column, place))
    if search.status is not None:
        found = found.where(Subscription.status == search.status)
    return found.order_by(column if place.goes_back else column.desc()).limit(limit + 1)


def _behind(column: Any, place: Place) -> tuple[ColumnElement[bool], ...]:
    if place.newer_than is not None:
        return (column > place.newer_than,)
    return () if place.older_than is None else (column < place.older_than,)


def _standings(
    session: Session, search: Search, ids: Sequence[int]
) -> dict[int, dict[int, SubscriptionStatus]]:
    rows = session.execute(
        select(Subscription.subscriber_id, Subscription.list_id, Subscription.status)
        .where(
            Subscription.subscriber_id.in_(ids),
            Subscription.list_id.in_(search.among or ()),
        )
        .order_by(Subscription.list_id)
    )
    standings: dict[int, dict[int, SubscriptionStatus]] = {}
    for subscriber_id, list_id, status in rows:
        standings.setdefault(subscriber_id, {})[list_id] = status
    return standings
