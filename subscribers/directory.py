"""Everybody, page by page: of a list, with a status, inside a segment, by a part of the address.

Pages go by the last person of the one before: a late page costs what the first does, and nobody
is shown twice or left out because others came or left.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, or_, select, true
from sqlalchemy.orm import Session, aliased

from newsletter.core.errors import InputError
from newsletter.core.sentences import say
from newsletter.core.tables import position
from newsletter.mail.address import Address
from subscribers.filters import spellings
from subscribers.filters.folding import fold, folded
from subscribers.models import Subscriber, Subscription, SubscriptionStatus
from subscribers.whole_tables import in_parts, make_room

MAX_PAGE = 1_000
MAX_SEARCH = 100
_NEARBY = 10_000
_ESCAPE = "/"
_EVERYBODY = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Search:
    """Which people.

    Attributes:
        list_id: only those on this list.
        status: only with a subscription of this status, on the list or any.
        inside: a segment's condition; only with a list.
        part: a part of the address or of the name; letter case does not count.
        among: only those on one of these lists, such as all of a newsletter; a status is one there.
        on_none: only those on no list of anybody's.
        is_whole: `part` is somebody's whole address, and they alone are meant: see `narrowed`.
        is_at_hand: PostgreSQL has an index of whom the segment is about.
    """

    list_id: int | None = None
    status: SubscriptionStatus | None = None
    inside: ColumnElement[bool] | None = None
    part: str = ""
    among: tuple[int, ...] | None = None
    on_none: bool = False
    is_whole: bool = False
    is_at_hand: bool = False

    def __post_init__(self) -> None:
        if self.inside is not None and self.list_id is None:
            raise InputError("segment", say("expected a list: a segment is a filter over one"))
        if len(self.part) > MAX_SEARCH or "\0" in self.part:
            raise InputError(
                "search", say("expected at most %(most)s printable characters", most=MAX_SEARCH)
            )

    @property
    def picks(self) -> bool:
        """Some of many, nobody knows how few: no index has just these in order."""
        if self.on_none:
            return True
        is_somewhere = self.list_id is None and not (self.status is None and self.among is None)
        return bool(self.part) or self.inside is not None or is_somewhere


@dataclass(frozen=True, slots=True)
class Page:
    """Some people in the order they came, and behind whom the next page begins."""

    people: Sequence[Subscriber]
    next_after: int | None


def page(session: Session, search: Search, *, after: int = 0, limit: int = 50) -> Page:
    """The people behind the one with the id `after`."""
    limit = min(max(limit, 1), MAX_PAGE)
    if not search.picks:
        return _cut(_people(session, search, after, limit), limit)
    # What is frequent is found nearby. What is rare is looked for everywhere, and in order the
    # database would do that one by one, in one process.
    nearby = _people(session, search, after, limit, upto=after + _NEARBY)
    if len(nearby) > limit:
        return _cut(nearby, limit)
    return _anywhere(session, search, after, limit)


def _cut(people: Sequence[Subscriber], limit: int) -> Page:
    """One more than the page holds was asked for: whether there are more."""
    shown = people[:limit]
    return Page(shown, shown[-1].id if len(people) > limit else None)


def _people(
    session: Session, search: Search, after: int, limit: int, *, upto: int = _EVERYBODY
) -> Sequence[Subscriber]:
    found = _behind(search, select(Subscriber), after).where(Subscriber.id <= upto)
    return session.scalars(found.order_by(_id(search)).limit(limit + 1)).all()


def _anywhere(session: Session, search: Search, after: int, limit: int) -> Page:
    """Their ids first: an index may have all that is asked, and rows are wide.

    The ids say where the page ends: somebody may be erased before their row is read.
    """
    make_room(session, for_ids=True)
    found = _behind(search, select(_id(search)).select_from(Subscriber), after)
    no_index_order = _id(search) + 0
    ids = session.scalars(found.order_by(no_index_order).limit(limit + 1)).all()
    shown = ids[:limit]
    rows = select(Subscriber).where(Subscriber.id.in_(shown)).order_by(Subscriber.id)
    return Page(session.scalars(rows).all(), shown[-1] if len(ids) > limit else None)


def _behind(search: Search, people: Select[Any], after: int) -> Select[Any]:
    """Of both tables, though they are joined by it: else it may walk one from the beginning."""
    return _found(search, people).where(_id(search) > after, Subscriber.id > after)


def count(session: Session, search: Search) -> int:
    """How many people there are."""
    make_room(session)
    counted: Any = _found(search, select(func.count()).select_from(Subscriber))
    if search.inside is None and not search.part and _is_on_lists(search):
        counted = _counted_on_lists(session, search)
    elif search.is_at_hand:
        counted = in_parts(session, counted, Subscriber.id, Subscription.subscriber_id)
    return sum(session.scalars(counted))


def _counted_on_lists(session: Session, search: Search) -> Any:
    """Of a list everybody is one row; of several, who is on two counts once."""
    who = Subscription.subscriber_id
    if search.list_id is not None:
        return select(func.count()).select_from(Subscription).where(*_subscribed(search))
    return in_parts(session, select(func.count(who.distinct())).where(*_subscribed(search)), who)


def narrowed(session: Session, search: Search) -> Search:
    """Whoever types a whole address means that person, if there is one: found by the index.

    If nobody has it, it may still be a part: `ada@example.co` of `ada@example.com`.
    """
    try:
        key = Address.parse(search.part).key
    except InputError:
        return search
    whole = replace(search, part=key, is_whole=True)
    there = session.scalar(matching(whole, select(Subscriber.id)).limit(1))
    return search if there is None else whole


def matching(search: Search, people: Select[Any]) -> Select[Any]:
    """Of a select from Subscriber, those who are meant; joined to Subscription by the list."""
    return _found(search, people)


def conditions(search: Search) -> ColumnElement[bool]:
    """What else is asked than the lists, of rows with Subscriber and its Subscription."""
    asked: list[ColumnElement[bool]] = [true()] if search.inside is None else [search.inside]
    if search.part:
        asked.append(_named(search))
    if search.status is not None:
        asked.append(Subscription.status == search.status)
    return and_(*asked)


def is_on_none() -> ColumnElement[bool]:
    """Of a Subscriber: on no list, and never was."""
    theirs = aliased(Subscription)
    return ~select(theirs.id).where(theirs.subscriber_id == Subscriber.id).exists()


def _id(search: Search) -> Any:
    """The column that is in order: of a list's people, the one in the list's own index."""
    return Subscriber.id if search.list_id is None else Subscription.subscriber_id


def _is_on_lists(search: Search) -> bool:
    return not search.on_none and (search.list_id is not None or search.among is not None)


def _found(search: Search, people: Select[Any]) -> Select[Any]:
    if search.on_none:
        people = people.where(is_on_none())
    elif search.list_id is not None:
        people = people.join(Subscription, Subscription.subscriber_id == Subscriber.id)
        people = people.where(*_subscribed(search))
    elif search.status is not None or search.among is not None:
        theirs = Subscription.subscriber_id == Subscriber.id
        people = people.where(select(Subscription.id).where(theirs, *_subscribed(search)).exists())
    inside = true() if search.inside is None else search.inside
    return people.where(inside, _named(search) if search.part else true())


def _subscribed(search: Search) -> Iterator[ColumnElement[bool]]:
    if search.list_id is not None:
        yield Subscription.list_id == search.list_id
    if search.among is not None:
        yield Subscription.list_id.in_(search.among)
    if search.status is not None:
        yield Subscription.status == search.status


def _named(search: Search) -> ColumnElement[bool]:
    if search.is_whole:
        return Subscriber.address_key == search.part
    parts: list[tuple[Any, str]] = [
        (Subscriber.address_key, search.part.lower()),
        (folded(Subscriber.name), fold(search.part)),
    ]
    if spellings.is_kept_otherwise(search.part):
        parts.append((spellings.typed_address(), spellings.as_typed(search.part)))
    return or_(*(_holds(column, part) for column, part in parts))


def _holds(column: Any, part: str) -> ColumnElement[bool]:
    """By its position, which is found in less time; and by a pattern of what was found there.

    A pattern that is one value has letters that the database knows when it plans: it guesses well
    how many there are, and uses an index of trigrams if somebody made one (decision 0027).
    """
    pattern = part
    for special in (_ESCAPE, "%", "_"):
        pattern = pattern.replace(special, _ESCAPE + special)
    return and_(position(column, part) > 0, column.like(f"%{pattern}%", escape=_ESCAPE))
