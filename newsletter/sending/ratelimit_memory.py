"""Token buckets of one process: the embedded sender's, and a worker's while Redis is away."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from newsletter.sending.ratelimit import (
    RECOVERY_PER_SECOND,
    SETTLE_SECONDS,
    SHORTEST_WAIT_SECONDS,
    SLOWEST_PER_SECOND,
    Grant,
    Limit,
)

_MANY_BUCKETS = 1000
_IDLE_SECONDS = 600
_ROUNDING_SECONDS = 1e-6
"""Who comes back exactly in time must not find 0.9999 of a token."""


@dataclass(frozen=True, slots=True)
class _Slowed:
    """Since when, from which rate on, and what the full rate is that it recovers to."""

    rate: float
    at: float
    full: float

    def rate_at(self, now: float) -> float:
        return self.rate + self.full * RECOVERY_PER_SECOND * (now - self.at)


@dataclass(slots=True)
class _Bucket:
    """`filled_at` in the future: closed until then."""

    filled_at: float
    tokens: float = 0.0
    capacity: float = 0.0
    slowed: _Slowed | None = None

    def rate(self, limit: Limit, now: float) -> float | None:
        """The effective rate; the configured one, or None, once recovered."""
        if self.slowed is None:
            return limit.per_second
        rate = self.slowed.rate_at(now)
        return rate if rate < (limit.per_second or self.slowed.full) else limit.per_second

    def take(self, limit: Limit, rate: float, want: int, now: float) -> Grant:
        self.capacity = limit.capacity(rate)
        gained = rate * max(0.0, now - self.filled_at)
        self.tokens = min(self.capacity, self.tokens + gained)
        self.filled_at = max(self.filled_at, now)
        granted = min(want, math.floor(self.tokens))
        if granted < 1:
            wait = self.filled_at - now + (1 - self.tokens) / rate
            return Grant(0, max(wait + _ROUNDING_SECONDS, SHORTEST_WAIT_SECONDS))
        self.tokens -= granted
        return Grant(granted)

    def give_back(self, unused: int) -> None:
        self.tokens = min(self.capacity, self.tokens + unused)

    def slow_down(self, limit: Limit, observed: float, now: float) -> None:
        if self.slowed and now - self.slowed.at < SETTLE_SECONDS:
            return
        rate = self.rate(limit, now)
        before = max(observed, SLOWEST_PER_SECOND) if rate is None else rate
        known = self.slowed.full if self.slowed and rate is not None else before
        floor = min(before, SLOWEST_PER_SECOND)
        self.slowed = _Slowed(max(before / 2, floor), now, limit.per_second or known)
        self.tokens, self.filled_at = 0.0, max(self.filled_at, now)


class MemoryLimiter:
    """A `RateLimiter` of one process.

    `clock` counts seconds and never goes back. No bucket opens before `opens_at`.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, *, opens_at: float = -math.inf
    ) -> None:
        self._clock = clock
        self._opens_at = opens_at
        self._buckets: dict[str, _Bucket] = {}

    async def take(self, bucket: str, limit: Limit, want: int) -> Grant:
        now = self._clock()
        rate = self._rate(bucket, limit, now)
        if rate is None:
            return Grant(want)
        return self._opened(bucket, now).take(limit, rate, want, now)

    async def give_back(self, bucket: str, unused: int) -> None:
        if found := self._buckets.get(bucket):
            found.give_back(unused)

    async def throttled(self, bucket: str, limit: Limit, observed_per_second: float) -> None:
        now = self._clock()
        self._opened(bucket, now).slow_down(limit, observed_per_second, now)

    async def current(self, bucket: str, limit: Limit) -> float | None:
        return self._rate(bucket, limit, self._clock())

    async def aclose(self) -> None:
        """Nothing is open."""

    def _rate(self, bucket: str, limit: Limit, now: float) -> float | None:
        found = self._buckets.get(bucket)
        return found.rate(limit, now) if found else limit.per_second

    def _opened(self, bucket: str, now: float) -> _Bucket:
        """The bucket; an unknown one is empty, so that a restart gives nobody a second burst."""
        if bucket not in self._buckets:
            self._forget_idle(now)
            self._buckets[bucket] = _Bucket(max(now, self._opens_at))
        return self._buckets[bucket]

    def _forget_idle(self, now: float) -> None:
        """Domains come and go; a process lives for months."""
        if len(self._buckets) >= _MANY_BUCKETS:
            self._buckets = {
                name: kept
                for name, kept in self._buckets.items()
                if now - kept.filled_at < _IDLE_SECONDS
            }
