"""A few dozen people with everything that can be odd about a person, in the database."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from newsletter.mail.address import Address
from subscribers.models import (
    Engagement,
    Subscriber,
    SubscriberList,
    Subscription,
    SubscriptionStatus,
    TrackingConsent,
)
from tests import factories
from tests.segment_evaluator import Person
from tests.segment_trees import NUMBERS, SLUGS, TEXTS

NOW = datetime(2026, 2, 1, 12, tzinfo=UTC)
MOMENTS = (
    NOW,
    NOW - timedelta(hours=1),
    datetime(2026, 1, 31, tzinfo=UTC),
    datetime(2026, 1, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    datetime(2026, 2, 1, tzinfo=UTC),
    NOW - timedelta(days=30),
    datetime(1999, 12, 31, 1, tzinfo=UTC),
)
VALUES: tuple[Any, ...] = (
    *TEXTS,
    *NUMBERS,
    *(True, False, None, "", [], {}, 10**400, -(10**400), 1e300, 2**53 + 1, 2**63, 2.0, 2.5),
    *(["vip", "pro"], ["VIP"], [1, 1.5], [True], [None], [["vip"]], [{"b": "pro"}], {"b": "pro"}),
    *({"0": "pro"}, {"b": {"c": "pro"}}, {"b": ["pro"]}, {"b": None}, {"b": [], "0": 1}),
)
ADDRESSES = (
    *(
        "ada{}@example.org",
        "Bob{}@Example.org",
        "cyd+pro{}@mail.example.com",
        "de{}@b\u00fccher.example",
    ),
    *("p_o{}@example.org", "100%{}@example.org", "o'x{}@pro.example"),
)


def insert(session: Session, how_many: int = 90) -> tuple[SubscriberList, list[Person]]:
    """People on the first list, some on the second too; the same ones every time."""
    choose = random.Random(7)
    issue = factories.stored_issue(session)
    first, second = (factories.a_list(session, slug, issue) for slug in SLUGS)
    people = [_person(choose, number) for number in range(how_many)]
    found = [_inserted(session, person, first, second, choose) for person in people]
    session.flush()
    return first, found


def _person(choose: random.Random, number: int) -> Person:
    def moment() -> datetime:
        return choose.choice(MOMENTS)

    def perhaps() -> datetime | None:
        return choose.choice([None, moment(), moment()])

    address = Address.parse(choose.choice(ADDRESSES).format(number))
    names = ("plan", "tags", "a", "0", "favourite colour", "ключ", "%s", "a.b", "$", ":x", "'")
    own = choose.sample(names, choose.randint(0, len(names)))
    return Person(
        address_key=address.key,
        typed=address.typed,
        name=choose.choice(["", *TEXTS]),
        locale=choose.choice(["", "de", "DE-at", "de_AT", "den", "en-GB", "1"]),
        time_zone=choose.choice(["", "Europe/Vienna", "europe/vienna", "UTC"]),
        attributes={name: choose.choice(VALUES) for name in own},
        created_at=moment(),
        status=choose.choice(list(SubscriptionStatus)),
        tracking=choose.choice(list(TrackingConsent)),
        subscribed_at=moment(),
        confirmed_at=perhaps(),
        opened_at=perhaps(),
        clicked_at=perhaps(),
    )


def _inserted(
    session: Session,
    person: Person,
    first: SubscriberList,
    second: SubscriberList,
    choose: random.Random,
) -> Person:
    row = Subscriber(
        email=person.typed,
        address_key=person.address_key,
        domain_key=person.address_key.rpartition("@")[2],
        name=person.name,
        locale=person.locale,
        time_zone=person.time_zone,
        attributes=person.attributes,
        created_at=person.created_at,
    )
    session.add(row)
    session.flush()
    elsewhere = choose.choice([None, *SubscriptionStatus])
    for on, status in ((first, person.status), (second, elsewhere)):
        if status is not None:
            session.add(_subscription(person, row.id, on.id, SubscriptionStatus(status)))
    if person.opened_at or person.clicked_at:
        seen = Engagement(
            newsletter_id=first.newsletter_id,
            subscriber_id=row.id,
            opened_at=person.opened_at,
            clicked_at=person.clicked_at,
        )
        session.add(seen)
    active = {SLUGS[0]: person.status, SLUGS[1]: elsewhere}
    on_lists = frozenset(slug for slug, status in active.items() if status == "active")
    return replace(person, id=row.id, active_on=on_lists)


def _subscription(
    person: Person, subscriber_id: int, list_id: int, status: SubscriptionStatus
) -> Subscription:
    return Subscription(
        subscriber_id=subscriber_id,
        list_id=list_id,
        status=status,
        tracking_consent=TrackingConsent(person.tracking),
        subscribed_at=person.subscribed_at,
        confirmed_at=person.confirmed_at,
    )
