"""One contract for both rate limiters: what is granted, halved, and recovered."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from newsletter.core.sections import RelaySettings
from newsletter.sending.ratelimit import (
    SETTLE_SECONDS,
    Grant,
    Limit,
    domain_bucket,
    relay_bucket,
)
from newsletter.sending.ratelimit_memory import MemoryLimiter
from tests.rate_buckets import MAIN, SLOWLY, UNLIMITED, Buckets, Clock, in_memory, in_redis

Test = Callable[[Buckets], Coroutine[Any, Any, None]]


@pytest.fixture(params=["memory", "redis"])
def run(request: pytest.FixtureRequest) -> Callable[[Test], None]:
    """Runs a test's coroutine with one of the two."""
    if request.param == "memory":
        return lambda test: asyncio.run(test(in_memory()))
    url = request.getfixturevalue("redis_url")

    async def with_redis(test: Test) -> None:
        async with in_redis(url) as buckets:
            await test(buckets)

    return lambda test: asyncio.run(with_redis(test))


def test_a_bucket_starts_empty_and_holds_its_burst_and_no_more(
    run: Callable[[Test], None],
) -> None:
    async def test(buckets: Buckets) -> None:
        first = await buckets.limiter.take(MAIN, SLOWLY, 10)
        assert first.granted == 0
        assert 1.9 < first.wait_seconds < 2.01
        buckets.later(1000)
        assert await buckets.take(SLOWLY, 10) == 4
        assert await buckets.take(SLOWLY, 10) == 0
        buckets.later(4.1)
        assert await buckets.take(SLOWLY, 10) == 2

    run(test)


def test_no_more_is_granted_than_was_asked_for_and_what_is_unused_goes_back(
    run: Callable[[Test], None],
) -> None:
    async def test(buckets: Buckets) -> None:
        await buckets.limiter.give_back(MAIN, 3)
        await buckets.fill(SLOWLY)
        assert await buckets.take(SLOWLY, 3) == 3
        await buckets.limiter.give_back(MAIN, 2)
        assert await buckets.take(SLOWLY, 10) == 3
        await buckets.limiter.give_back(MAIN, 100)
        assert await buckets.take(SLOWLY, 10) == 4, "never more than the burst"

    run(test)


def test_who_waits_as_told_is_granted(run: Callable[[Test], None]) -> None:
    async def test(buckets: Buckets) -> None:
        for _ in range(20):
            grant = await buckets.limiter.take(MAIN, Limit(0.3, 1), 10)
            if not grant.granted:
                buckets.later(grant.wait_seconds)
                grant = await buckets.limiter.take(MAIN, Limit(0.3, 1), 10)
            assert grant == Grant(1)

    run(test)


def test_throttled_it_goes_on_at_half_and_recovers_slowly(run: Callable[[Test], None]) -> None:
    async def test(buckets: Buckets) -> None:
        limit, limiter = Limit(10, 10), buckets.limiter
        await buckets.fill(limit)
        assert await limiter.current(MAIN, limit) == 10
        await limiter.throttled(MAIN, limit, 99)
        await limiter.throttled(MAIN, limit, 99)
        assert await limiter.current(MAIN, limit) == pytest.approx(5, abs=0.5), "once"
        grant = await limiter.take(MAIN, limit, 10)
        assert grant.granted <= 1, "no burst for a relay that has just said no"
        buckets.later(10)
        assert await limiter.current(MAIN, limit) == pytest.approx(6, abs=0.5)
        assert await buckets.take(limit, 10) == 6, "a second's worth"
        await limiter.throttled(MAIN, limit, 99)
        assert await limiter.current(MAIN, limit) == pytest.approx(3, abs=0.5)
        buckets.later(69)
        assert await limiter.current(MAIN, limit) == pytest.approx(9.9, abs=0.1)
        buckets.later(2)
        assert await limiter.current(MAIN, limit) == 10

    run(test)


