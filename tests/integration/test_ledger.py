"""The ledger's moves on both databases: who may claim, send and record, and who no longer may."""

from datetime import timedelta

import pytest
from sqlalchemy import select, update

from newsletter.broadcasts import claims, control, ledger, offers
from newsletter.broadcasts.claims import Claim
from newsletter.broadcasts.ledger import Outcome
from newsletter.broadcasts.models import (
    Broadcast,
    Delivery,
    DeliveryLog,
    DeliveryState,
    PauseReason,
    Proof,
    SkipReason,
)
from newsletter.broadcasts.offers import Conclusion, Intent
from newsletter.broadcasts.sweep import sweep
from newsletter.core.clock import now
from newsletter.core.db import Sessions
from newsletter.mail.replies import parse_reply
from subscribers import subscriptions, suppressions
from subscribers.models import SuppressionReason
from tests import factories
from tests.ledger_moves import claim, expire_leases, intend, record, states

S = DeliveryState
OK = parse_reply(250, "2.0.0 Ok")
TEN = [f"reader{number}@example.org" for number in range(10)]


def test_no_row_is_claimed_twice(sessions: Sessions) -> None:
    broadcast_id = factories.sending(sessions, TEN)
    first, second = claim(sessions, broadcast_id, 6), claim(sessions, broadcast_id, 6)
    ids = [row.delivery_id for row in (*first.rows, *second.rows)]
    assert len(ids) == len(set(ids)) == 10
    assert claim(sessions, broadcast_id).rows == ()
    assert first.token != second.token


def test_two_claim_at_once_and_share(postgresql: Sessions) -> None:
    """Two open transactions: neither waits for the other, neither sees the other's rows."""
    sessions = postgresql
    broadcast_id = factories.sending(sessions, TEN)
    with sessions.writing() as one, sessions.writing() as other:
        first = claims.claim(one.connection(), broadcast_id, limit=4, lease_seconds=60)
        second = claims.claim(other.connection(), broadcast_id, limit=10, lease_seconds=60)
    assert (len(first.rows), len(second.rows)) == (4, 6)


def test_claimed_rows_carry_the_frozen_address(sessions: Sessions) -> None:
    broadcast_id = factories.sending(sessions, ["Ada@Example.org"])
    (row,) = claim(sessions, broadcast_id).rows
    person = row.recipient
    assert (person.address, person.address_key) == ("Ada@example.org", "ada@example.org")
    assert row.attempt == 0


def test_nothing_is_claimed_unless_the_broadcast_is_sending(sessions: Sessions) -> None:
    broadcast_id = factories.sending(sessions, TEN)
    with sessions.writing() as session:
        control.pause(session, broadcast_id, PauseReason.OPERATOR)
    assert claim(sessions, broadcast_id).rows == ()


def test_an_intent_needs_the_token_the_lease_and_a_sending_broadcast(sessions: Sessions) -> None:
    broadcast_id = factories.sending(sessions, TEN)
    ours = claim(sessions, broadcast_id)
    assert not intend(sessions, Claim(ours.token ^ 1, ours.rows))
    assert intend(sessions, ours)
    assert not intend(sessions, ours), "announced already"
    assert intend(sessions, ours, again=True), "the reply to the commit was lost: the same answer"
    with sessions.writing() as session:
        control.pause(session, broadcast_id, PauseReason.OPERATOR)
    assert not intend(sessions, ours, 1)
    with sessions.writing() as session:
        control.resume(session, broadcast_id)
    assert intend(sessions, ours, 1)
    expire_leases(sessions)
    assert not intend(sessions, ours, 2)
    assert factories.deliveries(sessions, broadcast_id)[TEN[0]].attempt == 1


@pytest.mark.parametrize("reason", [SkipReason.UNSUBSCRIBED, SkipReason.SUPPRESSED])
def test_who_left_since_freezing_is_not_mailed(sessions: Sessions, reason: SkipReason) -> None:
    broadcast_id = factories.sending(sessions, TEN)
    ours = claim(sessions, broadcast_id)
    row = ours.rows[0]
    with sessions.writing() as session:
        broadcast = session.get_one(Broadcast, broadcast_id)
        if reason is SkipReason.UNSUBSCRIBED:
            newsletter_id = broadcast.issue.newsletter_id
            subscriptions.leave(
                session, row.recipient.subscriber_id, newsletter_id, factories.EVIDENCE
            )
        else:
            suppressions.suppress(
                session, row.recipient.address_key, reason=SuppressionReason.MANUAL, source="test"
            )
    assert not intend(sessions, ours)
    with sessions.writing() as session:
        left = claims.skip_unmailable(session, broadcast_id, ours.token)
    assert left == {row.delivery_id}
    skipped = factories.deliveries(sessions, broadcast_id)[row.recipient.address]
    assert (skipped.state, skipped.reason) == (S.SKIPPED, reason)


