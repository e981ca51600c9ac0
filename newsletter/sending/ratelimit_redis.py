"""Token buckets in Redis, which all workers share; a smaller one in memory while Redis is away.

What is granted, less what is given back, over all workers and in any window, is at most
rate * window + burst: also over FLUSHALL, a restart that forgot everything, and an outage that
every worker saw, because every bucket starts empty, a bucket in memory opens only `RETRY_SECONDS`
after Redis was lost, and the bucket in Redis stays closed for `CLOSED_SECONDS` after the first
worker comes back from its own, until the others have.

Without Redis each worker may save up at least one message: + 1 per worker where the burst is
smaller than the number of workers. A worker cut off alone sends its share on top of the others'
full rate: they cannot know.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import redis.asyncio as redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from newsletter.core import logs
from newsletter.core.config import Settings
from newsletter.core.errors import ConfigurationError
from newsletter.core.sentences import say
from newsletter.sending.ratelimit import (
    RECOVERY_PER_SECOND,
    SETTLE_SECONDS,
    SHORTEST_WAIT_SECONDS,
    SLOWEST_PER_SECOND,
    Grant,
    Limit,
    RateLimiter,
)
from newsletter.sending.ratelimit_memory import MemoryLimiter

TIMEOUT_SECONDS = 0.5
RETRY_SECONDS = 2.0
CLOSED_SECONDS = RETRY_SECONDS + 2 * TIMEOUT_SECONDS
KEY_PREFIX = "newsletter:rate:"

_SCRIPT = Path(__file__).with_name("ratelimit.lua").read_text(encoding="utf-8")
_CONSTANTS = (RECOVERY_PER_SECOND, SETTLE_SECONDS, SLOWEST_PER_SECOND)
_NO_LIMIT = Limit(None, 1)

log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class _Answer:
    granted: int
    wait_seconds: float
    rate: float | None
    is_throttled: bool


class RedisLimiter:
    """A `RateLimiter` over all workers; one for each event loop.

    `share` tells which part of all workers this process is, 0 < share <= 1: what it may go on
    with while Redis is away.

    Raises:
        ConfigurationError: the URL is not one of Redis.
    """

    def __init__(
        self,
        url: str,
        share: Callable[[], float],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        try:
            # No retries: a script whose reply is lost has taken its tokens, and ten more tries,
            # the library's default, would hold up the sender for seconds.
            self._redis = redis.Redis.from_url(
                url,
                socket_timeout=TIMEOUT_SECONDS,
                socket_connect_timeout=TIMEOUT_SECONDS,
                retry=Retry(NoBackoff(), 0),
                decode_responses=True,
            )
        except ValueError:
            raise ConfigurationError(
                say("broker.url: expected redis://…, which also keeps the rates that workers share")
            ) from None
        self._script = self._redis.register_script(_SCRIPT)
        self._share = share
        self._clock = clock
        self._own: MemoryLimiter | None = None
        """Stands in while Redis is away."""
        self._ask_again_at = -math.inf
        self._granted_alone: set[str] = set()
        self._throttled_rates: dict[str, float] = {}
        """As Redis last told them: what it said before it went away still counts."""

    async def take(self, bucket: str, limit: Limit, want: int) -> Grant:
        closed = CLOSED_SECONDS if bucket in self._granted_alone else 0.0
        answer = await self._ask(bucket, "take", want, limit, closed)
        if answer is None:
            return await self._take_alone(bucket, limit, want)
        self._granted_alone.discard(bucket)
        if answer.granted:
            return Grant(answer.granted)
        return Grant(0, max(answer.wait_seconds, SHORTEST_WAIT_SECONDS))

    async def give_back(self, bucket: str, unused: int) -> None:
        if await self._ask(bucket, "give_back", unused, _NO_LIMIT) is None and self._own:
            await self._own.give_back(bucket, unused)

    async def throttled(self, bucket: str, limit: Limit, observed_per_second: float) -> None:
        of_all = observed_per_second / self._share()
        if await self._ask(bucket, "throttled", of_all, limit) is None and self._own:
            part = self._part(bucket, limit)
            await self._own.throttled(bucket, part, observed_per_second)

    async def current(self, bucket: str, limit: Limit) -> float | None:
        answer = await self._ask(bucket, "current", 0, limit)
        if answer is None and self._own:
            return await self._own.current(bucket, self._part(bucket, limit))
        return answer.rate if answer else limit.per_second

    async def aclose(self) -> None:
        await self._redis.aclose()

    async def _take_alone(self, bucket: str, limit: Limit, want: int) -> Grant:
        assert self._own is not None
        grant = await self._own.take(bucket, self._part(bucket, limit), want)
        if grant.granted:
            self._granted_alone.add(bucket)
        return replace(grant, wait_seconds=min(grant.wait_seconds, RETRY_SECONDS))

    def _part(self, bucket: str, limit: Limit) -> Limit:
        """This process's part of what all may send; of the throttled rate, if that is known."""
        rate = self._throttled_rates.get(bucket, limit.per_second)
        if rate is None:
            return limit
        share = self._share()
        return Limit(rate * share, max(1, math.floor(limit.burst * share)))

    async def _ask(
        self, bucket: str, verb: str, number: float, limit: Limit, closed: float = 0.0
    ) -> _Answer | None:
        """What Redis says, or None while it is away."""
        if self._own and self._clock() < self._ask_again_at:
            return None
        self._ask_again_at = self._clock() + RETRY_SECONDS  # away, one asks and the others wait
        rate = "" if limit.per_second is None else repr(limit.per_second)
        arguments: list[str | float] = [verb, number, rate, limit.burst, closed, *_CONSTANTS]
        try:
            answer = await self._run(KEY_PREFIX + bucket, arguments)
        except (RedisError, OSError) as error:
            await self._lost(error)
            return None
        self._found()
        if verb != "give_back":
            self._remember(bucket, answer)
        return answer

    async def _run(self, key: str, arguments: list[str | float]) -> _Answer:
        try:
            reply = await self._script(keys=[key], args=arguments)
        except RedisConnectionError:
            # A connection that Redis closed while it was idle, or a quick restart, is no outage.
            await self._redis.connection_pool.disconnect(inuse_connections=False)
            reply = await self._script(keys=[key], args=arguments)
        granted, microseconds, rate, throttled = reply
        return _Answer(
            int(granted),
            int(microseconds) / 1_000_000,
            float(rate) if rate else None,
            bool(throttled),
        )

    async def _lost(self, error: Exception) -> None:
        await self._redis.connection_pool.disconnect(inuse_connections=False)
        if self._own is None:
            log.warning("rates.alone", error=type(error).__name__, share=self._share())
            self._own = MemoryLimiter(self._clock, opens_at=self._clock() + RETRY_SECONDS)
        self._ask_again_at = self._clock() + RETRY_SECONDS

    def _found(self) -> None:
        if self._own is not None:
            log.warning("rates.shared_again")
            self._own = None

    def _remember(self, bucket: str, answer: _Answer) -> None:
        if answer.is_throttled and answer.rate is not None:
            self._throttled_rates[bucket] = answer.rate
        else:
            self._throttled_rates.pop(bucket, None)


def limiter_for(settings: Settings, share: Callable[[], float]) -> RateLimiter:
    """One process's buckets in memory; with a broker, those that all workers share.

    Raises:
        ConfigurationError: the broker is not Redis.
    """
    broker = settings.broker.url.get_secret_value()
    return RedisLimiter(broker, share) if broker else MemoryLimiter()
