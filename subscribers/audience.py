"""Who is mailed: candidates of lists, exclusions with their reasons, people as recipients."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    case,
    func,
    literal,
    null,
    select,
)
from sqlalchemy.orm import InstrumentedAttribute, Session

from newsletter.core.given_rows import asked_per_row
from subscribers.models import (
    Subscriber,
    Subscription,
    SubscriptionStatus,
    Suppression,
)

_NOWHERE = 1_000_000
"""A position behind that of every list a broadcast could have."""


@dataclass(frozen=True, slots=True)
class AudienceCount:
    """How many a sending would reach, and why the others are left out."""

    mailable: int
    excluded: Mapping[str, int]


def audience(list_ids: Sequence[int]) -> Select[Any]:
    """The candidates of the lists, one row each, in no order.

    A candidate is a person with any subscription on one of the lists. Columns: subscriber_id,
    email, address_key, domain_key, list_id (the first list in the given order on which the person
    is active, else NULL), tracking_consent (of that subscription), exclusion (`unconfirmed`,
    `unsubscribed`, `suppressed`, or NULL for those to be mailed).
    """
    position = case(
        {list_id: number for number, list_id in enumerate(list_ids)}, value=Subscription.list_id
    )
    active = Subscription.status == SubscriptionStatus.ACTIVE
    pending = Subscription.status == SubscriptionStatus.PENDING
    standing = (
        select(
            Subscription.subscriber_id,
            func.min(case((active, position), else_=_NOWHERE)).label("first_active"),
            func.max(case((pending, 1), else_=0)).label("any_pending"),
        )
        .where(Subscription.list_id.in_(list_ids))
        .group_by(Subscription.subscriber_id)
        .subquery("standing")
    )
    is_active = standing.c.first_active < _NOWHERE
    exclusion = case(
        (and_(is_active, Suppression.id.is_not(None)), literal("suppressed")),
        (is_active, null()),
        (standing.c.any_pending == 1, literal("unconfirmed")),
        else_=literal("unsubscribed"),
    )
    list_of_position = case(dict(enumerate(list_ids)), value=standing.c.first_active)
    return (
        select(
            Subscriber.id.label("subscriber_id"),
            Subscriber.email,
            Subscriber.address_key,
            Subscriber.domain_key,
            list_of_position.label("list_id"),
            Subscription.tracking_consent,
            exclusion.label("exclusion"),
        )
        .select_from(standing)
        .join(Subscriber, Subscriber.id == standing.c.subscriber_id)
        .outerjoin(Suppression, Suppression.address_key == Subscriber.address_key)
        .outerjoin(
            Subscription,
            and_(
                Subscription.subscriber_id == standing.c.subscriber_id,
                Subscription.list_id == list_of_position,
            ),
        )
    )


def count_audience(session: Session, list_ids: Sequence[int]) -> AudienceCount:
    """Count what freezing these lists now would give."""
    people = audience(list_ids).subquery()
    rows = session.execute(select(people.c.exclusion, func.count()).group_by(people.c.exclusion))
    counts: Counter[str | None] = Counter(dict(rows.all()))
    return AudienceCount(counts.pop(None, 0), {str(reason): n for reason, n in counts.items()})


def still_mailable(
    address_key: ColumnElement[str] | InstrumentedAttribute[str],
    subscriber_id: ColumnElement[int] | InstrumentedAttribute[int],
    list_ids: Select[int],
) -> ColumnElement[bool]:
    """A condition on rows of another table: active on one of the lists and not suppressed."""
    active = asked_per_row(
        Subscription.subscriber_id == subscriber_id,
        Subscription.list_id.in_(list_ids),
        Subscription.status == SubscriptionStatus.ACTIVE,
    )
    return and_(active, ~asked_per_row(Suppression.address_key == address_key))
