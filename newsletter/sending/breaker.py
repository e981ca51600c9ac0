"""The breaker of a relay as a value: how many faults open it, for how long, and what closes it.

closed -> open on the fifth fault within 30 s, or on the first that is our own configuration's;
open -> half-open by time; half-open -> probing when somebody is granted the probe;
probing -> closed by a success, -> open for twice as long by a fault. A probe that is never heard
of again ends by itself. While it is open, what is still under way changes nothing.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

FAULTS_TO_OPEN = 5
FAULTS_WITHIN = timedelta(seconds=30)
FIRST_OPEN_FOR = timedelta(seconds=30)
LONGEST_OPEN_FOR = timedelta(minutes=10)
PROBE_WITHIN = timedelta(seconds=60)


class BreakerState(StrEnum):
    """Whether a relay may be offered mail."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"
    """One connection may try, whoever asks first."""
    PROBING = "probing"


@dataclass(frozen=True, slots=True)
class Breaker:
    """`openings` counts those since it was last closed; `until` is None when it is closed."""

    faults: int = 0
    first_fault_at: datetime | None = None
    openings: int = 0
    until: datetime | None = None
    is_probing: bool = False
    reason: str = ""

    def state(self, now: datetime) -> BreakerState:
        if self.until is None:
            return BreakerState.CLOSED
        if self.until <= now:
            return BreakerState.HALF_OPEN
        return BreakerState.PROBING if self.is_probing else BreakerState.OPEN

    def after_fault(self, now: datetime, reason: str, *, is_configuration: bool) -> "Breaker":
        """A configuration's fault will not go away by trying: one is enough."""
        state = self.state(now)
        if state is BreakerState.OPEN:
            return self
        if state is not BreakerState.CLOSED:
            return self._opened(now, reason)
        counted = self._counted(now)
        if is_configuration or counted.faults >= FAULTS_TO_OPEN:
            return self._opened(now, reason)
        return counted

    def after_success(self, now: datetime) -> "Breaker":
        """Closes it when a probe was due; a mail accepted on an old connection proves nothing."""
        if self.state(now) in (BreakerState.PROBING, BreakerState.HALF_OPEN):
            return Breaker()
        return self

    def granted(self, now: datetime) -> "Breaker":
        """The probe is somebody's; should nothing be heard of it, another may try."""
        return replace(self, until=now + PROBE_WITHIN, is_probing=True)

    def _counted(self, now: datetime) -> "Breaker":
        if self.first_fault_at is None or now - self.first_fault_at > FAULTS_WITHIN:
            return replace(self, faults=1, first_fault_at=now)
        return replace(self, faults=self.faults + 1)

    def _opened(self, now: datetime, reason: str) -> "Breaker":
        doubled = FIRST_OPEN_FOR * 2 ** min(self.openings, 10)
        until = now + min(doubled, LONGEST_OPEN_FOR)
        return Breaker(openings=self.openings + 1, until=until, reason=reason)
