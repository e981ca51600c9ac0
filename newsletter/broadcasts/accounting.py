"""The equation: every candidate is accepted, failed, skipped, in doubt, or excluded. No rest."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import and_, func, select
from sqlalchemy.orm import Session

from newsletter.broadcasts.models import (
    LEASED,
    OPEN_STATES,
    Broadcast,
    BroadcastState,
    BroadcastTotals,
    Delivery,
    DeliveryState,
    PauseReason,
)
from newsletter.core.clock import now


@dataclass(frozen=True, slots=True)
class Accounting:
    """One broadcast's recipients, counted.

    Attributes:
        candidates: distinct addresses with any subscription on the broadcast's lists.
        excluded: candidates that got no delivery, by ExclusionReason.
        states: deliveries by DeliveryState.
        reasons: failed and skipped deliveries by (state, reason).
    """

    candidates: int
    excluded: Mapping[str, int]
    states: Mapping[DeliveryState, int]
    reasons: Mapping[tuple[DeliveryState, str], int] = field(default_factory=dict)

    @property
    def accepted(self) -> int:
        return self.states.get(DeliveryState.ACCEPTED, 0)

    @property
    def failed(self) -> int:
        return self.states.get(DeliveryState.FAILED, 0)

    @property
    def skipped(self) -> int:
        return self.states.get(DeliveryState.SKIPPED, 0)

    @property
    def in_doubt(self) -> int:
        return self.states.get(DeliveryState.IN_DOUBT, 0)

    @property
    def open(self) -> int:
        """Rows that still wait or are being sent."""
        return sum(self.states.get(state, 0) for state in OPEN_STATES)

    @property
    def deliveries(self) -> int:
        return sum(self.states.values())

    @property
    def gap(self) -> int:
        """Candidates that nothing accounts for; 0 once frozen, or something is badly wrong."""
        return self.candidates - self.deliveries - sum(self.excluded.values())

    def reasons_of(self, state: DeliveryState) -> dict[str, int]:
        """Counts by reason of the rows in `state`."""
        return {reason: n for (of, reason), n in self.reasons.items() if of is state}

    def line(self) -> str:
        """The accounting line that people are shown."""
        parts = [
            f"accepted {self.accepted}",
            f"failed {self.failed}{_because(self.reasons_of(DeliveryState.FAILED))}",
            f"skipped {self.skipped}{_because(self.reasons_of(DeliveryState.SKIPPED))}",
            f"in doubt {self.in_doubt}",
            f"excluded {sum(self.excluded.values())}{_because(self.excluded)}",
        ]
        if self.open:
            parts.append(f"still open {self.open}")
        if self.gap:
            parts.append(f"UNACCOUNTED {self.gap}")
        return f"candidates {self.candidates} = " + " + ".join(parts)


def account(session: Session, broadcast_id: int) -> Accounting:
    """Count one broadcast's recipients from its rows, or from the totals they left."""
    broadcast = session.get_one(Broadcast, broadcast_id)
    states: Counter[DeliveryState] = Counter()
    reasons: Counter[tuple[DeliveryState, str]] = Counter()
    for state, reason, count in _outcomes(session, broadcast_id):
        states[state] += count
        reasons[state, reason] += count
    return Accounting(broadcast.candidates, broadcast.exclusions, states, reasons)


def _outcomes(session: Session, broadcast_id: int) -> list[tuple[DeliveryState, str, int]]:
    totals = session.get(BroadcastTotals, broadcast_id)
    if totals is not None:
        return [(DeliveryState(state), reason, n) for state, reason, n in totals.outcomes]
    rows = session.execute(
        select(Delivery.state, Delivery.reason, func.count())
        .where(Delivery.broadcast_id == broadcast_id)
        .group_by(Delivery.state, Delivery.reason)
    )
    return [(state, reason, n) for state, reason, n in rows]


def finish(session: Session, broadcast_id: int) -> bool:
    """Call a sending broadcast done if nothing is open and the equation holds.

    When it does not hold, the broadcast is paused and its reason shows the gap.
    """
    broadcast = session.get_one(Broadcast, broadcast_id, with_for_update=True)
    if broadcast.state is not BroadcastState.SENDING or _any_open(session, broadcast_id):
        return False
    accounts = account(session, broadcast_id)
    if accounts.gap:
        broadcast.state = BroadcastState.PAUSED
        broadcast.pause_reason = PauseReason.HEALTH
        broadcast.pause_detail = f"does not add up: {accounts.line()}"[:300]
        return False
    broadcast.state = BroadcastState.DONE
    broadcast.finished_at = now()
    return True


def _any_open(session: Session, broadcast_id: int) -> bool:
    """Asked one after the other, so that each question is answered by its partial index."""
    waiting = Delivery.state == DeliveryState.PENDING
    leased = and_(LEASED, Delivery.lease_until.is_not(None))
    return any(
        session.scalar(
            select(Delivery.id).where(Delivery.broadcast_id == broadcast_id, is_open).limit(1)
        )
        for is_open in (waiting, leased)
    )


def _because(reasons: Mapping[str, int]) -> str:
    named = ", ".join(f"{n} {reason}" for reason, n in sorted(reasons.items()) if n and reason)
    return f" ({named})" if named else ""
