"""The right to send: grants of a rate limiter, taken a few at a time for the lanes of a process."""

import asyncio
from dataclasses import dataclass, field

from newsletter.sending.ratelimit import Limit, RateLimiter

GRANT = 10
_LONGEST_WAIT_SECONDS = 1.0


@dataclass(slots=True, eq=False)
class Rights:
    """What one bucket allows this process; lives on the event loop.

    Attributes:
        observed_per_second: how fast rights were used lately, counted from `tick` to `tick`.
    """

    limiter: RateLimiter
    bucket: str
    limit: Limit
    observed_per_second: float = 0.0
    _granted: int = 0
    _used: int = 0
    _unlimited: bool = False
    _ticked_at: float = 0.0
    _asking: asyncio.Lock = field(default_factory=asyncio.Lock)

    def use(self) -> bool:
        """Use one right, if there is one now."""
        if not self._unlimited:
            if not self._granted:
                return False
            self._granted -= 1
        self._used += 1
        return True

    async def wait(self) -> None:
        """Ask for more; returns when it is worth trying `use` again."""
        async with self._asking:
            if self._granted or self._unlimited:
                return
            grant = await self.limiter.take(self.bucket, self.limit, GRANT)
            self._granted += grant.granted
        if not grant.granted:
            await asyncio.sleep(min(grant.wait_seconds, _LONGEST_WAIT_SECONDS))

    async def throttled(self) -> None:
        """The other side said "slow down": to what goes out now, which no tick has counted yet."""
        elapsed = asyncio.get_running_loop().time() - self._ticked_at
        lately = self._used / max(elapsed, 1.0)
        observed = max(self.observed_per_second, lately, 1.0)
        await self.limiter.throttled(self.bucket, self.limit, observed)
        self._unlimited = False
        self._granted = 0

    async def tick(self) -> None:
        """Every second or so: measure, and see whether there is a limit at all."""
        now = asyncio.get_running_loop().time()
        if self._ticked_at:
            self.observed_per_second = self._used / (now - self._ticked_at)
        self._ticked_at, self._used = now, 0
        if self.limit.per_second is None:
            self._unlimited = await self.limiter.current(self.bucket, self.limit) is None

    async def give_back(self) -> None:
        """What was granted and not used is for others."""
        unused, self._granted = self._granted, 0
        if unused:
            await self.limiter.give_back(self.bucket, unused)
