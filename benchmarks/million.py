"""A million people on three lists with attributes, by bulk SQL, as a few years leave them."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    ColumnElement,
    String,
    case,
    cast,
    func,
    insert,
    literal,
    select,
    text,
    type_coerce,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Session

from newsletter.core.clock import now
from newsletter.core.db import Sessions
from newsletter.core.tables import UtcDateTime
from subscribers.models import Engagement, Subscriber, SubscriberList, Subscription
from tests import factories

DOMAINS = 200
LISTS = {"weekly": (0, 1, 2, 3, 4), "daily": (5, 6, 7, 8), "monthly": (9, 0, 5)}
"""By the last digit of somebody's number: half of all, four tenths, three; some are on two."""
_FIRST = ("Ada", "Bob", "Cyd", "Dee", "Eve", "Fay", "Gus", "Hal", "Ida", "Jon", "Kim", "Leo")
_LAST = ("Archer", "Baker", "Carter", "Draper", "Fisher", "Glover", "Mason", "Porter", "Sawyer")


@dataclass(frozen=True, slots=True)
class Lists:
    """The three of them, the largest first."""

    weekly: SubscriberList
    daily: SubscriberList
    monthly: SubscriberList


def million(sessions: Sessions, people: int) -> Lists:
    """So many people, in the state some minutes after an import: PostgreSQL has cleaned up."""
    with sessions.writing() as session:
        issue = factories.stored_issue(session)
        made = [factories.a_list(session, slug, issue) for slug in LISTS]
        session.flush()
        if sessions.dialect == "postgresql":
            # The rows belong together: no need to look each of them up.
            session.execute(text("SET LOCAL session_replication_role = replica"))
        _people(session, people)
        for one, digits in zip(made, LISTS.values(), strict=True):
            _subscriptions(session, one, digits)
        _engagement(session, issue.newsletter_id)
    with sessions.engine.connect() as connection:
        alone = connection.execution_options(isolation_level="AUTOCOMMIT")
        alone.execute(text("VACUUM ANALYZE" if sessions.dialect == "postgresql" else "ANALYZE"))
    return Lists(*made)


def _people(session: Session, people: int) -> None:
    number = select(literal(1, BigInteger()).label("n")).where(literal(people) > 0)
    numbers = number.cte("numbers", recursive=True)
    numbers = numbers.union_all(select(numbers.c.n + 1).where(numbers.c.n < people))
    n = numbers.c.n
    domain = literal("mail") + cast(n % DOMAINS, String) + ".example.org"
    first, last = one_of(_FIRST, n * 31), one_of(_LAST, n * 17 // 7)
    # Scattered, as real addresses are: an index filled in order would flatter us.
    scattered = cast(n * 7919 % 1_000_003, String)
    address = func.lower(first + "." + last) + scattered + "-" + cast(n, String) + "@" + domain
    rows = select(
        address,
        address,
        domain,
        first + " " + last,
        one_of(("en-GB", "de-AT", "fr", "en-US", ""), n),
        one_of(("Europe/London", "Europe/Vienna", ""), n),
        _attributes(session, n),
        days_ago(n * 13 % 1_400),
    ).order_by(n)
    columns = ["email", "address_key", "domain_key", "name", "locale", "time_zone", "attributes"]
    session.execute(insert(Subscriber).from_select([*columns, "created_at"], rows))


def _attributes(session: Session, n: Any) -> ColumnElement[Any]:
    """Some 120 characters: a plan, a score, a city, some tags."""
    tags = case((n % 50 == 0, '["vip", "event-2026"]'), (n % 3 == 0, '["event-2026"]'), else_="[]")
    made = (
        literal('{"plan": "')
        + one_of(("free", "free", "free", "pro", "team"), n * 7)
        + '", "score": '
        + cast(n * 37 % 1_000, String)
        + ', "city": "City '
        + cast(n * 11 % 500, String)
        + '", "company": {"size": '
        + cast(n % 300, String)
        + '}, "tags": '
        + tags
        + "}"
    )
    if session.get_bind().dialect.name == "postgresql":
        return cast(made, JSONB)
    return type_coerce(made, JSON)


def _subscriptions(session: Session, to: SubscriberList, digits: tuple[int, ...]) -> None:
    n = Subscriber.id
    status = case(
        (n // 10 % 50 == 7, "unsubscribed"), (n // 10 % 100 == 9, "pending"), else_="active"
    )
    consent = one_of(("unknown", "granted", "granted", "denied"), n * 3 + 1)
    since = days_ago(n * 13 % 1_400)
    rows = select(n, literal(to.id), status, consent, since, since).where((n % 10).in_(digits))
    columns = ["subscriber_id", "list_id", "status", "tracking_consent", "subscribed_at"]
    found = rows.order_by(n)
    session.execute(insert(Subscription).from_select([*columns, "confirmed_at"], found))


def _engagement(session: Session, newsletter_id: int) -> None:
    """Of those who agreed, two in three opened something within a year."""
    n = Subscriber.id
    agreed = select(Subscription.subscriber_id).where(Subscription.tracking_consent == "granted")
    opened, clicked = days_ago(n * 7 % 365), days_ago(n * 11 % 365)
    rows = select(literal(newsletter_id), n, opened, case((n % 4 == 0, clicked), else_=None)).where(
        n.in_(agreed), n % 3 != 0
    )
    columns = ["newsletter_id", "subscriber_id", "opened_at", "clicked_at"]
    session.execute(insert(Engagement).from_select(columns, rows.order_by(n)))


def one_of(values: tuple[str, ...], n: Any) -> Any:
    """The one whose turn it is by that number, in SQL."""
    numbered = dict(enumerate(values))
    return case(numbered, value=cast(n, BigInteger) % len(values), else_=values[0])


def days_ago(days: Any) -> Any:
    """From a few days to choose from: a date counted in SQL is not the same on both databases."""
    choices = 70
    began = now()
    moments = {
        number: literal(began - timedelta(days=number * 20, hours=number), UtcDateTime)
        for number in range(choices)
    }
    return case(moments, value=cast(days // 20, BigInteger) % choices, else_=moments[0])
