"""The sweep: what was lost is found, what is over stays over, and it is in nobody's way."""

import threading
import time
from datetime import timedelta

import pytest
import time_machine
from sqlalchemy import select, text

from newsletter.broadcasts import accounting, control, freezing, offers
from newsletter.broadcasts.ledger import Outcome
from newsletter.broadcasts.models import (
    Broadcast,
    BroadcastState,
    DeliveryState,
    PauseReason,
    SkipReason,
)
from newsletter.broadcasts.offers import Intent
from newsletter.broadcasts.sweep import sweep
from newsletter.core.clock import now
from newsletter.core.db import Sessions
from newsletter.core.sections import TrackingMode
from newsletter.mail.replies import parse_reply
from tests import factories
from tests.ledger_moves import claim, expire_leases, intend, record, states

S, B = DeliveryState, BroadcastState
LATER = parse_reply(451, "4.7.1 later")
TWO = ["ada@example.org", "bob@example.org"]


def state(sessions: Sessions, broadcast_id: int) -> BroadcastState:
    with sessions.reading() as session:
        return session.get_one(Broadcast, broadcast_id).state


def test_the_sweep_ends_expired_leases(sessions: Sessions) -> None:
    broadcast_id = factories.sending(sessions, TWO)
    ours = claim(sessions, broadcast_id)
    intend(sessions, ours)
    assert sweep(sessions) == []
    assert states(sessions, broadcast_id) == [S.SENDING, S.CLAIMED], "a live lease stays"
    expire_leases(sessions)
    assert sweep(sessions) == [broadcast_id]
    assert states(sessions, broadcast_id) == [S.IN_DOUBT, S.PENDING]


def test_a_broadcast_found_days_late_mails_nobody_and_accounts_for_everybody(
    sessions: Sessions,
) -> None:
    with sessions.writing() as session:
        issue = factories.stored_issue(session)
        readers = factories.a_list(session, issue=issue)
        factories.subscribed(session, readers, TWO)
        broadcast_id = factories.scheduled(session, issue, [readers]).id
    with time_machine.travel(now() + timedelta(days=3)):
        assert sweep(sessions) == [broadcast_id]
        freezing.freeze(sessions, broadcast_id, TrackingMode.AGGREGATE)
        assert claim(sessions, broadcast_id).rows == ()
        sweep(sessions)
        with sessions.reading() as session:
            accounts = accounting.account(session, broadcast_id)
    assert accounts.reasons_of(S.SKIPPED) == {"expired": 2}
    assert state(sessions, broadcast_id) is B.DONE


def test_a_broadcast_that_went_stale_is_neither_claimed_nor_announced(sessions: Sessions) -> None:
    broadcast_id = factories.sending(sessions, TWO)
    ours = claim(sessions, broadcast_id, 1, lease=7 * 24 * 3600)
    with time_machine.travel(now() + timedelta(hours=25)):
        assert claim(sessions, broadcast_id).rows == ()
        assert not intend(sessions, ours)


@pytest.mark.parametrize(
    ("reply", "counts", "end"),
    [(LATER, True, (S.FAILED, "temporary", 451)), (None, False, (S.SKIPPED, "cancelled", None))],
)
def test_what_comes_back_after_a_cancel_ends_at_the_next_sweep(
    sessions: Sessions, reply: object, counts: bool, end: tuple[DeliveryState, str, int | None]
) -> None:
    broadcast_id = factories.sending(sessions, TWO[:1])
    ours = claim(sessions, broadcast_id)
    assert intend(sessions, ours)
    with sessions.writing() as session:
        control.cancel(session, broadcast_id)
    back = Outcome(
        ours.rows[0].delivery_id,
        S.PENDING,
        "temporary",
        LATER if reply else None,
        due_at=now() + timedelta(hours=1),
        counts=counts,
    )
    assert record(sessions, ours.token, back)
    sweep(sessions)
    (row,) = factories.deliveries(sessions, broadcast_id).values()
    assert (row.state, row.reason, row.reply_code) == end
    assert state(sessions, broadcast_id) is B.CANCELLED


