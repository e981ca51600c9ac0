"""Suppressions and pauses count three times: at freezing, at the claim, right before the offer."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import insert, text, update
from sqlalchemy.orm import Session

from newsletter.broadcasts import claims, freezing, plain_groups
from newsletter.broadcasts.models import (
    Broadcast,
    BroadcastState,
    DeliveryState,
    SkipReason,
)
from newsletter.core.clock import now
from newsletter.core.db import Sessions
from newsletter.core.express import Express, driver_time
from newsletter.core.sections import TrackingMode
from newsletter.core.tokens import TokenKeys
from subscribers import suppressions
from subscribers.audience import Exclusion, count_audience
from subscribers.models import (
    EVERYWHERE,
    Subscription,
    Suppression,
    SuppressionReason,
)
from tests import factories
from tests.ledger_moves import claim, intend

ADA, BOB = "ada@bücher.org", "bob@example.org"
MANUAL = SuppressionReason.MANUAL

Act = Callable[[Session, int], None]


def suppressing(key: str, *, on_list: bool = False) -> Act:
    def act(session: Session, list_id: int) -> None:
        suppressions.suppress(
            session,
            suppressions.parse_key(key),
            reason=MANUAL,
            source="test",
            list_id=list_id if on_list else EVERYWHERE,
        )

    return act


def pausing(session: Session, list_id: int) -> None:
    ada = factories.person(session, ADA)
    session.execute(
        update(Subscription)
        .where(Subscription.subscriber_id == ada.id, Subscription.list_id == list_id)
        .values(paused_until=now() + timedelta(days=7))
    )


WAYS = pytest.mark.parametrize(
    ("act", "why"),
    [
        pytest.param(suppressing(ADA), SkipReason.SUPPRESSED, id="address"),
        pytest.param(suppressing("@BÜCHER.org"), SkipReason.SUPPRESSED, id="domain"),
        pytest.param(suppressing(ADA, on_list=True), SkipReason.SUPPRESSED, id="of the list"),
        pytest.param(
            suppressing("@bücher.org", on_list=True), SkipReason.SUPPRESSED, id="domain, list"
        ),
        pytest.param(pausing, SkipReason.PAUSED, id="pause"),
    ],
)


def two_lists(sessions: Sessions, first: list[str], second: list[str]) -> tuple[int, list[int]]:
    """A broadcast to two lists that is about to freeze, and the lists."""
    with sessions.writing() as session:
        issue = factories.stored_issue(session)
        lists = [factories.a_list(session, name, issue) for name in ("Mornings", "Evenings")]
        for readers, addresses in zip(lists, (first, second), strict=True):
            factories.subscribed(session, readers, addresses)
        broadcast = factories.scheduled(session, issue, lists)
        broadcast.state = BroadcastState.FREEZING
        return broadcast.id, [readers.id for readers in lists]


def do(sessions: Sessions, act: Act, list_id: int) -> None:
    with sessions.writing() as session:
        act(session, list_id)


@WAYS
def test_at_freezing_they_are_excluded_with_the_reason(
    sessions: Sessions, act: Act, why: SkipReason
) -> None:
    broadcast_id, lists = two_lists(sessions, [ADA, BOB], [])
    do(sessions, act, lists[0])
    with sessions.reading() as session:
        for some in (lists, lists[:1]):
            counted = count_audience(session, some)
            assert (counted.mailable, counted.excluded) == (1, {why.value: 1})
    freezing.freeze(sessions, broadcast_id, TrackingMode.AGGREGATE)
    assert list(factories.deliveries(sessions, broadcast_id)) == [BOB]
    with sessions.reading() as session:
        broadcast = session.get_one(Broadcast, broadcast_id)
    assert broadcast.exclusions == {why.value: 1}
    assert Exclusion(why.value)


@WAYS
def test_after_freezing_they_are_claimed_as_unmailable_and_skipped(
    sessions: Sessions, keys: TokenKeys, act: Act, why: SkipReason
) -> None:
    broadcast_id, lists = two_lists(sessions, [ADA, BOB], [])
    freezing.freeze(sessions, broadcast_id, TrackingMode.AGGREGATE)
    do(sessions, act, lists[0])
    relay = factories.memory()
    factories.deliver(factories.runtime(sessions, keys), relay, broadcast_id)
    found = factories.deliveries(sessions, broadcast_id)
    assert (found[ADA].state, found[ADA].reason) == (DeliveryState.SKIPPED, why)
    assert found[BOB].state is DeliveryState.ACCEPTED


@WAYS
def test_after_the_claim_they_are_not_announced(
    sessions: Sessions, act: Act, why: SkipReason
) -> None:
    broadcast_id, lists = two_lists(sessions, [ADA], [])
    freezing.freeze(sessions, broadcast_id, TrackingMode.AGGREGATE)
    ours = claim(sessions, broadcast_id)
    assert [row.may_be_mailed for row in ours.rows] == [True]
    do(sessions, act, lists[0])
    assert not intend(sessions, ours)
    with sessions.writing() as session:
        assert len(claims.skip_unmailable(session, broadcast_id, ours.token)) == 1
    assert factories.deliveries(sessions, broadcast_id)[ADA].reason == why


@WAYS
def test_of_two_lists_the_one_that_is_not_concerned_mails_them(
    sessions: Sessions, act: Act, why: SkipReason
) -> None:
    broadcast_id, lists = two_lists(sessions, [ADA], [ADA])
    is_everywhere = act in (WAYS.args[1][0].values[0], WAYS.args[1][1].values[0])
    do(sessions, act, lists[0])
    freezing.freeze(sessions, broadcast_id, TrackingMode.AGGREGATE)
    found = factories.deliveries(sessions, broadcast_id)
    if is_everywhere:
        assert found == {}
        assert why is SkipReason.SUPPRESSED
    else:
        assert found[ADA].list_id == lists[1]
        assert intend(sessions, claim(sessions, broadcast_id))


def test_a_suppression_after_freezing_of_one_of_two_lists_lets_the_other_mail(
    sessions: Sessions,
) -> None:
    broadcast_id, lists = two_lists(sessions, [ADA], [ADA])
    freezing.freeze(sessions, broadcast_id, TrackingMode.AGGREGATE)
    do(sessions, suppressing(ADA, on_list=True), lists[0])
    ours = claim(sessions, broadcast_id)
    assert [row.may_be_mailed for row in ours.rows] == [True]
    do(sessions, suppressing("@bücher.org", on_list=True), lists[1])
    assert not intend(sessions, ours)


def test_a_domain_is_exactly_that_domain(sessions: Sessions) -> None:
    people = [BOB, "bob@news.example.org", "bob@anexample.org", "bob@example.org.example.net"]
    _, lists = two_lists(sessions, people, [])
    do(sessions, suppressing("@Example.ORG"), lists[0])
    with sessions.reading() as session:
        assert count_audience(session, lists).mailable == 3


def test_a_pause_that_is_over_mails_again(sessions: Sessions) -> None:
    _, lists = two_lists(sessions, [ADA], [])
    do(sessions, pausing, lists[0])
    with sessions.writing() as session:
        assert count_audience(session, lists).excluded == {"paused": 1}
        session.execute(update(Subscription).values(paused_until=now() - timedelta(seconds=1)))
    with sessions.reading() as session:
        assert count_audience(session, lists).mailable == 1


def test_an_intent_looks_suppressions_up_by_their_key(sessions: Sessions) -> None:
    """However many there are: never read through for each message."""
    with sessions.writing() as session:
        rows = [
            {"key": f"gone{n}@example.org", "list_id": EVERYWHERE, "reason": MANUAL}
            for n in range(5_000)
        ]
        session.execute(insert(Suppression), rows)
    with sessions.writing() as session:
        session.execute(text("ANALYZE"))
    express = Express(sessions)
    is_sqlite = sessions.dialect == "sqlite"
    sql = plain_groups._one_by_one()[1] if is_sqlite else plain_groups._both()
    values = {
        "concluded": "[]",
        "announced": "[]",
        "concluded_ids": [1],
        "announced_ids": [2],
        "at": driver_time(express.dialect, now()),
        "lease": 1,
        "again": 0,
    }
    explain = "EXPLAIN QUERY PLAN" if is_sqlite else "EXPLAIN"
    with express.transaction():
        plan = str(express.execute(f"{explain} {sql}", values).fetchall())
    express.close()
    assert "uq_suppressions_key_list_id" in plan or "autoindex_suppressions" in plan
    assert "Seq Scan on suppressions" not in plan
    assert "SCAN suppressions" not in plan
