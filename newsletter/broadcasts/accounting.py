"""The equation: every candidate is accepted, failed, skipped, in doubt, or excluded. No rest."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    ScalarSelect,
    and_,
    exists,
    func,
    literal,
    or_,
    select,
    union_all,
)
from sqlalchemy.orm import Session

from newsletter.broadcasts.models import (
    IN_DOUBT,
    NOT_SENT,
    OPEN_STATES,
    WAITING,
    Broadcast,
    BroadcastState,
    BroadcastTotals,
    Delivery,
    DeliveryState,
    PauseReason,
    leased_of,
)
from newsletter.core.clock import now
from newsletter.core.sentences import Sentence, joined, say


class CountedByState:
    """Deliveries by their state, and what came of them."""

    __slots__ = ()
    states: Mapping[DeliveryState, int]

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


@dataclass(frozen=True, slots=True)
class Accounting(CountedByState):
    """One broadcast's recipients, counted.

    Attributes:
        candidates: distinct addresses with any subscription on the broadcast's lists.
        excluded: candidates that got no delivery, by `Exclusion`.
        states: deliveries by DeliveryState.
        reasons: deliveries by (state, reason); the accepted and the waiting have none here.
    """

    candidates: int
    excluded: Mapping[str, int]
    states: Mapping[DeliveryState, int]
    reasons: Mapping[tuple[DeliveryState, str], int] = field(default_factory=dict)

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

    def line(self) -> Sentence:
        """The accounting line that people are shown."""
        failed = self.reasons_of(DeliveryState.FAILED)
        skipped = self.reasons_of(DeliveryState.SKIPPED)
        excluded = sum(self.excluded.values())
        parts = [
            say("accepted %(n)s", n=self.accepted),
            say("failed %(n)s%(why)s", n=self.failed, why=_because(failed)),
            say("skipped %(n)s%(why)s", n=self.skipped, why=_because(skipped)),
            say("in doubt %(n)s", n=self.in_doubt),
            say("excluded %(n)s%(why)s", n=excluded, why=_because(self.excluded)),
        ]
        if self.open:
            parts.append(say("still open %(n)s", n=self.open))
        if self.gap:
            parts.append(say("UNACCOUNTED %(n)s", n=self.gap))
        sum_of = joined(" + ", parts)
        return say("candidates %(n)s = %(parts)s", n=self.candidates, parts=sum_of)


def account(session: Session, broadcast_id: int) -> Accounting:
    """Count one broadcast's recipients from its rows, or from the totals they left.

    Every state but accepted is counted by an index of its own, and so are all rows together; the
    accepted are the rest. A row that is missing shows as a gap.
    """
    every_row = select(func.count()).where(Delivery.broadcast_id == broadcast_id)
    return _counted(session, broadcast_id, every_row.scalar_subquery())


def progress(
    session: Session, broadcast_id: int, waiting: Sequence[ScalarSelect[int]] = ()
) -> Accounting:
    """As `account`, for who asks again and again: it counts what is not accepted, and no more.

    It shows no gap, because it takes for granted that whoever is not excluded has a row. `waiting`
    are counts that add up to the rows that wait, for who knows a cheaper way than counting them.
    """
    broadcast = session.get_one(Broadcast, broadcast_id)
    expected = broadcast.candidates - sum(broadcast.exclusions.values())
    return _counted(session, broadcast_id, literal(expected), waiting)


def _counted(
    session: Session,
    broadcast_id: int,
    every_row: ColumnElement[int] | ScalarSelect[int],
    waiting: Sequence[ScalarSelect[int]] = (),
) -> Accounting:
    broadcast = session.get_one(Broadcast, broadcast_id)
    states: Counter[DeliveryState] = Counter()
    reasons: Counter[tuple[DeliveryState, str]] = Counter()
    for state, reason, count in _outcomes(session, broadcast_id, every_row, waiting):
        states[state] += count
        reasons[state, reason] += count
    return Accounting(broadcast.candidates, broadcast.exclusions, states, reasons)


_Outcomes = list[tuple[DeliveryState, str, int]]


def _outcomes(
    session: Session,
    broadcast_id: int,
    every_row: ColumnElement[int] | ScalarSelect[int],
    waiting: Sequence[ScalarSelect[int]],
) -> _Outcomes:
    totals = session.get(BroadcastTotals, broadcast_id)
    if totals is not None:
        return [(DeliveryState(state), reason, n) for state, reason, n in totals.outcomes]
    counts = _counts(broadcast_id, every_row, waiting or [_all_waiting(broadcast_id)])
    everything, *others = session.execute(counts).all()
    found: _Outcomes = [(state, reason, count) for state, reason, count in others if count]
    accepted = everything[2] - sum(count for _, _, count in found)
    return [*found, (DeliveryState.ACCEPTED, "", accepted)] if accepted else found


def _all_waiting(broadcast_id: int) -> ScalarSelect[int]:
    """Counted without reading them."""
    waiting = select(func.count()).where(Delivery.broadcast_id == broadcast_id, WAITING)
    return waiting.scalar_subquery()


def _counts(
    broadcast_id: int,
    every_row: ColumnElement[int] | ScalarSelect[int],
    waiting: Sequence[ScalarSelect[int]],
) -> CompoundSelect[Any]:
    """All rows, then those not accepted; one statement, so that no row moves between two counts.

    Each part is spelled as its partial index is.
    """
    kind = Delivery.state.type
    everything = select(literal(DeliveryState.ACCEPTED, kind), literal(""), every_row)
    open_to_all = [
        select(literal(DeliveryState.PENDING, kind), literal(""), count) for count in waiting
    ]
    ours = Delivery.broadcast_id == broadcast_id
    grouped = [
        select(Delivery.state, Delivery.reason, func.count())
        .where(which)
        .group_by(Delivery.state, Delivery.reason)
        for which in (leased_of(broadcast_id), and_(ours, IN_DOUBT), and_(ours, NOT_SENT))
    ]
    return union_all(everything, *open_to_all, *grouped)


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
        broadcast.pause_detail = say("does not add up: %(accounts)s", accounts=accounts.line())
        return False
    broadcast.state = BroadcastState.DONE
    broadcast.finished_at = now()
    return True


def _any_open(session: Session, broadcast_id: int) -> bool:
    """Each question is answered by its partial index, and both from one moment.

    Asked one after the other, a row that is given back in between would be seen by neither.
    """
    waiting = exists().where(Delivery.broadcast_id == broadcast_id, WAITING)
    leased = exists().where(leased_of(broadcast_id))
    return bool(session.scalar(select(or_(waiting, leased))))


def _because(reasons: Mapping[str, int]) -> str:
    named = ", ".join(f"{n} {reason}" for reason, n in sorted(reasons.items()) if n and reason)
    return f" ({named})" if named else ""
