"""Segments over lists: what a filter means in SQL, whom it holds, and the saved ones."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from newsletter.core.clock import now
from newsletter.core.doorbell import SEGMENTS, ring_after_commit
from newsletter.core.errors import InputError, NotFoundError, RefusedError
from newsletter.core.sentences import say
from newsletter.core.slug import slugify
from subscribers import segment_indexes
from subscribers.filters.language import parse
from subscribers.filters.sql import Surroundings, asks_about_the_person
from subscribers.filters.sql import condition as sql_condition
from subscribers.filters.tokens import SegmentError
from subscribers.filters.tree import Filter, On, leaves
from subscribers.filters.writing import written
from subscribers.models import (
    MAX_NAME_CHARACTERS,
    Segment,
    Subscriber,
    SubscriberList,
    Subscription,
    SubscriptionStatus,
)
from subscribers.whole_tables import in_parts, make_room


@dataclass(frozen=True, slots=True)
class SegmentCount:
    """People of a list inside a segment, by the status of their subscription."""

    statuses: Mapping[SubscriptionStatus, int]

    @property
    def people(self) -> int:
        return sum(self.statuses.values())


def condition(session: Session, tree: Filter, newsletter_id: int | None) -> ColumnElement[bool]:
    """On Subscriber and Subscription; never NULL. `30d` counts back from now.

    `newsletter_id` is that of the lists it is about: opens and clicks are those of its mails, and
    the lists that it names are its lists. Of others it neither finds nor counts anybody.

    Raises:
        NotFoundError: the segment names a list that the newsletter does not have.
    """
    about = Surroundings(
        dialect=session.get_bind().dialect.name,
        newsletter_id=newsletter_id,
        list_ids=_named_lists(session, tree, newsletter_id),
        now=now(),
    )
    return sql_condition(tree, about)


def count(session: Session, on: SubscriberList, tree: Filter) -> SegmentCount:
    """Count the people of one list who are inside, whatever their status."""
    inside = condition(session, tree, on.newsletter_id)
    make_room(session)
    found = select(Subscription.status, func.count()).where(Subscription.list_id == on.id, inside)
    found = found.group_by(Subscription.status)
    if asks_about_the_person(tree):
        found = found.join(Subscriber, Subscriber.id == Subscription.subscriber_id)
    counted: Any = found
    if segment_indexes.has_one(session, tree):
        counted = in_parts(session, found, Subscriber.id, Subscription.subscriber_id)
    statuses: Counter[SubscriptionStatus] = Counter()
    for status, people in session.execute(counted):
        statuses[status] += people
    return SegmentCount(statuses)


def sample(
    session: Session, on: SubscriberList, tree: Filter, most: int
) -> Sequence[tuple[Subscriber, Subscription]]:
    """A few of the people inside, those who came last before others."""
    rows = session.execute(
        select(Subscriber, Subscription)
        .join(Subscription, Subscription.subscriber_id == Subscriber.id)
        .where(Subscription.list_id == on.id, condition(session, tree, on.newsletter_id))
        .order_by(Subscription.subscriber_id.desc())
        .limit(most)
    )
    return [(person, subscription) for person, subscription in rows]


def save(session: Session, on: SubscriberList, name: str, text: str) -> Segment:
    """Keep a filter under a name, in canonical form.

    Raises:
        SegmentError: the text cannot be read.
        NotFoundError: it names a list that is not there.
        InputError: no short name can be made of the name, or it is too long.
        RefusedError: the list has a segment of that name.
    """
    segment = Segment(list_id=on.id)
    _describe(session, segment, on, name, text)
    _store(session, segment, on)
    return segment


def change(session: Session, segment: Segment, name: str, text: str) -> None:
    """Another name, another filter; a broadcast keeps what it was planned with.

    Raises:
        SegmentError, NotFoundError, InputError, RefusedError: as `save`; nothing is changed then.
    """
    on = session.get_one(SubscriberList, segment.list_id)
    _describe(session, segment, on, name, text)
    _store(session, segment, on)


def _store(session: Session, segment: Segment, on: SubscriberList) -> None:
    try:
        with session.begin_nested():
            session.add(segment)
    except IntegrityError:  # its name was given by somebody else, just now
        raise _taken(on, segment.slug) from None
    ring_after_commit(session, SEGMENTS)


def _taken(on: SubscriberList, slug: str) -> RefusedError:
    return RefusedError(
        say("list %(list)r has a segment %(segment)r already", list=on.slug, segment=slug)
    )


def _describe(session: Session, segment: Segment, on: SubscriberList, name: str, text: str) -> None:
    slug = slugify(name)
    if len(name.strip()) > MAX_NAME_CHARACTERS:
        raise InputError(
            "name", say("expected at most %(most)s characters", most=MAX_NAME_CHARACTERS)
        )
    tree = parse(text)
    _named_lists(session, tree, on.newsletter_id)
    if any(found is not segment for found in _saved(session, [on], slug)):
        raise _taken(on, slug)
    segment.slug, segment.name, segment.text = slug, name.strip(), written(tree)


def find(session: Session, on: SubscriberList, name: str) -> Segment:
    """A saved segment of the list by slug or name.

    Raises:
        NotFoundError: there is none; the error names those there are.
    """
    found = _saved(session, [on], slugify(name))
    if not found:
        raise _not_found(session, [on], name)
    return found[0]


def read(session: Session, lists: Sequence[SubscriberList], text: str) -> Filter:
    """What somebody means by a segment: a filter, or else the name of one that a list has.

    Raises:
        SegmentError: it is no filter.
        NotFoundError: it looks like a name, and no list has such a segment; or it is a filter that
            names a list that is not there.
        RefusedError: two of the lists mean different things by that name.
    """
    try:
        tree = parse(text)
    except SegmentError as mistake:
        tree = _by_name(session, lists, text, mistake)
    for newsletter_id in {each.newsletter_id for each in lists}:
        _named_lists(session, tree, newsletter_id)
    return tree


def list_segments(session: Session, on: SubscriberList | None = None) -> list[Segment]:
    """The saved segments of one list, or of all."""
    found = select(Segment).order_by(Segment.list_id, Segment.slug)
    return list(session.scalars(found.where(Segment.list_id == on.id) if on else found))


def of_newsletter(session: Session, newsletter_id: int) -> list[tuple[Segment, SubscriberList]]:
    """The saved segments of a newsletter's lists, with the list each is about."""
    found = session.execute(
        select(Segment, SubscriberList)
        .join(SubscriberList, SubscriberList.id == Segment.list_id)
        .where(SubscriberList.newsletter_id == newsletter_id)
        .order_by(SubscriberList.name, Segment.name, Segment.id)
    )
    return [(segment, on) for segment, on in found]