def test_a_group_is_announced_and_concluded_in_one_statement_each(sessions: Sessions) -> None:
    broadcast_id = factories.sending(sessions, TEN[:4])
    ours = claim(sessions, broadcast_id)
    rows = [row.delivery_id for row in ours.rows]
    intents = [Intent(row, ours.token, "main") for row in rows]
    foreign = Intent(rows[3], ours.token ^ 1, "main")
    with sessions.writing() as session:
        announced = offers.announce(session, [*intents[:3], foreign], lease_seconds=60)
        assert announced == set(rows[:3])
    later = now() + timedelta(minutes=5)
    outcomes = [
        Outcome(rows[0], S.ACCEPTED, reply=OK),
        Outcome(rows[1], S.PENDING, "temporary", parse_reply(451, "4.7.1 später"), due_at=later),
        Outcome(rows[2], S.IN_DOUBT, "no reply"),
        Outcome(rows[3], S.ACCEPTED, reply=OK),
    ]
    with sessions.writing() as session:
        written = offers.conclude(session, [Conclusion(ours.token, o, "") for o in outcomes])
        assert written == set(rows[:3]), "what was never announced has no outcome"
    assert states(sessions, broadcast_id) == [S.ACCEPTED, S.PENDING, S.IN_DOUBT, S.CLAIMED]
    waiting = factories.deliveries(sessions, broadcast_id)[TEN[1]]
    assert (waiting.due_at, waiting.reply_text, waiting.relay) == (later, "später", "main")


def test_a_broadcast_that_went_stale_offers_nothing(sessions: Sessions) -> None:
    broadcast_id = factories.sending(sessions, TEN)
    ours = claim(sessions, broadcast_id)
    with sessions.writing() as session:
        session.get_one(Broadcast, broadcast_id).not_after = now() - timedelta(seconds=1)
    assert not intend(sessions, ours)


def test_being_on_another_broadcasts_list_does_not_help_who_left_this_one(
    sessions: Sessions,
) -> None:
    broadcast_id = factories.sending(sessions, TEN[:1])
    text = factories.MARKDOWN.replace("field-notes", "night-notes")
    factories.sending(sessions, TEN[:1], text, "Evenings")
    ours = claim(sessions, broadcast_id)
    with sessions.writing() as session:
        newsletter_id = session.get_one(Broadcast, broadcast_id).issue.newsletter_id
        person = ours.rows[0].recipient.subscriber_id
        subscriptions.leave(session, person, newsletter_id, factories.EVIDENCE)
    assert not intend(sessions, ours)
    with sessions.writing() as session:
        left = claims.skip_unmailable(session, broadcast_id, ours.token)
    assert left == {ours.rows[0].delivery_id}


def test_an_outcome_needs_the_token(sessions: Sessions) -> None:
    broadcast_id = factories.sending(sessions, TEN)
    ours = claim(sessions, broadcast_id)
    intend(sessions, ours)
    accepted = Outcome(ours.rows[0].delivery_id, S.ACCEPTED, reply=OK)
    assert not record(sessions, ours.token ^ 1, accepted)
    assert record(sessions, ours.token, accepted)
    assert not record(sessions, ours.token, accepted), "an outcome is final"
    row = factories.deliveries(sessions, broadcast_id)[TEN[0]]
    assert (row.state, row.reply_code, row.enhanced_code, row.lease_token) == (
        S.ACCEPTED,
        250,
        "2.0.0",
        None,
    )


def test_a_temporary_refusal_waits_and_a_relays_fault_burns_no_attempt(sessions: Sessions) -> None:
    broadcast_id = factories.sending(sessions, TEN[:1])
    for counts, attempts in ((True, 1), (False, 1)):
        ours = claim(sessions, broadcast_id)
        assert intend(sessions, ours)
        later = now() + timedelta(hours=1)
        row = ours.rows[0].delivery_id
        assert record(sessions, ours.token, Outcome(row, S.PENDING, due_at=later, counts=counts))
        assert claim(sessions, broadcast_id).rows == (), "not due yet"
        kept = factories.deliveries(sessions, broadcast_id)[TEN[0]]
        assert (kept.attempt, kept.due_at) == (attempts, later)
        with sessions.writing() as session:
            session.execute(update(Delivery).values(due_at=now()))


