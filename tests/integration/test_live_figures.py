"""What the live page asks every second is what counting every row would say."""

import pytest
from sqlalchemy import select

from newsletter.broadcasts import accounting, control, ledger, live
from newsletter.broadcasts.ledger import Outcome
from newsletter.broadcasts.live import Watch
from newsletter.broadcasts.models import Delivery, DeliveryState
from newsletter.core.clock import now
from newsletter.core.db import Sessions
from newsletter.mail.replies import Reply
from tests import factories, ledger_moves

PEOPLE = [f"r{number:02}@example.org" for number in range(40)]


@pytest.fixture(autouse=True)
def small_head(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "HEAD_ROWS", 12)
    monkeypatch.setattr(live, "LOW_ROWS", 6)
    monkeypatch.setattr(live, "SAFE_ROWS", 3)


def offer(sessions: Sessions, broadcast_id: int, state: DeliveryState) -> None:
    ours = ledger_moves.claim(sessions, broadcast_id, 1)
    assert ledger_moves.intend(sessions, ours)
    reply = Reply(250, "2.0.0", "ok") if state is DeliveryState.ACCEPTED else None
    row = ours.rows[0].delivery_id
    due_at = now() if state is DeliveryState.PENDING else None
    assert ledger_moves.record(sessions, ours.token, Outcome(row, state, "", reply, due_at))


def test_the_cheap_count_is_the_exact_one_whatever_moves(sessions: Sessions) -> None:
    """Rows are taken, fail, come back, and are skipped before and behind the mark."""
    broadcast_id = factories.sending(sessions, PEOPLE)
    watch = Watch(broadcast_id)
    cheap = []
    moves = [DeliveryState.ACCEPTED] * 3 + [DeliveryState.FAILED, DeliveryState.PENDING]

    def looks() -> None:
        with sessions.reading() as session:
            seen = watch.look(session).accounts
            assert seen == accounting.account(session, broadcast_id)
        cheap.append(watch._tail is not None)

    looks()
    for number, state in enumerate(moves * 4):
        offer(sessions, broadcast_id, state)
        if number % 4 == 0:
            with sessions.writing() as session:
                near_the_end = PEOPLE[-1 - number // 4]
                ledger.withdraw(session, Delivery.address_key == near_the_end)
        looks()
    with sessions.writing() as session:
        control.retry_failed(session, broadcast_id)
    looks()
    with sessions.writing() as session:
        control.cancel(session, broadcast_id)
    looks()
    assert cheap[0], "the mark was used"
    assert not cheap[-1], "and given up where few are left"


def test_a_watch_that_slept_while_the_mark_was_passed_counts_anew(
    sqlite_sessions: Sessions,
) -> None:
    broadcast_id = factories.sending(sqlite_sessions, PEOPLE)
    watch = Watch(broadcast_id)
    with sqlite_sessions.reading() as session:
        watch.look(session)
    for _ in range(15):
        offer(sqlite_sessions, broadcast_id, DeliveryState.ACCEPTED)
    with sqlite_sessions.reading() as session:
        seen = watch.look(session).accounts
        assert seen == accounting.account(session, broadcast_id)
    assert seen.accepted == 15


def test_who_is_tried_again_is_told_from_who_waits(sqlite_sessions: Sessions) -> None:
    broadcast_id = factories.sending(sqlite_sessions, PEOPLE[:3])
    with sqlite_sessions.writing() as session:
        row = session.scalars(select(Delivery)).first()
        assert row
        row.due_at, row.attempt, row.reason = row.due_at.replace(year=2099), 1, "temporary"
    with sqlite_sessions.reading() as session:
        seen = Watch(broadcast_id).look(session)
    assert (seen.accounts.open, seen.retrying) == (3, 1)
    assert seen.next_retry_at == row.due_at
    assert not seen.is_over
