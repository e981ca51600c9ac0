"""A segment's tree as a condition on Subscriber and Subscription, with bound parameters.

As `attribute_sql`: every term is true or false, so that `not` means everybody else.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    and_,
    false,
    func,
    literal,
    not_,
    or_,
    select,
)
from sqlalchemy.orm import aliased

from newsletter.core.errors import InputError
from newsletter.core.tables import position
from newsletter.mail.address import Address
from subscribers.filters import spellings
from subscribers.filters.attribute_sql import Attributes, Path, Scalar, attributes_of
from subscribers.filters.folding import fold, folded
from subscribers.filters.sampling import is_sampled
from subscribers.filters.tree import (
    DAYS,
    All,
    Attribute,
    Compare,
    Exists,
    Field,
    Filter,
    Leaf,
    Moment,
    Not,
    On,
    Operator,
    Sample,
    Some,
    Within,
    leaves,
)
from subscribers.models import (
    Engagement,
    Subscriber,
    Subscription,
    SubscriptionStatus,
    TrackingConsent,
)

_NEGATED = {Operator.IS_NOT: Operator.IS, Operator.NOT_IN: Operator.IN}
_PLAIN: dict[Field, Any] = {
    Field.NAME: Subscriber.name,
    Field.TIME_ZONE: Subscriber.time_zone,
    Field.STATUS: Subscription.status,
    Field.TRACKING: Subscription.tracking_consent,
}
_DAY_OF = {
    Field.SUBSCRIBED_AT: Subscription.subscribed_at,
    Field.CONFIRMED_AT: Subscription.confirmed_at,
    Field.CREATED_AT: Subscriber.created_at,
}
_OF_SUBSCRIPTION = (Field.STATUS, Field.TRACKING, Field.SUBSCRIBED_AT, Field.CONFIRMED_AT)
_SINCE = {
    Moment.SUBSCRIBED: Subscription.subscribed_at,
    Moment.CONFIRMED: Subscription.confirmed_at,
    Moment.CREATED: Subscriber.created_at,
    Moment.OPENED: Engagement.opened_at,
    Moment.CLICKED: Engagement.clicked_at,
}


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a condition has to know besides its tree.

    Attributes:
        newsletter_id: whose mails were opened; None: nobody's.
        list_ids: the lists that the tree names, by slug.
        now: what `30d` counts back from.
    """

    dialect: str
    newsletter_id: int | None
    list_ids: Mapping[str, int]
    now: datetime


def condition(tree: Filter, about: Surroundings) -> ColumnElement[bool]:
    """For statements in which Subscription is the one that a person is looked at by.

    Of Subscriber it asks only what `asks_about_the_person` says: to count the others, the
    subscriptions are enough.
    """
    match tree:
        case All(terms):
            return and_(*(condition(term, about) for term in terms))
        case Some(terms):
            return or_(*(condition(term, about) for term in terms))
        case Not(term):
            return not_(condition(term, about))
        case _:
            return _leaf(tree, about)


def asks_about_the_person(tree: Filter) -> bool:
    """Some term is about a column of Subscriber."""
    return any(_is_about_the_person(term) for term in leaves(tree))


def _is_about_the_person(term: Leaf) -> bool:
    if isinstance(term, Within):
        return term.moment is Moment.CREATED
    if isinstance(term, Compare | Exists):
        return term.field not in _OF_SUBSCRIPTION
    return False


def _leaf(term: Leaf, about: Surroundings) -> ColumnElement[bool]:
    match term:
        case Compare():
            return _compared(term, about)
        case Exists(field):
            return _exists(field, about)
        case On(slug):
            return _on(about.list_ids[slug])
        case Within():
            return _within(term, about)
        case Sample():
            return is_sampled(Subscription.subscriber_id, term)


def _compared(term: Compare, about: Surroundings) -> ColumnElement[bool]:
    if term.operator in _NEGATED:
        return not_(_compared(Compare(term.field, _NEGATED[term.operator], term.values), about))
    if term.operator is Operator.IN:
        each = (Compare(term.field, Operator.IS, (value,)) for value in term.values)
        return or_(*(_compared(one, about) for one in each))
    field, value = term.field, term.values[0]
    if isinstance(field, Attribute):
        assert not isinstance(value, date)
        return _attribute(attributes_of(about.dialect), field.path, term.operator, value)
    if field in DAYS:
        assert isinstance(value, date)
        return _day(_DAY_OF[field], term.operator, value)
    return _text(field, term.operator, str(value))