def test_without_a_limit_everything_is_granted_until_the_relay_says_no(
    run: Callable[[Test], None],
) -> None:
    async def test(buckets: Buckets) -> None:
        limiter = buckets.limiter
        assert await buckets.take(UNLIMITED, 500) == 500
        assert await limiter.current(MAIN, UNLIMITED) is None
        await limiter.throttled(MAIN, UNLIMITED, 40)
        assert await limiter.current(MAIN, UNLIMITED) == pytest.approx(20, abs=1)
        buckets.later(1000 * 0.01)
        assert await buckets.take(UNLIMITED, 500) == 24
        buckets.later(SETTLE_SECONDS)
        await limiter.throttled(MAIN, UNLIMITED, 1)
        assert await limiter.current(MAIN, UNLIMITED) == pytest.approx(13, abs=1)
        buckets.later(70)
        assert await limiter.current(MAIN, UNLIMITED) is None
        assert await buckets.take(UNLIMITED, 500) == 500

    run(test)


def test_throttling_never_ends_all_sending(run: Callable[[Test], None]) -> None:
    async def test(buckets: Buckets) -> None:
        for _ in range(30):
            await buckets.limiter.throttled(MAIN, UNLIMITED, 0)
            buckets.later(SETTLE_SECONDS)
        grant = await buckets.limiter.take(MAIN, UNLIMITED, 1)
        assert grant.granted or grant.wait_seconds <= 60

    run(test)


def test_each_domain_and_each_relay_has_its_own_bucket(run: Callable[[Test], None]) -> None:
    async def test(buckets: Buckets) -> None:
        slow = domain_bucket("main", "example.org")
        await buckets.fill(SLOWLY, slow)
        await buckets.limiter.throttled(slow, SLOWLY, 1)
        await buckets.fill(SLOWLY, MAIN)
        assert await buckets.take(SLOWLY, 4, MAIN) == 4
        assert await buckets.take(UNLIMITED, 4, domain_bucket("main", "example.com")) == 4
        assert await buckets.limiter.current(relay_bucket("other"), SLOWLY) == 0.5
        assert await buckets.limiter.current(slow, Limit(10, 10)) != 10

    run(test)


@given(
    rate=st.floats(0.05, 200),
    burst=st.integers(1, 50),
    steps=st.lists(
        st.tuples(st.floats(0, 30), st.integers(1, 40), st.integers(0, 40), st.booleans()),
        max_size=40,
    ),
)
def test_over_any_takes_at_any_times_no_window_exceeds_rate_and_burst(
    rate: float, burst: int, steps: list[tuple[float, int, int, bool]]
) -> None:
    clock, limit = Clock(0.0), Limit(rate, burst)
    limiter = MemoryLimiter(clock)
    moved: list[tuple[float, int]] = []

    async def walk() -> None:
        for wait, want, unused, throttle in steps:
            clock.seconds += wait
            granted = (await limiter.take(MAIN, limit, want)).granted
            back = min(unused, granted)
            await limiter.give_back(MAIN, back)
            moved.append((clock.seconds, granted - back))
            if throttle:
                await limiter.throttled(MAIN, limit, want)

    asyncio.run(walk())
    for first, (begin, _) in enumerate(moved):
        sent = 0
        for end, count in moved[first:]:
            sent += count
            assert sent <= rate * (end - begin) + burst + 1e-6


def test_a_process_forgets_domains_that_it_has_not_seen_for_long() -> None:
    async def test() -> None:
        clock = Clock()
        limiter = MemoryLimiter(clock)
        for number in range(3000):
            await limiter.take(domain_bucket("main", f"d{number}.example.org"), SLOWLY, 1)
            clock.seconds += 1
        assert len(limiter._buckets) <= 1001

    asyncio.run(test())


def test_the_burst_is_a_seconds_worth_unless_it_is_given() -> None:
    def limit(**given: Any) -> Limit:
        return Limit.of(RelaySettings(name="main", url=SecretStr("smtp://x"), **given))

    assert limit() == Limit(None, 1)
    assert limit(rate=13.5) == Limit(13.5, 14)
    assert limit(rate=0.1) == Limit(0.1, 1)
    assert limit(rate=14, burst=50) == Limit(14, 50)
