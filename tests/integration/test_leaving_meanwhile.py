"""Somebody leaves while something else is done with them, on PostgreSQL; SQLite has one writer."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from newsletter.core.db import Sessions
from newsletter.core.runtime import Runtime
from newsletter.core.tokens import TokenKeys
from newsletter.mail.address import Address
from newsletter.privacy import erasure
from newsletter.sending import confirmation
from subscribers import sign_up, subscriptions
from subscribers.models import Subscriber, SubscriberList, Subscription, SubscriptionStatus
from subscribers.sign_up import Wish
from tests import factories
from tests.erased import ADA, KEY
from tests.integration.test_sweep import wait_for_a_waiter

Act = Callable[[Session, Runtime, Subscriber, SubscriberList], object]


def ask(session: Session, runtime: Runtime, _: Subscriber, to: SubscriberList) -> None:
    confirmation.sign_up(
        session, runtime, to, Wish(Address.parse(ADA), factories.EVIDENCE, {"name": "Ada"})
    )


ACTS: dict[str, Act] = {
    "erase": lambda session, _, person, __: erasure.erase(session, person.id, KEY, "test"),
    "confirm": lambda session, _, person, to: sign_up.waiting(session, person.id, to.id),
    "sign up": ask,
    "send again": lambda session, runtime, person, to: confirmation.ask_to_confirm(
        session, runtime, person, to, factories.EVIDENCE
    ),
}


@pytest.mark.parametrize("what", ACTS)
def test_who_leaves_and_who_acts_for_them_do_not_wait_in_a_circle(
    postgresql: Sessions, keys: TokenKeys, what: str
) -> None:
    runtime = factories.runtime(postgresql, keys)
    with postgresql.writing() as session:
        issue = factories.stored_issue(session)
        readers = factories.a_list(session, issue=issue)
        (waiting,) = factories.subscribed(session, readers, [ADA])
        waiting.status = SubscriptionStatus.PENDING

    def act() -> None:
        with postgresql.writing() as session:
            person = session.get_one(Subscriber, waiting.subscriber_id)
            ACTS[what](session, runtime, person, session.get_one(SubscriberList, readers.id))

    with ThreadPoolExecutor(1) as other:
        with postgresql.writing() as session:
            session.execute(select(Subscription).with_for_update())  # as `leave` begins
            acting = other.submit(act)
            until_it_waits_or_is_done(postgresql, acting)
            (left,) = subscriptions.leave(
                session, waiting.subscriber_id, issue.newsletter_id, factories.EVIDENCE
            )
            assert left.id == waiting.id
        acting.result(20)


def until_it_waits_or_is_done(sessions: Sessions, acting: Future[None]) -> None:
    try:
        acting.result(0.5)
    except TimeoutError:
        wait_for_a_waiter(sessions)
