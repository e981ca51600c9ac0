"""Rows in doubt: shown, resolved by hand, by policy, by what readers do, or left alone."""

from collections.abc import Collection
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from sqlalchemy import event, select, update
from sqlalchemy.orm import Session

from newsletter.broadcasts import accounting, claims, control, doubt, ledger, offers
from newsletter.broadcasts.ledger import Outcome
from newsletter.broadcasts.models import (
    Broadcast,
    BroadcastState,
    Delivery,
    DeliveryLog,
    DeliveryState,
    Proof,
)
from newsletter.broadcasts.offers import Conclusion, Intent
from newsletter.broadcasts.sweep import sweep
from newsletter.core.clock import now
from newsletter.core.db import Sessions
from newsletter.core.errors import RefusedError
from newsletter.core.sections import OnInDoubt
from newsletter.mail.replies import parse_reply
from tests import factories
from tests.ledger_moves import states

S, B = DeliveryState, BroadcastState
ADA, BOB, CYD = (f"{name}@example.org" for name in ("ada", "bob", "cyd"))
PAST_GRACE = doubt.GRACE + timedelta(minutes=1)
OK = parse_reply(250, "2.0.0 Ok")


def sent(
    sessions: Sessions, doubtful: Collection[str], policy: OnInDoubt = OnInDoubt.HOLD
) -> tuple[int, int]:
    """A broadcast to three, done: silence for the doubtful, 250 for the others; and its token."""
    broadcast_id = factories.sending(sessions, [ADA, BOB, CYD])
    with sessions.writing() as session:
        session.get_one(Broadcast, broadcast_id).on_in_doubt = policy
    return broadcast_id, offer(sessions, broadcast_id, doubtful)


def offer(sessions: Sessions, broadcast_id: int, doubtful: Collection[str]) -> int:
    """Offer what is due to a relay that falls silent for the doubtful; returns the token."""
    with sessions.writing() as session:
        claim = claims.claim(session.connection(), broadcast_id, limit=3, lease_seconds=60)
        intents = [Intent(row.delivery_id, claim.token, "main") for row in claim.rows]
        ours = {intent.delivery_id for intent in intents}
        assert offers.announce(session, intents, lease_seconds=60) == ours
        for row in claim.rows:
            came = Outcome(row.delivery_id, S.ACCEPTED, reply=OK)
            if row.recipient.address in doubtful:
                came = Outcome(row.delivery_id, S.IN_DOUBT, "no reply after the dot")
            assert record(session, claim.token, came)
        accounting.finish(session, broadcast_id)
    return claim.token


def record(session: Session, token: int, outcome: Outcome) -> bool:
    return bool(offers.conclude(session, [Conclusion(token, outcome, "")]))


def state(sessions: Sessions, broadcast_id: int) -> BroadcastState:
    with sessions.reading() as session:
        return session.get_one(Broadcast, broadcast_id).state


def logged(sessions: Sessions) -> list[tuple[DeliveryState, str]]:
    with sessions.reading() as session:
        lines = session.scalars(select(DeliveryLog).order_by(DeliveryLog.id))
        return [(line.state, line.reason) for line in lines]


def make_live(sessions: Sessions, broadcast_id: int) -> None:
    """The worker in doubt about ada still holds bob's row."""
    with sessions.writing() as session:
        token = session.scalar(select(Delivery.lease_token).where(Delivery.address == ADA))
        session.execute(
            update(Delivery)
            .where(Delivery.address == BOB, Delivery.broadcast_id == broadcast_id)
            .values(state=S.CLAIMED, lease_token=token, lease_until=now() + timedelta(minutes=1))
        )


def test_who_is_in_doubt_is_known_by_name_and_time(sessions: Sessions) -> None:
    broadcast_id, _ = sent(sessions, [ADA, CYD])
    with sessions.writing() as session:
        factories.person(session, CYD).name = "Cyd"
    with sessions.reading() as session:
        found = doubt.doubts(session, broadcast_id)
        assert len(doubt.doubts(session, broadcast_id, limit=1)) == 1
    assert [(each.name, each.address) for each in found] == [("", ADA), ("Cyd", CYD)]
    (ada, _) = found
    assert (ada.relay, ada.attempt, ada.reason) == ("main", 1, "no reply after the dot")
    assert ada.since
    assert timedelta() <= now() - ada.since < timedelta(minutes=1)
    assert not ada.is_live


