"""Relays over all workers: which may be used now, what was learned about them, who paused them.

Every function joins the caller's transaction and takes the time from it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from newsletter.accounts import audit
from newsletter.core.errors import NotFoundError, RefusedError
from newsletter.core.sections import RelaySettings
from newsletter.core.sentences import say
from newsletter.sending.breaker import PROBE_WITHIN, Breaker, BreakerState
from newsletter.sending.models import RelayState

LEARNED_FOR = timedelta(days=1)
"""The provider may have changed: after that the configured limits are tried again."""


@dataclass(frozen=True, slots=True)
class Usable:
    """A relay that may be used now; `is_probe`: by this caller alone, over one connection."""

    relay: RelaySettings
    is_probe: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """What is configured, less what the relay taught us in the last day."""

    connections: int
    messages_per_connection: int | None
    may_pipeline: bool = True


@dataclass(frozen=True, slots=True)
class RelayStatus:
    """A relay as an operator sees it.

    Attributes:
        state: `paused`, or the breaker's state.
        reason: why it is not simply usable.
        until: the end of an open breaker.
    """

    relay: RelaySettings
    limits: Limits
    state: str
    reason: str = ""
    until: datetime | None = None

    @property
    def is_paused(self) -> bool:
        """Somebody paused it."""
        return self.state == "paused"


def find_relay(relays: Sequence[RelaySettings], name: str) -> RelaySettings:
    """The relay with this name in the settings.

    Raises:
        NotFoundError: there is none; names those there are.
    """
    for relay in relays:
        if relay.name == name:
            return relay
    known = ", ".join(relay.name for relay in relays) or say("none")
    raise NotFoundError("relay", name, say("in the settings there are: %(known)s", known=known))


def choose(session: Session, relays: Sequence[RelaySettings], now: datetime) -> list[Usable]:
    """The relays that may be used now, in configured order; needs a writing session.

    A half-open breaker grants its one probe to this caller, who offers one message and then calls
    `succeeded` or `faulted`, or gives the probe back by `give_back_probe`.
    """
    states = _states(session, relays)
    usable = []
    for relay in relays:
        state = states.get(relay.name)
        if state is None:
            usable.append(Usable(relay))
        elif not state.paused:
            breaker = _breaker(state).state(now)
            if breaker is BreakerState.CLOSED:
                usable.append(Usable(relay))
            elif breaker is BreakerState.HALF_OPEN and _take_probe(session, relay.name, now):
                usable.append(Usable(relay, is_probe=True))
    return usable


def faulted(
    session: Session, name: str, reason: str, now: datetime, *, is_configuration: bool = False
) -> bool:
    """Count a fault of the relay; True when this one opened its breaker."""
    state = _locked(session, name, now)
    before = _breaker(state)
    after = before.after_fault(now, reason, is_configuration=is_configuration)
    _keep(state, after)
    return after.openings > before.openings


def succeeded(session: Session, name: str, now: datetime) -> bool:
    """A message was accepted; True when this closed the breaker.

    Costs one read where no probe is due; callers need it only for a relay's first acceptance of
    a slice.
    """
    state = session.scalar(select(RelayState).where(RelayState.name == name))
    if state is None or _breaker(state).after_success(now) == _breaker(state):
        return False
    state = _locked(session, name, now)
    before = _breaker(state)
    _keep(state, before.after_success(now))
    return before.until is not None and state.breaker_until is None


def give_back_probe(session: Session, name: str, now: datetime) -> None:
    """Nothing was offered after all: the next who asks may probe."""
    session.execute(
        update(RelayState)
        .where(RelayState.name == name, RelayState.probing)
        .values(breaker_until=now, probing=False)
    )


def limits(session: Session, relay: RelaySettings, now: datetime) -> Limits:
    """What the relay may be asked for now."""
    return _limits(relay, _states(session, [relay]).get(relay.name), now)


def learn_connections(session: Session, name: str, held: int, now: datetime) -> None:
    """It said "too many connections" while all workers together held `held` to it."""
    state = _learning(session, name, now)
    learned = max(1, held - 1)
    state.learned_connections = min(learned, state.learned_connections or learned)


def learn_messages_per_connection(session: Session, name: str, sent: int, now: datetime) -> None:
    """It said "too many messages on this connection" after `sent`."""
    state = _learning(session, name, now)
    learned = max(1, sent)
    state.learned_messages_per_connection = min(
        learned, state.learned_messages_per_connection or learned
    )


def learn_broken_pipelining(session: Session, name: str, now: datetime) -> None:
    """It advertises PIPELINING and does not keep to it."""
    _learning(session, name, now).pipelining_broken = True


def pause(session: Session, name: str, reason: str, now: datetime) -> None:
    """Offer this relay nothing until it is resumed.

    Raises:
        RefusedError: it is paused already.
    """
    state = _locked(session, name, now)
    if state.paused:
        raise RefusedError(say("relay %(name)s is paused already", name=name))
    state.paused, state.pause_reason = True, reason


def resume(session: Session, name: str, now: datetime) -> None:
    """Use it again, with the configured limits and a closed breaker: an operator looked at it."""
    state = _locked(session, name, now)
    state.paused, state.pause_reason = False, ""
    _keep(state, Breaker())
    _forget(state)


def list_relays(
    session: Session, relays: Sequence[RelaySettings], now: datetime
) -> list[RelayStatus]:
    """Every configured relay, in order."""
    states = _states(session, relays)
    return [_status(relay, states.get(relay.name), now) for relay in relays]


def all_paused_by(session: Session, statuses: Sequence[RelayStatus]) -> tuple[str, ...]:
    """Who paused the relays, when none is left in use; empty: one is, or there is none at all.

    Actors of the audit trail; of a pause that is not in it, the reason that was given.
    """
    if not all(status.is_paused for status in statuses):
        return ()
    found = [
        audit.latest_actor(session, "relay.paused", relay=status.relay.name) or status.reason
        for status in statuses
    ]
    return tuple(dict.fromkeys(found))


def _status(relay: RelaySettings, state: RelayState | None, now: datetime) -> RelayStatus:
    known = _limits(relay, state, now)
    if state is None:
        return RelayStatus(relay, known, BreakerState.CLOSED)
    if state.paused:
        return RelayStatus(relay, known, "paused", state.pause_reason)
    breaker = _breaker(state)
    phase = breaker.state(now)
    until = breaker.until if phase is BreakerState.OPEN else None
    return RelayStatus(relay, known, phase, breaker.reason, until)


def _limits(relay: RelaySettings, state: RelayState | None, now: datetime) -> Limits:
    connections, messages = relay.connections, relay.messages_per_connection
    if state is None or _is_stale(state, now):
        return Limits(connections, messages)
    learned = state.learned_messages_per_connection
    return Limits(
        min(connections, state.learned_connections or connections),
        min(messages or learned, learned) if learned else messages,
        may_pipeline=not state.pipelining_broken,
    )


def _states(session: Session, relays: Sequence[RelaySettings]) -> dict[str, RelayState]:
    names = [relay.name for relay in relays]
    return {
        state.name: state
        for state in session.scalars(select(RelayState).where(RelayState.name.in_(names)))
    }


def _take_probe(session: Session, name: str, now: datetime) -> bool:
    """One statement decides over all workers; whoever comes second finds the time moved on."""
    return (
        session.scalar(
            update(RelayState)
            .where(
                RelayState.name == name,
                RelayState.breaker_until <= now,
                RelayState.paused.is_(False),
            )
            .values(breaker_until=now + PROBE_WITHIN, probing=True, updated_at=now)
            .returning(RelayState.name)
        )
        is not None
    )


def _locked(session: Session, name: str, now: datetime) -> RelayState:
    """The relay's row, ours until the transaction ends; made on first use."""
    postgres = session.get_bind().dialect.name == "postgresql"
    insert = postgresql.insert if postgres else sqlite.insert
    session.execute(
        insert(RelayState).values(name=name).on_conflict_do_nothing(index_elements=["name"])
    )
    state = session.scalars(
        select(RelayState)
        .where(RelayState.name == name)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one()
    state.updated_at = now
    return state


def _learning(session: Session, name: str, now: datetime) -> RelayState:
    """The row to write a lesson into, rid of those that are too old to hold."""
    state = _locked(session, name, now)
    if _is_stale(state, now):
        _forget(state)
    state.learned_at = now
    return state


def _is_stale(state: RelayState, now: datetime) -> bool:
    return state.learned_at is None or now - state.learned_at > LEARNED_FOR


def _forget(state: RelayState) -> None:
    state.learned_connections = state.learned_messages_per_connection = None
    state.pipelining_broken, state.learned_at = False, None


def _breaker(state: RelayState) -> Breaker:
    return Breaker(
        state.faults,
        state.first_fault_at,
        state.breaker_openings,
        state.breaker_until,
        state.probing,
        state.breaker_reason,
    )


def _keep(state: RelayState, breaker: Breaker) -> None:
    state.faults = breaker.faults
    state.first_fault_at = breaker.first_fault_at
    state.breaker_openings = breaker.openings
    state.breaker_until = breaker.until
    state.probing = breaker.is_probing
    state.breaker_reason = breaker.reason
