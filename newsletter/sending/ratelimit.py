"""How fast a relay may be sent to, over all workers: token buckets that slow down when told to.

A bucket holds at most `burst` tokens, gains `per_second` of them a second, and starts empty.
Throttled, it goes on at half the rate and regains a hundredth of the full rate each second.
See docs/decisions/0012-rates-are-shared-by-a-bucket-in-redis.md.
"""

import math
from dataclasses import dataclass
from typing import Protocol, Self

from newsletter.core.sections import RelaySettings

RECOVERY_PER_SECOND = 0.01
"""The part of the full rate that comes back each second without throttling: 10 % in 10 s."""
SETTLE_SECONDS = 5.0
"""Replies to what was already under way say "slow down" too: for so long they count as one."""
SLOWEST_PER_SECOND = 1 / 60
"""No throttling goes below this: something has to be sent to learn that the relay is well again."""
SHORTEST_WAIT_SECONDS = 0.001


@dataclass(frozen=True, slots=True)
class Limit:
    """What is configured; without `per_second`, unlimited until the relay throttles us."""

    per_second: float | None
    burst: int

    @classmethod
    def of(cls, relay: RelaySettings) -> Self:
        """The relay's own; the burst is a second's worth unless it is given."""
        return cls(relay.rate, relay.burst or max(1, math.ceil(relay.rate or 1)))

    def capacity(self, rate: float) -> float:
        """The tokens a bucket of this limit holds at the effective `rate`.

        Throttled, it is a second's worth: a relay that just said "slow down" gets no burst.
        """
        if self.per_second is None:
            return max(1.0, rate)
        if rate < self.per_second:
            return max(1.0, min(float(self.burst), rate))
        return float(self.burst)


@dataclass(frozen=True, slots=True)
class Grant:
    """`granted` >= 1, or 0 and how long to wait before asking again."""

    granted: int
    wait_seconds: float = 0.0


class RateLimiter(Protocol):
    """Hands out the right to send. Used in one event loop; never raises for a lost server.

    Granted less given back in any window is at most `per_second` * window + `burst`, over all
    workers; what is granted is to be used or given back within about a second, since what is
    held longer goes out on top.
    """

    async def take(self, bucket: str, limit: Limit, want: int) -> Grant:
        """The right to send up to `want` messages; may grant fewer."""
        ...

    async def give_back(self, bucket: str, unused: int) -> None:
        """Return what was granted and not used, at the end of a slice."""
        ...

    async def throttled(self, bucket: str, limit: Limit, observed_per_second: float) -> None:
        """The relay, or a domain behind it, said "slow down": go on at half the rate.

        Half of the effective rate; where there is none, half of what this process observed of
        itself. At most once in `SETTLE_SECONDS`.
        """
        ...

    async def current(self, bucket: str, limit: Limit) -> float | None:
        """The effective rate now; None: unlimited."""
        ...

    async def aclose(self) -> None:
        """Close what is open."""
        ...


def relay_bucket(relay: str) -> str:
    """The bucket of everything that goes to a relay, by its configured name."""
    return f"relay/{relay}"


def domain_bucket(relay: str, domain_key: str) -> str:
    """The bucket of one domain behind a relay, for domains that asked us to slow down."""
    return f"relay/{relay}/domain/{domain_key}"