def test_a_lost_worker_leaves_doubt_only_where_a_mail_was_offered(sessions: Sessions) -> None:
    broadcast_id = factories.sending(sessions, TEN[:3])
    ours = claim(sessions, broadcast_id)
    intend(sessions, ours)
    expire_leases(sessions)
    with sessions.writing() as session:
        ledger.reap(session)
    assert states(sessions, broadcast_id) == [S.IN_DOUBT, S.PENDING, S.PENDING]
    assert len(claim(sessions, broadcast_id).rows) == 2, "what is in doubt is not offered again"


def test_a_full_reply_read_late_still_counts(sessions: Sessions) -> None:
    broadcast_id = factories.sending(sessions, TEN[:1])
    ours = claim(sessions, broadcast_id)
    intend(sessions, ours)
    expire_leases(sessions)
    with sessions.writing() as session:
        ledger.reap(session)
    row = ours.rows[0].delivery_id
    assert not record(sessions, ours.token, Outcome(row, S.IN_DOUBT)), "it is in doubt already"
    assert record(sessions, ours.token, Outcome(row, S.ACCEPTED, reply=OK))


def test_a_reader_proves_that_the_mail_arrived(sessions: Sessions) -> None:
    broadcast_id = factories.sending(sessions, TEN[:2])
    ours = claim(sessions, broadcast_id)
    intend(sessions, ours)
    record(sessions, ours.token, Outcome(ours.rows[0].delivery_id, S.IN_DOUBT, "no reply"))
    with sessions.writing() as session:
        for row in ours.rows:
            ledger.proved_arrival(session, row.delivery_id, Proof.OPEN)
    assert states(sessions, broadcast_id) == [S.ACCEPTED, S.CLAIMED]


def test_released_rows_are_free_again(sessions: Sessions) -> None:
    broadcast_id = factories.sending(sessions, TEN)
    ours = claim(sessions, broadcast_id)
    intend(sessions, ours)
    with sessions.writing() as session:
        claims.release(session, ours.token, [row.delivery_id for row in ours.rows])
    assert states(sessions, broadcast_id) == [S.SENDING, *[S.PENDING] * 9]


def test_everything_but_plain_success_is_logged(sessions: Sessions) -> None:
    broadcast_id = factories.sending(sessions, TEN[:2])
    ours = claim(sessions, broadcast_id)
    replies = [OK, parse_reply(550, "5.1.1 User unknown")]
    for number, (reply, state) in enumerate(zip(replies, (S.ACCEPTED, S.FAILED), strict=True)):
        intend(sessions, ours, number)
        row = ours.rows[number].delivery_id
        record(sessions, ours.token, Outcome(row, state, "gone", reply))
    with sessions.reading() as session:
        (line,) = session.scalars(select(DeliveryLog)).all()
    assert (line.state, line.reason) == (S.FAILED, "gone: 550 5.1.1 User unknown")


def test_past_its_time_nothing_new_is_offered_and_retries_end(sessions: Sessions) -> None:
    broadcast_id = factories.sending(sessions, TEN[:2])
    ours = claim(sessions, broadcast_id, 1)
    intend(sessions, ours)
    waiting = Outcome(ours.rows[0].delivery_id, S.PENDING, "temporary", due_at=now())
    record(sessions, ours.token, waiting)
    with sessions.writing() as session:
        ledger.expire(session, broadcast_id)
    assert states(sessions, broadcast_id) == [S.FAILED, S.SKIPPED]


def test_a_retry_that_would_come_too_late_fails_at_once_with_its_last_reply(
    sessions: Sessions,
) -> None:
    broadcast_id = factories.sending(sessions, TEN[:3])
    with sessions.reading() as session:
        not_after = session.get_one(Broadcast, broadcast_id).not_after
    ours = claim(sessions, broadcast_id, 2)
    greylisted = parse_reply(451, "4.7.1 Greylisted")
    for number, minutes in enumerate((-1, 1)):
        intend(sessions, ours, number)
        due_at = not_after + timedelta(minutes=minutes)
        row = ours.rows[number].delivery_id
        record(sessions, ours.token, Outcome(row, S.PENDING, "temporary", greylisted, due_at))
    sweep(sessions)
    assert states(sessions, broadcast_id) == [S.PENDING, S.FAILED, S.PENDING]
    late = factories.deliveries(sessions, broadcast_id)[TEN[1]]
    assert (late.reason, late.reply_code, late.reply_text) == ("temporary", 451, "Greylisted")
    with sessions.reading() as session:
        lines = session.scalars(select(DeliveryLog).where(DeliveryLog.delivery_id == late.id))
        assert [line.reason for line in lines][-1] == "expired after temporary"
