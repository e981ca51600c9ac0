"""Rate limiters under test: how their time passes, and the limits that the tests use."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import redis

from newsletter.sending.ratelimit import Limit, RateLimiter, relay_bucket
from newsletter.sending.ratelimit_memory import MemoryLimiter
from newsletter.sending.ratelimit_redis import KEY_PREFIX, RedisLimiter

MAIN = relay_bucket("main")
SLOWLY = Limit(0.5, 4)
"""So slow that the time which a test takes gives nobody another token."""
UNLIMITED = Limit(None, 1)


@dataclass
class Clock:
    seconds: float = 1000.0

    def __call__(self) -> float:
        return self.seconds


@dataclass
class Buckets:
    """A limiter, and how its time passes."""

    limiter: RateLimiter
    later: Callable[[float], None]

    async def take(self, limit: Limit, want: int = 10, bucket: str = MAIN) -> int:
        return (await self.limiter.take(bucket, limit, want)).granted

    async def fill(self, limit: Limit, bucket: str = MAIN) -> None:
        """A bucket starts empty; once it is known, time fills it."""
        assert await self.take(limit, 1, bucket) == 0
        self.later(1000)


def in_memory() -> Buckets:
    clock = Clock()

    def later(seconds: float) -> None:
        clock.seconds += seconds

    return Buckets(MemoryLimiter(clock), later)


@asynccontextmanager
async def in_redis(url: str) -> AsyncIterator[Buckets]:
    """Time passes by making what is stored older."""
    with redis.Redis.from_url(url, decode_responses=True) as server:
        server.flushall()
        limiter = RedisLimiter(url, lambda: 1.0)
        try:
            yield Buckets(limiter, lambda seconds: age(server, seconds))
        finally:
            await limiter.aclose()


def age(server: "redis.Redis", seconds: float) -> None:
    for key in server.keys(KEY_PREFIX + "*"):
        for field in ("at", "slow_at"):
            if server.hexists(key, field):
                server.hincrbyfloat(key, field, -seconds)
