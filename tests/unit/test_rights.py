"""Rights to send in a worker's hands, and what it knows of its own speed when told to slow down."""

import asyncio
from dataclasses import dataclass, field

from newsletter.sending.ratelimit import Limit
from newsletter.sending.ratelimit_memory import MemoryLimiter
from newsletter.sending.rights import Rights


@dataclass
class Told(MemoryLimiter):
    """A limiter that writes down how fast the others said they were."""

    observed: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    async def throttled(self, bucket: str, limit: Limit, observed_per_second: float) -> None:
        self.observed.append(observed_per_second)
        await super().throttled(bucket, limit, observed_per_second)


def test_who_is_told_to_slow_down_within_the_first_second_knows_how_fast_it_was() -> None:
    """Taken for one a second, a relay that bears fourteen would be offered half of one."""
    limiter = Told()

    async def act() -> None:
        rights = Rights(limiter, "relay", Limit(None, 1))
        await rights.tick()
        assert sum(rights.use() for _ in range(22)) == 22
        await rights.throttled()

    asyncio.run(act())
    assert limiter.observed == [22.0]
