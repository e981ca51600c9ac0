"""Who is mailed: candidates of lists, exclusions with their reasons, people as recipients."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    case,
    func,
    null,
    or_,
    select,
    true,
    union,
)
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from newsletter.core.given_rows import asked_per_row
from newsletter.core.tables import database_now
from subscribers.models import (
    EVERYWHERE,
    Subscriber,
    SubscriberList,
    Subscription,
    SubscriptionStatus,
    Suppression,
    TrackingConsent,
)
from subscribers.suppressions import COVERS_PERSON, suppresses
from subscribers.whole_tables import make_room


class Exclusion(StrEnum):
    """Why a candidate is not mailed; of several reasons the first of these counts."""

    SUPPRESSED = "suppressed"
    OUTSIDE = "outside the segment"
    PAUSED = "paused"
    UNCONFIRMED = "unconfirmed"
    UNSUBSCRIBED = "unsubscribed"


_BEHIND_ALL_LISTS = 1_000_000
"""Ranks from here on are reasons; those before are positions of lists."""
_REASONS = (
    Exclusion.SUPPRESSED,
    Exclusion.PAUSED,
    Exclusion.UNCONFIRMED,
    Exclusion.UNSUBSCRIBED,
)
_RANK = {reason: _BEHIND_ALL_LISTS + number for number, reason in enumerate(_REASONS)}


@dataclass(frozen=True, slots=True)
class AudienceCount:
    """How many a sending would reach, and why the others are left out."""

    mailable: int
    excluded: Mapping[str, int]


def audience(list_ids: Sequence[int], segment: ColumnElement[bool] | None = None) -> Select[Any]:
    """The candidates of the lists, one row each, in no order.

    A candidate is a person with any subscription on one of the lists. Columns: subscriber_id,
    email, address_key, domain_key, list_id (the first list in the given order by which the person
    may be mailed, else NULL), tracking_consent (of that subscription), exclusion (an `Exclusion`,
    or NULL for those to be mailed). `segment` is a condition on Subscriber and that Subscription.
    """
    standing = _standing(list_ids)
    suppressed = _suppressed_people().cte("suppressed")
    exclusion = _exclusion(standing, suppressed, segment)
    list_of_rank = case(dict(enumerate(list_ids)), value=standing.c.rank)
    return (
        select(
            Subscriber.id.label("subscriber_id"),
            Subscriber.email,
            Subscriber.address_key,
            Subscriber.domain_key,
            list_of_rank.label("list_id"),
            Subscription.tracking_consent,
            exclusion.label("exclusion"),
        )
        .select_from(standing)
        .join(Subscriber, Subscriber.id == standing.c.subscriber_id)
        .outerjoin(suppressed, suppressed.c.id == Subscriber.id)
        .outerjoin(
            Subscription,
            and_(
                Subscription.subscriber_id == standing.c.subscriber_id,
                Subscription.list_id == list_of_rank,
            ),
        )
    )


def count_audience(
    session: Session, list_ids: Sequence[int], segment: ColumnElement[bool] | None = None
) -> AudienceCount:
    """Count what freezing these lists now would give."""
    people = (audience(list_ids, segment) if segment is not None else _unnamed(list_ids)).subquery()
    make_room(session)
    rows = session.execute(select(people.c.exclusion, func.count()).group_by(people.c.exclusion))
    counts: Counter[str | None] = Counter(dict(rows.all()))
    return AudienceCount(counts.pop(None, 0), {str(reason): n for reason, n in counts.items()})


def _unnamed(list_ids: Sequence[int]) -> Select[Any]:
    """Only the exclusions: without a segment, who they are need not be known."""
    standing = _standing(list_ids)
    suppressed = _suppressed_people().cte("suppressed")
    return (
        select(_exclusion(standing, suppressed, None).label("exclusion"))
        .select_from(standing)
        .outerjoin(suppressed, suppressed.c.id == standing.c.subscriber_id)
    )


def _exclusion(
    standing: Any, suppressed: Any, segment: ColumnElement[bool] | None
) -> ColumnElement[Any]:
    """Why they are not mailed; NULL for those who are."""
    open_to_mail = standing.c.rank < _BEHIND_ALL_LISTS
    inside = true() if segment is None else func.coalesce(segment, False)
    return case(
        (and_(open_to_mail, suppressed.c.id.is_not(None)), Exclusion.SUPPRESSED),
        (and_(open_to_mail, ~inside), Exclusion.OUTSIDE),
        (open_to_mail, null()),
        *((standing.c.rank == rank, reason) for reason, rank in _RANK.items()),
    )


def still_mailable(
    address_key: ColumnElement[str] | InstrumentedAttribute[str],
    domain_key: ColumnElement[str] | InstrumentedAttribute[str],
    subscriber_id: ColumnElement[int] | InstrumentedAttribute[int],
    list_ids: Select[int],
) -> ColumnElement[bool]:
    """Of rows of another table: a list would mail them, and no suppression covers that."""
    return asked_per_row(
        Subscription,
        *_active(subscriber_id, list_ids),
        ~is_paused(),
        ~asked_per_row(Suppression, suppresses(address_key, domain_key, Subscription.list_id)),
    )


def why_not_mailable(
    subscriber_id: ColumnElement[int] | InstrumentedAttribute[int], list_ids: Select[int]
) -> ColumnElement[str]:
    """Of rows that are not `still_mailable`: the reason."""
    active = _active(subscriber_id, list_ids)
    return case(
        (asked_per_row(Subscription, *active, ~is_paused()), Exclusion.SUPPRESSED),
        (asked_per_row(Subscription, *active), Exclusion.PAUSED),
        else_=Exclusion.UNSUBSCRIBED,
    )


def _active(
    subscriber_id: ColumnElement[int] | InstrumentedAttribute[int], list_ids: Select[int]
) -> tuple[ColumnElement[bool], ...]:
    return (
        Subscription.subscriber_id == subscriber_id,
        Subscription.list_id.in_(list_ids),
        Subscription.status == SubscriptionStatus.ACTIVE,
    )


def is_paused() -> ColumnElement[bool]:
    """Of a Subscription: its owner wants no issue now."""
    return func.coalesce(Subscription.paused_until > database_now(), False)


def refuses_measuring(
    subscriber_id: ColumnElement[int] | InstrumentedAttribute[int],
    list_id: ColumnElement[int] | InstrumentedAttribute[int],
) -> ColumnElement[bool]:
    """Of rows of another table: on their list, or another of its newsletter, the person denied."""
    mailed, other = aliased(SubscriberList), aliased(SubscriberList)
    of_newsletter = (
        select(other.id)
        .join(mailed, mailed.newsletter_id == other.newsletter_id)
        .where(mailed.id == list_id)
        .correlate_except(mailed, other)
    )
    is_on_another = and_(
        Subscription.status == SubscriptionStatus.ACTIVE, Subscription.list_id.in_(of_newsletter)
    )
    return asked_per_row(
        Subscription,
        Subscription.subscriber_id == subscriber_id,
        Subscription.tracking_consent == TrackingConsent.DENIED,
        or_(Subscription.list_id == list_id, is_on_another),
    )


def _standing(list_ids: Sequence[int]) -> Any:
    """(subscriber_id, rank): by which list they are mailed, else the best reason why not."""
    position = case(
        {list_id: number for number, list_id in enumerate(list_ids)}, value=Subscription.list_id
    )
    active = Subscription.status == SubscriptionStatus.ACTIVE
    suppressed_here = Subscription.id.in_(_suppressed_here(list_ids))
    rank = case(
        (
            and_(active, suppressed_here),
            _RANK[Exclusion.SUPPRESSED],
        ),
        (and_(active, is_paused()), _RANK[Exclusion.PAUSED]),
        (active, position),
        (Subscription.status == SubscriptionStatus.PENDING, _RANK[Exclusion.UNCONFIRMED]),
        else_=_RANK[Exclusion.UNSUBSCRIBED],
    )
    is_each_once = len(list_ids) == 1
    best = rank if is_each_once else func.min(rank)
    found = select(Subscription.subscriber_id, best.label("rank"))
    found = found.where(Subscription.list_id.in_(list_ids))
    if not is_each_once:
        found = found.group_by(Subscription.subscriber_id)
    return found.subquery("standing")


def _suppressed_people() -> Any:
    """Ids of the people whom a suppression covers on every list; few, hence found from these."""
    return union(
        *(
            select(Subscriber.id.label("id"))
            .join_from(Suppression, Subscriber, same)
            .where(Suppression.list_id == EVERYWHERE)
            for same in COVERS_PERSON
        )
    )


def _suppressed_here(list_ids: Sequence[int]) -> Any:
    """Ids of subscriptions that a suppression of their own list covers."""
    return union(
        *(
            select(Subscription.id)
            .join_from(Suppression, Subscriber, same)
            .join(
                Subscription,
                and_(
                    Subscription.subscriber_id == Subscriber.id,
                    Subscription.list_id == Suppression.list_id,
                ),
            )
            .where(Suppression.list_id.in_(list_ids))
            for same in COVERS_PERSON
        )
    )