def forget(session: Session, segment: Segment) -> None:
    """Delete a saved segment; broadcasts have their own copy of what it said."""
    session.execute(delete(Segment).where(Segment.id == segment.id))
    ring_after_commit(session, SEGMENTS)


def _named_lists(session: Session, tree: Filter, newsletter_id: int | None) -> dict[str, int]:
    """Of this newsletter alone: who asks may know nothing of another's lists, not even names."""
    slugs = {term.slug for term in leaves(tree) if isinstance(term, On)}
    if not slugs:
        return {}
    ours = SubscriberList.newsletter_id.is_not_distinct_from(newsletter_id)
    lists = select(SubscriberList.slug, SubscriberList.id).where(ours)
    found = dict(session.execute(lists.where(SubscriberList.slug.in_(slugs))).all())
    missing = sorted(slugs - found.keys())
    if missing:
        known = [slug for slug, _ in session.execute(lists.order_by(SubscriberList.slug))]
        raise NotFoundError("list", missing[0], say("there are: %(known)s", known=", ".join(known)))
    return found


def _saved(session: Session, lists: Sequence[SubscriberList], slug: str) -> Sequence[Segment]:
    ids = [each.id for each in lists]
    found = select(Segment).where(Segment.list_id.in_(ids), Segment.slug == slug)
    return session.scalars(found.order_by(Segment.list_id)).all()


def _by_name(
    session: Session, lists: Sequence[SubscriberList], text: str, mistake: SegmentError
) -> Filter:
    """What a text means that is no filter, for the reason that is raised unless it is a name.

    A name counts as it is written, or its slug: `!paying` is no other spelling of `paying`.
    """
    named = text.strip().casefold()
    there = [found for each in lists for found in list_segments(session, each)]
    saved = {found.text for found in there if named in (found.slug, found.name.casefold())}
    if len(saved) > 1:
        raise RefusedError(
            say("the lists have different segments named %(text)r: write out one", text=text)
        )
    if saved:
        return parse(saved.pop())
    began_well = bool(text[: mistake.offset].strip())
    if not began_well and text.translate(str.maketrans("-_ ", "aaa")).isalnum():
        raise _not_found(session, lists, text) from None
    raise mistake


def _not_found(session: Session, lists: Sequence[SubscriberList], name: str) -> NotFoundError:
    slugs = sorted({found.slug for each in lists for found in list_segments(session, each)})
    return NotFoundError(
        "segment", name, say("there are: %(slugs)s", slugs=", ".join(slugs) or say("none yet"))
    )
