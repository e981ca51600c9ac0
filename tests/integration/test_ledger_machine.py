"""Any order of the ledger's moves, drawn by Hypothesis: nobody twice, and the books add up."""

from contextlib import suppress
from datetime import timedelta
from itertools import count

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import select

from newsletter.broadcasts import accounting, claims, control
from newsletter.broadcasts.accounting import Accounting
from newsletter.broadcasts.claims import Claim
from newsletter.broadcasts.ledger import Outcome
from newsletter.broadcasts.models import (
    DELIVERY_MOVES,
    OPEN_STATES,
    Broadcast,
    BroadcastState,
    Delivery,
    DeliveryState,
)
from newsletter.broadcasts.sweep import sweep
from newsletter.core.clock import now
from newsletter.core.db import Sessions
from newsletter.core.errors import RefusedError
from tests import factories
from tests.ledger_moves import claim, expire_leases, intend, record

S = DeliveryState
TWO = ["ada@example.org", "bob@example.org"]
A_DAY = timedelta(days=1)


class LedgerMachine(RuleBasedStateMachine):
    """Workers claim, send, die and come back late, in any order; the books always add up."""

    sessions: Sessions
    numbers = count()

    def __init__(self) -> None:
        super().__init__()
        number = next(self.numbers)
        text = factories.MARKDOWN.replace("field-notes", f"notes-{number}")
        self.broadcast_id = factories.sending(self.sessions, TWO, text, f"list {number}")
        self.claims: list[Claim] = []
        self.offered: dict[int, int] = {}
        self.before: dict[int, DeliveryState] = {}
        self.answered: set[int] = set()

    @rule(limit=st.integers(1, 2))
    def claim(self, limit: int) -> None:
        self.claims.append(claim(self.sessions, self.broadcast_id, limit))

    @rule(data=st.data())
    def intend(self, data: st.DataObject) -> None:
        ours = self._some(data)
        if ours and intend(self.sessions, ours, 0):
            row = ours.rows[0].delivery_id
            assert row not in self.answered, "accepted, and offered again"
            self.offered[row] = ours.token

    @rule(
        data=st.data(),
        state=st.sampled_from([S.ACCEPTED, S.FAILED, S.PENDING, S.IN_DOUBT]),
    )
    def answer(self, data: st.DataObject, state: DeliveryState) -> None:
        if not self.offered:
            return
        row = data.draw(st.sampled_from(sorted(self.offered)))
        outcome = Outcome(row, state, "x", due_at=now() if state is S.PENDING else None)
        if record(self.sessions, self.offered[row], outcome) and state is S.ACCEPTED:
            self.answered.add(row)

    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        ours = self._some(data)
        if ours:
            with self.sessions.writing() as session:
                claims.release(session, ours.token, [row.delivery_id for row in ours.rows])

    @rule()
    def lose_all_workers(self) -> None:
        expire_leases(self.sessions)
        assert self._counted_after_sweep().open == 0 or not self._has_ended()

    @rule()
    def sweep(self) -> None:
        open_rows = set(self._counted_after_sweep().states) & set(OPEN_STATES)
        assert open_rows <= {S.SENDING} or not self._has_ended()

    @rule()
    def finish(self) -> None:
        with self.sessions.writing() as session:
            accounting.finish(session, self.broadcast_id)

    @precondition(lambda self: self.answered)
    @rule()
    def cancel(self) -> None:
        with self.sessions.writing() as session, suppress(RefusedError):
            control.cancel(session, self.broadcast_id)

    @rule(accept=st.booleans())
    def resolve_doubts(self, accept: bool) -> None:
        act = control.accept_doubts if accept else control.resend_doubts
        with self.sessions.writing() as session, suppress(RefusedError):
            resolved = act(session, self.broadcast_id)
            if accept:
                self.answered |= {found.delivery_id for found in resolved}

    @rule()
    def retry_failed(self) -> None:
        with self.sessions.writing() as session, suppress(RefusedError):
            control.retry_failed(session, self.broadcast_id)

    def teardown(self) -> None:
        """Put it aside: a sweep goes over every broadcast that is not at its end."""
        if not self._has_ended():
            with self.sessions.writing() as session:
                broadcast = session.get_one(Broadcast, self.broadcast_id)
                broadcast.state, broadcast.start_at = BroadcastState.SCHEDULED, now() + A_DAY

    def _counted_after_sweep(self) -> Accounting:
        sweep(self.sessions)
        with self.sessions.reading() as session:
            return accounting.account(session, self.broadcast_id)

    def _has_ended(self) -> bool:
        with self.sessions.reading() as session:
            state = session.get_one(Broadcast, self.broadcast_id).state
        return state in (BroadcastState.DONE, BroadcastState.CANCELLED)

    def _some(self, data: st.DataObject) -> Claim | None:
        open_claims = [ours for ours in self.claims if ours.rows]
        return data.draw(st.sampled_from(open_claims)) if open_claims else None

    @invariant()
    def every_move_is_legal(self) -> None:
        rows = factories.deliveries(self.sessions, self.broadcast_id).values()
        current = {row.id: row.state for row in rows}
        for row, state in current.items():
            assert self._reachable(self.before.get(row, state), state), (self.before[row], state)
        self.before = current

    @invariant()
    def the_books_add_up(self) -> None:
        with self.sessions.reading() as session:
            accounts = accounting.account(session, self.broadcast_id)
        assert accounts.gap == 0
        assert accounts.accepted == len(self.answered)

    def _reachable(self, source: DeliveryState, target: DeliveryState) -> bool:
        """In the few moves that one rule makes: a sweep reaps, then ends what waits."""
        reached = {source}
        for _ in range(3):
            reached |= {state for via in reached for state in DELIVERY_MOVES[via]}
        return target in reached


def test_any_order_of_events_is_accounted_for(sessions: Sessions) -> None:
    machine = type("Machine", (LedgerMachine,), {"sessions": sessions})
    profile = settings(
        max_examples=30,
        derandomize=True,
        stateful_step_count=40,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(machine, settings=profile)
    with sessions.reading() as session:
        states_seen = set(session.scalars(select(Delivery.state)))
        ends_seen = set(session.scalars(select(Broadcast.state)))
    assert {S.ACCEPTED, S.IN_DOUBT} <= states_seen, "the machine did its work"
    assert {BroadcastState.DONE, BroadcastState.CANCELLED} <= ends_seen