def test_accepted_by_hand_is_accepted_and_nothing_else_changes(sessions: Sessions) -> None:
    broadcast_id, token = sent(sessions, [ADA])
    with sessions.writing() as session:
        assert [each.address for each in control.accept_doubts(session, broadcast_id)] == [ADA]
    row = factories.deliveries(sessions, broadcast_id)[ADA]
    assert (row.state, row.reason, row.lease_token) == (S.ACCEPTED, "accepted by hand", None)
    assert logged(sessions)[-1] == (S.ACCEPTED, "accepted by hand")
    assert state(sessions, broadcast_id) is B.DONE
    assert sweep(sessions) == []
    with sessions.reading() as session:
        accounts = accounting.account(session, broadcast_id)
    assert (accounts.accepted, accounts.in_doubt, accounts.gap) == (3, 0, 0)
    with sessions.writing() as session:
        late = Outcome(row.id, S.FAILED, "gone", parse_reply(550, "5.1.1 No"))
        assert not record(session, token, late), "decided is decided"


def test_resent_by_hand_is_offered_once_more_and_the_broadcast_goes_on(sessions: Sessions) -> None:
    broadcast_id, token = sent(sessions, [ADA, BOB])
    rung: list[int] = []
    sessions.ring = rung.append
    with sessions.writing() as session:
        resent = control.resend_doubts(session, broadcast_id, address_keys=[BOB])
    assert [each.address for each in resent] == [BOB]
    assert states(sessions, broadcast_id) == [S.IN_DOUBT, S.PENDING, S.ACCEPTED]
    assert (state(sessions, broadcast_id), rung) == (B.SENDING, [broadcast_id])
    bob = factories.deliveries(sessions, broadcast_id)[BOB]
    with sessions.writing() as session:
        late = Outcome(bob.id, S.ACCEPTED, reply=OK)
        assert not record(session, token, late), "its token has ended"
    offer(sessions, broadcast_id, [])
    assert states(sessions, broadcast_id) == [S.IN_DOUBT, S.ACCEPTED, S.ACCEPTED]
    assert factories.deliveries(sessions, broadcast_id)[BOB].attempt == 2
    assert state(sessions, broadcast_id) is B.DONE
    assert (S.PENDING, "resent by hand") in logged(sessions)


@pytest.mark.parametrize("act", [control.accept_doubts, control.resend_doubts])
def test_who_is_not_in_doubt_is_not_resolved(sessions: Sessions, act: object) -> None:
    assert callable(act)
    broadcast_id, _ = sent(sessions, [ADA])
    with sessions.writing() as session, pytest.raises(RefusedError, match=f"not in doubt: {BOB}$"):
        act(session, broadcast_id, address_keys=[ADA, BOB])
    with sessions.writing() as session:
        control.accept_doubts(session, broadcast_id)
    with sessions.writing() as session, pytest.raises(RefusedError, match="has nobody in doubt"):
        act(session, broadcast_id)


def test_nobody_is_resent_to_while_the_reply_may_still_come(sessions: Sessions) -> None:
    broadcast_id, _ = sent(sessions, [ADA])
    make_live(sessions, broadcast_id)
    with sessions.writing() as session, pytest.raises(RefusedError, match=f"{ADA}.* is alive"):
        control.resend_doubts(session, broadcast_id)
    assert states(sessions, broadcast_id)[0] is S.IN_DOUBT


def test_a_stale_or_cancelled_broadcast_is_resent_by_force_or_never(sessions: Sessions) -> None:
    broadcast_id, _ = sent(sessions, [ADA, BOB])
    with time_machine.travel(now() + timedelta(hours=25)):
        with sessions.writing() as session, pytest.raises(RefusedError, match="--force"):
            control.resend_doubts(session, broadcast_id)
        with sessions.writing() as session:
            control.resend_doubts(session, broadcast_id, address_keys=[ADA], force=True)
        assert sweep(sessions) == [broadcast_id], "it got as much time again"
        with sessions.writing() as session:
            control.cancel(session, broadcast_id)
        with sessions.writing() as session, pytest.raises(RefusedError, match="is cancelled"):
            control.resend_doubts(session, broadcast_id, force=True)
        with sessions.writing() as session:
            assert len(control.accept_doubts(session, broadcast_id)) == 1