def test_a_refusal_read_after_the_end_opens_the_broadcast_again(sessions: Sessions) -> None:
    broadcast_id = factories.sending(sessions, TWO[:1])
    ours = claim(sessions, broadcast_id)
    assert intend(sessions, ours)
    expire_leases(sessions)
    sweep(sessions)
    assert state(sessions, broadcast_id) is B.DONE
    waiting = Outcome(ours.rows[0].delivery_id, S.PENDING, "temporary", LATER, due_at=now())
    assert record(sessions, ours.token, waiting)
    assert sweep(sessions) == [broadcast_id]
    assert state(sessions, broadcast_id) is B.SENDING
    assert len(claim(sessions, broadcast_id).rows) == 1


def test_a_cancel_ends_what_was_refused_for_now_as_failed(sessions: Sessions) -> None:
    broadcast_id = factories.sending(sessions, TWO)
    ours = claim(sessions, broadcast_id)
    assert intend(sessions, ours)
    waiting = Outcome(ours.rows[0].delivery_id, S.PENDING, "temporary", LATER, due_at=now())
    assert record(sessions, ours.token, waiting)
    with sessions.writing() as session:
        control.cancel(session, broadcast_id)
    first, second = factories.deliveries(sessions, broadcast_id).values()
    assert (first.state, first.reply_code) == (S.FAILED, 451)
    assert (second.state, second.reason) == (S.SKIPPED, SkipReason.CANCELLED)


def test_a_pause_for_a_long_reason_is_a_pause(sessions: Sessions) -> None:
    broadcast_id = factories.sending(sessions, TWO)
    with sessions.writing() as session:
        detail = "relay main: 535 5.7.8 see our help. " * 30
        control.pause(session, broadcast_id, PauseReason.BREAKER, detail)
    assert state(sessions, broadcast_id) is B.PAUSED


def wait_for_a_waiter(sessions: Sessions) -> None:
    """Until some transaction waits for a lock that another one holds."""
    end = time.monotonic() + 20
    waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    while True:
        with sessions.reading() as session:
            if session.scalar(waiting):
                return
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_sweep_and_a_cancel_do_not_wait_for_each_other(sessions: Sessions) -> None:
    """The sweep has reaped and waits for the broadcast; who cancels has that and takes the rows."""
    if sessions.dialect != "postgresql":
        pytest.skip("SQLite has one writer")
    broadcast_id = factories.sending(sessions, TWO)
    claim(sessions, broadcast_id)
    expire_leases(sessions)
    failures: list[Exception] = []

    def sweeping() -> None:
        try:
            sweep(sessions)
        except Exception as error:  # noqa: BLE001 - shown by the test
            failures.append(error)

    sweeper = threading.Thread(target=sweeping)
    with sessions.writing() as session:
        session.scalars(select(Broadcast).with_for_update()).all()
        sweeper.start()
        wait_for_a_waiter(sessions)
        control.cancel(session, broadcast_id)
    sweeper.join()
    assert failures == []
    sweep(sessions)
    assert states(sessions, broadcast_id) == [S.SKIPPED, S.SKIPPED]


def test_a_cancel_waits_for_no_sender(sessions: Sessions) -> None:
    """What somebody announces this moment is left to him; the next sweep ends what comes back."""
    if sessions.dialect != "postgresql":
        pytest.skip("SQLite has one writer")
    broadcast_id = factories.sending(sessions, TWO)
    ours = claim(sessions, broadcast_id)
    row = ours.rows[0].delivery_id
    with sessions.writing() as sender:
        intents = [Intent(row, ours.token, "main")]
        assert offers.announce(sender, intents, lease_seconds=60) == {row}
        with sessions.writing() as session:
            control.cancel(session, broadcast_id)
    assert states(sessions, broadcast_id) == [S.SENDING, S.SKIPPED]