def _attribute(
    attributes: Attributes, path: Path, operator: Operator, value: Scalar
) -> ColumnElement[bool]:
    match operator:
        case Operator.IS:
            return attributes.equals(path, value)
        case Operator.HAS:
            return attributes.has(path, value)
        case Operator.CONTAINS:
            return attributes.contains(path, str(value))
        case Operator.STARTS_WITH:
            return attributes.starts_with(path, str(value))
        case _:
            return attributes.ordered(path, operator, value)


def _day(column: Any, operator: Operator, day: date) -> ColumnElement[bool]:
    """A day is all of its 24 hours, in UTC."""
    begin = datetime.combine(day, time(), UTC)
    end = begin + timedelta(days=1)
    conditions = {
        Operator.IS: and_(column >= begin, column < end),
        Operator.BELOW: column < begin,
        Operator.AT_MOST: column < end,
        Operator.ABOVE: column >= end,
        Operator.AT_LEAST: column >= begin,
    }
    return and_(column.is_not(None), conditions[operator])


def _text(field: Field, operator: Operator, value: str) -> ColumnElement[bool]:
    column, wanted = _column(field, value)
    holds = _holds(field, operator, column, wanted)
    is_part = operator in (Operator.CONTAINS, Operator.STARTS_WITH)
    of_address = is_part and field in (Field.EMAIL, Field.DOMAIN)
    if not of_address or not spellings.is_kept_otherwise(value):
        return holds
    whole = field is Field.EMAIL
    typed = spellings.typed_address() if whole else spellings.typed_domain()
    return or_(holds, _holds(field, operator, typed, spellings.as_typed(value)))


def _holds(field: Field, operator: Operator, column: Any, wanted: str) -> ColumnElement[bool]:
    if operator is Operator.CONTAINS:
        return position(column, wanted) > 0
    if operator is Operator.STARTS_WITH:
        return _starts_with(column, wanted)
    if field is Field.LOCALE:  # `de` is German wherever it is spoken (BCP 47)
        return or_(column == wanted, _starts_with(column, wanted + "-"))
    same: ColumnElement[bool] = column == wanted
    return same


def _starts_with(column: Any, start: str) -> ColumnElement[bool]:
    holds: ColumnElement[bool] = func.substr(column, 1, len(start)) == start
    return holds


def _column(field: Field, value: str) -> tuple[Any, str]:
    """What is compared, and with what: letter case does not count, as far as A to Z."""
    match field:
        case Field.EMAIL:
            return Subscriber.address_key, _address_key(value)
        case Field.DOMAIN:
            return Subscriber.domain_key, _address_key(f"a@{value}").removeprefix("a@")
        case Field.LOCALE:
            return func.replace(folded(Subscriber.locale), "_", "-"), fold(value.replace("_", "-"))
        case Field.NAME | Field.TIME_ZONE:
            return folded(_PLAIN[field]), fold(value)
        case _:
            return _PLAIN[field], value


def _address_key(text: str) -> str:
    """As addresses are kept; a part of one as it is, in lower case."""
    try:
        return Address.parse(text).key
    except InputError:
        return text.lower()


def _exists(field: Field | Attribute, about: Surroundings) -> ColumnElement[bool]:
    if isinstance(field, Attribute):
        return attributes_of(about.dialect).exists(field.path)
    if field in DAYS:
        there: ColumnElement[bool] = _DAY_OF[field].is_not(None)
        return there
    column, _ = _column(field, "a")
    filled: ColumnElement[bool] = column != ""
    return filled


def _on(list_id: int) -> ColumnElement[bool]:
    """By a subscription of its own, whichever one the statement is about."""
    other = aliased(Subscription)
    return (
        select(literal(1))
        .where(
            other.subscriber_id == Subscription.subscriber_id,
            other.list_id == list_id,
            other.status == SubscriptionStatus.ACTIVE,
        )
        .correlate(Subscription)
        .exists()
    )


def _within(term: Within, about: Surroundings) -> ColumnElement[bool]:
    since = about.now - timedelta(hours=term.hours)
    column = _SINCE[term.moment]
    if term.moment not in (Moment.OPENED, Moment.CLICKED):
        return and_(column.is_not(None), column >= since)
    if about.newsletter_id is None:
        return false()
    seen = select(literal(1)).where(
        Engagement.newsletter_id == about.newsletter_id,
        Engagement.subscriber_id == Subscription.subscriber_id,
        column >= since,
    )
    agreed = Subscription.tracking_consent == TrackingConsent.GRANTED
    return and_(agreed, seen.correlate(Subscription).exists())
