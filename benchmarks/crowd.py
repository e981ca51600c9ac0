"""A crowd of subscribers by bulk SQL: a million in seconds, on either database."""

from sqlalchemy import BigInteger, Select, String, case, cast, insert, literal, select
from sqlalchemy.orm import Session

from newsletter.core.db import Sessions
from newsletter.issues.models import Issue
from subscribers.models import (
    Subscriber,
    SubscriberList,
    Subscription,
    SubscriptionStatus,
    TrackingConsent,
)
from tests import factories

_DOMAINS = 200
_LEFT_EVERY, _WAITING_EVERY = 50, 100


def crowd(sessions: Sessions, people: int) -> tuple[Issue, SubscriberList]:
    """An issue, and a list with that many people on it; one in fifty left, some never confirmed.

    The database is not told to look at its statistics: whoever imports and sends does not either.
    """
    with sessions.writing() as session:
        issue = factories.stored_issue(session)
        readers = factories.a_list(session, "Crowd", issue)
        session.flush()
        _people(session, people)
        _subscriptions(session, readers)
    return issue, readers


def _people(session: Session, people: int) -> None:
    number = _numbers(people).cte("numbers", recursive=True)
    number = number.union_all(select(number.c.n + 1).where(number.c.n < people))
    domain = literal("mail") + cast(number.c.n % _DOMAINS, String) + ".example.org"
    # Scattered, as real addresses are: an index filled in order would flatter us.
    address = cast(number.c.n * 7919 % 1_000_003, String) + "-" + cast(number.c.n, String)
    key = literal("reader") + address + "@" + domain
    rows = select(key.label("email"), key.label("address_key"), domain.label("domain_key"))
    columns = ["email", "address_key", "domain_key"]
    session.execute(insert(Subscriber).from_select(columns, rows.order_by(number.c.n)))


def _numbers(people: int) -> Select[int]:
    return select(literal(1, BigInteger()).label("n")).where(literal(people) > 0)


def _subscriptions(session: Session, readers: SubscriberList) -> None:
    status = case(
        (Subscriber.id % _LEFT_EVERY == 0, SubscriptionStatus.UNSUBSCRIBED.value),
        (Subscriber.id % _WAITING_EVERY == 1, SubscriptionStatus.PENDING.value),
        else_=SubscriptionStatus.ACTIVE.value,
    )
    consents = [consent.value for consent in TrackingConsent]
    consent = case(dict(enumerate(consents)), value=Subscriber.id % len(consents))
    rows = select(Subscriber.id, literal(readers.id), status, consent).order_by(Subscriber.id)
    columns = ["subscriber_id", "list_id", "status", "tracking_consent"]
    session.execute(insert(Subscription).from_select(columns, rows))
