"""Counting a broadcast: exact by indexes, from one moment, and a missing row is seen."""

from typing import Any

import pytest
from sqlalchemy import Connection, delete, event, select, text

from newsletter.broadcasts import accounting, claims
from newsletter.broadcasts.models import Broadcast, BroadcastState, Delivery, DeliveryState
from newsletter.core.db import Sessions
from tests import factories

S = DeliveryState
ENDS = [
    (S.ACCEPTED, ""),
    (S.ACCEPTED, "proved by a click"),
    (S.FAILED, "gone"),
    (S.FAILED, "gone"),
    (S.FAILED, "mailbox full"),
    (S.SKIPPED, "unsubscribed"),
    (S.IN_DOUBT, "no reply"),
]


@pytest.fixture
def broadcast_id(sessions: Sessions) -> int:
    """One row in each state and more, beside another broadcast's that is not to be counted."""
    factories.sending(sessions, ["other@example.org"], name="Others")
    made = factories.sending(sessions, [f"r{n}@example.org" for n in range(len(ENDS) + 3)])
    with sessions.writing() as session:
        claimed = claims.claim(session.connection(), made, limit=len(ENDS) + 2, lease_seconds=60)
        for row, end in zip(claimed.rows, [*ENDS, (S.CLAIMED, ""), (S.SENDING, "")], strict=True):
            session.get_one(Delivery, row.delivery_id).state = end[0]
            session.get_one(Delivery, row.delivery_id).reason = end[1]
    return made


def test_every_state_is_counted_and_failures_and_skips_by_their_reasons(
    sessions: Sessions, broadcast_id: int
) -> None:
    with sessions.reading() as session:
        accounts = accounting.account(session, broadcast_id)
    assert accounts.states == {
        S.PENDING: 1,
        S.CLAIMED: 1,
        S.SENDING: 1,
        S.ACCEPTED: 2,
        S.FAILED: 3,
        S.SKIPPED: 1,
        S.IN_DOUBT: 1,
    }
    assert accounts.reasons_of(S.FAILED) == {"gone": 2, "mailbox full": 1}
    assert accounts.reasons_of(S.SKIPPED) == {"unsubscribed": 1}
    assert accounts.gap == 0


def test_progress_tells_the_same_as_the_account(sessions: Sessions, broadcast_id: int) -> None:
    with sessions.reading() as session:
        accounts = accounting.account(session, broadcast_id)
        assert accounting.progress(session, broadcast_id) == accounts


@pytest.mark.parametrize("state", S)
def test_a_missing_row_is_a_gap_whatever_became_of_it(
    sessions: Sessions, broadcast_id: int, state: DeliveryState
) -> None:
    ours = select(Delivery.id).where(Delivery.broadcast_id == broadcast_id)
    with sessions.writing() as session:
        lost = session.scalar(ours.where(Delivery.state == state).limit(1))
        session.execute(delete(Delivery).where(Delivery.id == lost))
    with sessions.reading() as session:
        accounts = accounting.account(session, broadcast_id)
    assert accounts.gap == 1
    assert "UNACCOUNTED 1" in accounts.line()


def test_a_broadcast_without_recipients_has_nothing_to_count(sessions: Sessions) -> None:
    empty = factories.sending(sessions, [])
    with sessions.reading() as session:
        assert accounting.account(session, empty).states == {}
        assert session.get_one(Broadcast, empty).candidates == 0


def test_sqlite_counts_every_state_by_its_own_index(sessions: Sessions, broadcast_id: int) -> None:
    if sessions.dialect != "sqlite":
        pytest.skip("PostgreSQL decides by its statistics")
    asked: list[str] = []
    with sessions.reading() as session:
        connection = session.connection()
        raw = connection.connection.driver_connection
        assert raw
        raw.set_trace_callback(asked.append)
        accounting.account(session, broadcast_id)
        raw.set_trace_callback(None)
        counting = next(statement for statement in asked if "UNION ALL" in statement)
        plan = [row[3] for row in connection.execute(text(f"EXPLAIN QUERY PLAN {counting}"))]
    used = [step for step in plan if "deliveries" in step]
    assert len(used) == 5  # the fifth counts all rows
    for index in ("due", "leased", "in_doubt", "not_sent"):
        assert any(f"ix_deliveries_{index}" in step for step in used)


def test_a_row_that_is_given_back_meanwhile_keeps_the_broadcast_open(postgresql: Sessions) -> None:
    """Between any two statements of the one who finishes, with no row waiting and one claimed."""
    number = factories.sending(postgresql, ["ada@example.org"])
    with postgresql.writing() as session:
        claimed = claims.claim(session.connection(), number, limit=1, lease_seconds=60)
    given_back: list[str] = []

    def give_back(connection: Connection, *said: Any) -> None:
        statement = str(said[1])
        if "deliveries" in statement and connection is finishing and not given_back:
            given_back.append(statement)
            with postgresql.writing() as other:
                claims.release(other, claimed.token, [claimed.rows[0].delivery_id])

    event.listen(postgresql.engine, "after_cursor_execute", give_back)
    with postgresql.writing() as session:
        finishing = session.connection()
        assert not accounting.finish(session, number)
    assert given_back
    with postgresql.reading() as session:
        assert session.get_one(Broadcast, number).state is BroadcastState.SENDING