@pytest.mark.parametrize(
    ("policy", "after"),
    [
        (OnInDoubt.HOLD, S.IN_DOUBT),
        (OnInDoubt.ASSUME_ACCEPTED, S.ACCEPTED),
        (OnInDoubt.RESEND, S.PENDING),
    ],
)
def test_a_policy_acts_once_the_grace_is_over(
    sessions: Sessions, policy: OnInDoubt, after: DeliveryState
) -> None:
    broadcast_id, _ = sent(sessions, [ADA], policy)
    sweep(sessions)
    assert states(sessions, broadcast_id)[0] is S.IN_DOUBT, "a reader may still prove it"
    with time_machine.travel(now() + PAST_GRACE):
        sweep(sessions)
        sweep(sessions)
    assert states(sessions, broadcast_id) == [after, S.ACCEPTED, S.ACCEPTED]
    done = S.PENDING not in states(sessions, broadcast_id)
    assert state(sessions, broadcast_id) is (B.DONE if done else B.SENDING)


@pytest.mark.parametrize("policy", [OnInDoubt.ASSUME_ACCEPTED, OnInDoubt.RESEND])
def test_a_policy_leaves_alone_what_is_with_a_live_worker(
    sessions: Sessions, policy: OnInDoubt
) -> None:
    broadcast_id, _ = sent(sessions, [ADA], policy)
    make_live(sessions, broadcast_id)
    with time_machine.travel(now() + PAST_GRACE):
        sweep(sessions)
    assert states(sessions, broadcast_id)[0] is S.IN_DOUBT


def test_a_policy_resends_once_and_then_a_person_decides(sessions: Sessions) -> None:
    broadcast_id, _ = sent(sessions, [ADA], OnInDoubt.RESEND)
    with time_machine.travel(now() + PAST_GRACE):
        sweep(sessions)
        offer(sessions, broadcast_id, [ADA])
    with time_machine.travel(now() + 2 * PAST_GRACE):
        sweep(sessions)
        assert states(sessions, broadcast_id)[0] is S.IN_DOUBT
        assert state(sessions, broadcast_id) is B.DONE
        with sessions.writing() as session:
            assert control.resend_doubts(session, broadcast_id)


def test_after_its_time_doubt_stays_doubt(sessions: Sessions) -> None:
    broadcast_id, _ = sent(sessions, [ADA], OnInDoubt.RESEND)
    with time_machine.travel(now() + timedelta(hours=25)):
        sweep(sessions)
        assert states(sessions, broadcast_id)[0] is S.IN_DOUBT
        with sessions.writing() as session:
            session.get_one(Broadcast, broadcast_id).state = B.SENDING
        sweep(sessions)
    assert states(sessions, broadcast_id)[0] is S.IN_DOUBT
    assert state(sessions, broadcast_id) is B.DONE


@pytest.mark.parametrize("proof", Proof)
def test_every_proof_ends_the_doubt_and_nothing_more(sessions: Sessions, proof: Proof) -> None:
    broadcast_id, _ = sent(sessions, [ADA])
    rows = factories.deliveries(sessions, broadcast_id)
    with sessions.writing() as session:
        assert ledger.proved_arrival(session, rows[ADA].id, proof)
        assert not ledger.proved_arrival(session, rows[ADA].id, proof)
        assert not ledger.proved_arrival(session, rows[BOB].id, proof)
    row = factories.deliveries(sessions, broadcast_id)[ADA]
    assert (row.state, row.reason) == (S.ACCEPTED, proof)
    assert logged(sessions)[-1] == (S.ACCEPTED, proof)
    assert state(sessions, broadcast_id) is B.DONE
    with time_machine.travel(now() + PAST_GRACE):
        assert sweep(sessions) == []


def test_the_sweep_finds_doubts_by_their_index(sessions: Sessions) -> None:
    """However large the ledger is: the few rows in doubt have an index of their own."""
    sent(sessions, [ADA], OnInDoubt.ASSUME_ACCEPTED)
    asked: list[tuple[str, Any]] = []

    def keep(*details: Any) -> None:
        asked.append((details[2], details[3]))

    event.listen(sessions.engine, "before_cursor_execute", keep)
    with sessions.reading() as session:
        doubt.apply_policies(session)
    event.remove(sessions.engine, "before_cursor_execute", keep)
    finding, *_ = [each for each in asked if "broadcasts.on_in_doubt" in each[0]]
    assert "deliveries.state = 6" in finding[0], "a constant, or SQLite does not use the index"
    if sessions.dialect == "sqlite":
        with sessions.reading() as session:
            explained = f"EXPLAIN QUERY PLAN {finding[0]}"
            plan = session.connection().exec_driver_sql(explained, finding[1]).all()
        assert "ix_deliveries_in_doubt" in str(plan)
