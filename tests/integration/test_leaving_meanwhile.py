"""Somebody leaves while something else is done with them, on PostgreSQL; SQLite has one writer."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from newsletter.core.db import Sessions
from newsletter.core.errors import RefusedError
from newsletter.core.runtime import Runtime
from newsletter.core.tokens import TokenKeys
from newsletter.mail.address import Address
from newsletter.privacy import erasure
from newsletter.sending import confirmation
from subscribers import sign_up, subscriptions
from subscribers.imports.importing import import_file
from subscribers.imports.options import ImportOptions
from subscribers.lists import find_list
from subscribers.locking import lock_people
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


def import_a_leaving(_: Session, runtime: Runtime, __: Subscriber, on: SubscriberList) -> None:
    """And behind it a row that is looked at once the first one is stored."""
    with TemporaryDirectory() as folder:
        file = Path(folder, "people.csv")
        file.write_text(f"email,list,status\n{ADA},{on.slug},unsubscribed\n{ADA},other,active\n")
        named = ImportOptions(list_named=lambda session, name: find_list(session, name).id)
        import_file(runtime.sessions, file, None, named)


ACTS: dict[str, Act] = {
    "erase": lambda session, _, person, __: erasure.erase(session, person.id, KEY, "test"),
    "confirm": lambda session, _, person, to: sign_up.waiting(session, person.id, to.id),
    "sign up": ask,
    "send again": lambda session, runtime, person, to: confirmation.ask_to_confirm(
        session, runtime, person, to, factories.EVIDENCE
    ),
    "import": import_a_leaving,
}


@pytest.mark.parametrize("what", ACTS)
def test_who_leaves_and_who_acts_for_them_do_not_wait_in_a_circle(
    postgresql: Sessions, keys: TokenKeys, what: str
) -> None:
    runtime = factories.runtime(postgresql, keys)
    with postgresql.writing() as session:
        issue = factories.stored_issue(session)
        readers = factories.a_list(session, issue=issue)
        factories.a_list(session, "other", issue)
        (waiting,) = factories.subscribed(session, readers, [ADA])
        waiting.status = SubscriptionStatus.PENDING

    def act() -> None:
        with postgresql.writing() as session:
            person = session.get_one(Subscriber, waiting.subscriber_id)
            ACTS[what](session, runtime, person, session.get_one(SubscriberList, readers.id))

    with ThreadPoolExecutor(1) as other:
        with postgresql.writing() as session:
            lock_people(session, [waiting.subscriber_id])  # as `leave` begins
            acting = other.submit(act)
            wait_for_a_waiter(postgresql)
            (left,) = subscriptions.leave(
                session, waiting.subscriber_id, issue.newsletter_id, factories.EVIDENCE
            )
            assert left.id == waiting.id
        acting.result(20)


Join = Callable[[Sessions, int, Path, Callable[[], None]], object]


def by_command(sessions: Sessions, to: int, _: Path, before_commit: Callable[[], None]) -> None:
    with sessions.writing() as session:
        person = factories.person(session, ADA)
        with suppress(RefusedError):
            subscriptions.subscribe(
                session, person, session.get_one(SubscriberList, to), factories.EVIDENCE
            )
        before_commit()


def by_file(sessions: Sessions, to: int, file: Path, before_commit: Callable[[], None]) -> None:
    options = ImportOptions(with_each=lambda _session, _step: before_commit())
    import_file(sessions, file, lambda _: to, options)


@pytest.mark.parametrize("join", [by_command, by_file])
def test_who_leaves_and_who_puts_them_on_another_list_take_turns(
    postgresql: Sessions, tmp_path: Path, join: Join
) -> None:
    file = tmp_path / "people.csv"
    file.write_text(f"email\n{ADA}\n")
    with postgresql.writing() as session:
        issue = factories.stored_issue(session)
        one, two = (factories.a_list(session, name, issue) for name in ("one", "two"))
        (on_one,) = factories.subscribed(session, one, [ADA])
        who = on_one.subscriber_id, issue.newsletter_id

    def leave() -> None:
        with postgresql.writing() as session:
            subscriptions.leave(session, *who, factories.EVIDENCE)

    def standing() -> dict[int, str]:
        with postgresql.reading() as session:
            rows = session.execute(select(Subscription.list_id, Subscription.status))
            return {list_id: status.value for list_id, status in rows}

    with ThreadPoolExecutor(1) as other:
        with postgresql.writing() as session:
            subscriptions.leave(session, *who, factories.EVIDENCE)
            joining = other.submit(join, postgresql, two.id, file, lambda: None)
            wait_for_a_waiter(postgresql)
        joining.result(20)
        assert standing() == {one.id: "unsubscribed"}
        with postgresql.writing() as session:
            back = subscriptions.request(
                session, factories.person(session, ADA), one, factories.EVIDENCE
            )
            subscriptions.confirm(session, back, factories.EVIDENCE)
        leaving: list[Future[None]] = []

        def leave_meanwhile() -> None:
            leaving.append(other.submit(leave))
            wait_for_a_waiter(postgresql)

        join(postgresql, two.id, file, leave_meanwhile)
        leaving[0].result(20)
        assert standing() == {one.id: "unsubscribed", two.id: "unsubscribed"}
