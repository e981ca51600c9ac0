"""Rates over all workers: several processes, a Redis that forgets, stops, or comes back."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis

from newsletter.core.config import Settings
from newsletter.core.errors import ConfigurationError
from newsletter.sending.ratelimit import Limit, relay_bucket
from newsletter.sending.ratelimit_memory import MemoryLimiter
from newsletter.sending.ratelimit_redis import (
    CLOSED_SECONDS,
    KEY_PREFIX,
    RETRY_SECONDS,
    RedisLimiter,
    limiter_for,
)
from tests.conftest import need
from tests.rate_buckets import MAIN, SLOWLY, UNLIMITED, Clock, age, in_redis
from tests.servers import packages, processes

WORKER = """
import asyncio, sys, time
from newsletter.sending.ratelimit import Limit
from newsletter.sending.ratelimit_redis import RedisLimiter

async def connection(limiter, end):
    total = 0
    while time.monotonic() < end:
        grant = await limiter.take("relay/main", Limit(200, 20), 7)
        total += grant.granted
        await asyncio.sleep(grant.wait_seconds)
    return total

async def main():
    limiter = RedisLimiter(sys.argv[1], lambda: 1.0)
    end = time.monotonic() + 1
    print(sum(await asyncio.gather(*(connection(limiter, end) for _ in range(5)))))
    await limiter.aclose()

asyncio.run(main())
"""


@pytest.mark.parametrize("is_flushed", [False, True])
def test_many_connections_of_several_processes_share_one_rate(
    redis_url: str, is_flushed: bool
) -> None:
    """Measured on the clock that the rate is kept by, and from above only."""
    with redis.Redis.from_url(redis_url) as server:
        server.flushall()
        begin = time_of(server)
        command = [sys.executable, "-c", WORKER, redis_url]
        workers = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(3)]
        while is_flushed and any(worker.poll() is None for worker in workers):
            server.flushall()
            time.sleep(0.2)
        granted = sum(int(worker.communicate()[0].split()[-1]) for worker in workers)
        end = time_of(server)
    assert 0 < granted <= 200 * (end - begin) + 20


def time_of(server: "redis.Redis") -> float:
    seconds, microseconds = server.time()
    return float(seconds) + float(microseconds) / 1_000_000


def test_a_forgotten_bucket_gives_no_second_burst(redis_url: str) -> None:
    async def test() -> None:
        async with in_redis(redis_url) as buckets:
            await buckets.fill(SLOWLY)
            assert await buckets.take(SLOWLY) == 4
            flush(redis_url)
            await buckets.limiter.give_back(MAIN, 4)
            assert await buckets.take(SLOWLY) == 0

    asyncio.run(test())


def test_a_forgotten_script_is_loaded_again(redis_url: str) -> None:
    async def test() -> None:
        async with in_redis(redis_url) as buckets:
            await buckets.fill(SLOWLY)
            with redis.Redis.from_url(redis_url) as server:
                server.script_flush()
            assert await buckets.take(SLOWLY) == 4

    asyncio.run(test())


def test_what_is_kept_in_redis_expires(redis_url: str) -> None:
    async def test() -> None:
        async with in_redis(redis_url) as buckets:
            await buckets.take(Limit(0.001, 3))
            await buckets.limiter.throttled(relay_bucket("other"), UNLIMITED, 50)
        with redis.Redis.from_url(redis_url, decode_responses=True) as server:
            assert 3000 < server.ttl(KEY_PREFIX + MAIN) <= 3600
            assert 0 < server.ttl(KEY_PREFIX + relay_bucket("other")) <= 700

    asyncio.run(test())


def test_a_clock_that_was_set_back_holds_nothing_up(redis_url: str) -> None:
    async def test() -> None:
        async with in_redis(redis_url) as buckets:
            await buckets.fill(SLOWLY)
            buckets.later(-10_000)
            await buckets.take(SLOWLY)
            buckets.later(5)
            assert await buckets.take(SLOWLY) >= 1

    asyncio.run(test())


def test_the_broker_decides_where_the_rates_are_kept(redis_url: str) -> None:
    def settings(broker: str) -> Settings:
        database = {"url": "postgresql://db.example.org/newsletter"}
        return Settings.model_validate({"database": database, "broker": {"url": broker}})

    assert isinstance(limiter_for(settings(""), lambda: 1.0), MemoryLimiter)
    assert isinstance(limiter_for(settings(redis_url), lambda: 1.0), RedisLimiter)
    with pytest.raises(ConfigurationError, match=r"broker\.url: expected redis://"):
        limiter_for(settings("amqp://broker.example.org"), lambda: 1.0)


@pytest.fixture
def server() -> Iterator["Server"]:
    need(packages.REDIS)
    with processes.redis() as url:
        yield Server(url)


@dataclass
class Server:
    """A Redis server of one test's own, which it may stop."""

    url: str

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """It neither answers nor refuses, as after a power cut of its machine."""
        with redis.Redis.from_url(self.url) as client:
            process_id = int(client.info("server")["process_id"])
        os.kill(process_id, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(process_id, signal.SIGCONT)

    def end(self) -> None:
        with redis.Redis.from_url(self.url) as client:
            client.shutdown(nosave=True)


def flush(url: str) -> None:
    with redis.Redis.from_url(url) as client:
        client.flushall()


def test_without_redis_each_worker_goes_on_with_its_share(
    server: Server, capfd: pytest.CaptureFixture[str]
) -> None:
    async def test() -> None:
        clock, limit = Clock(), Limit(10, 10)
        limiter = RedisLimiter(server.url, lambda: 0.2, clock=clock)
        await limiter.take(MAIN, limit, 10)
        server.end()
        grant = await limiter.take(MAIN, limit, 10)
        assert grant.granted == 0, "a short outage is waited for"
        clock.seconds += RETRY_SECONDS
        assert (await limiter.take(MAIN, limit, 10)).granted == 0
        clock.seconds += 1000
        assert (await limiter.take(MAIN, limit, 10)).granted == 2
        assert await limiter.current(MAIN, limit) == pytest.approx(2)
        await limiter.give_back(MAIN, 1)
        assert (await limiter.take(MAIN, limit, 10)).granted == 1
        await limiter.throttled(MAIN, limit, 9)
        assert await limiter.current(MAIN, limit) == pytest.approx(1)
        grant = await limiter.take(MAIN, Limit(0.001, 1), 10)
        assert 0 < grant.wait_seconds <= RETRY_SECONDS, "Redis may be back before"
        assert (await limiter.take(relay_bucket("other"), UNLIMITED, 10)).granted == 10
        await limiter.aclose()

    asyncio.run(test())
    assert "".join(capfd.readouterr()).count("rates.alone") == 1


def test_an_outage_does_not_forget_that_we_were_told_to_slow_down(server: Server) -> None:
    async def test() -> None:
        clock = Clock()
        limiter = RedisLimiter(server.url, lambda: 0.5, clock=clock)
        await limiter.throttled(MAIN, UNLIMITED, 20)
        server.end()
        await limiter.take(MAIN, UNLIMITED, 10)
        clock.seconds += 1000
        assert (await limiter.take(MAIN, UNLIMITED, 500)).granted <= 11
        await limiter.aclose()

    asyncio.run(test())


def test_when_redis_is_back_everybody_comes_back_before_it_grants(server: Server) -> None:
    """Its bucket filled meanwhile, and others are still on their own."""

    async def test() -> None:
        clock, limit = Clock(), Limit(10, 10)
        limiter = RedisLimiter(server.url, lambda: 1.0, clock=clock)
        await limiter.take(MAIN, limit, 10)
        with server.stopped():
            await limiter.take(MAIN, limit, 10)
            clock.seconds += 1000
            assert (await limiter.take(MAIN, limit, 10)).granted == 10
        with redis.Redis.from_url(server.url, decode_responses=True) as client:
            age(client, 1000)
            clock.seconds += RETRY_SECONDS
            grant = await limiter.take(MAIN, limit, 10)
            assert grant.granted == 0
            assert grant.wait_seconds > RETRY_SECONDS
            age(client, CLOSED_SECONDS + 0.5)
            assert 5 <= (await limiter.take(MAIN, limit, 10)).granted < 10
        await limiter.aclose()

    asyncio.run(test())


def test_an_outage_in_which_nothing_was_sent_costs_nothing_afterwards(server: Server) -> None:
    async def test() -> None:
        clock = Clock()
        limiter = RedisLimiter(server.url, lambda: 1.0, clock=clock)
        await limiter.take(MAIN, SLOWLY, 10)
        with server.stopped():
            assert (await limiter.take(MAIN, SLOWLY, 10)).granted == 0
        with redis.Redis.from_url(server.url, decode_responses=True) as client:
            age(client, 1000)
        clock.seconds += RETRY_SECONDS
        assert (await limiter.take(MAIN, SLOWLY, 10)).granted == 4
        await limiter.aclose()

    asyncio.run(test())


def test_a_restarted_redis_starts_empty(tmp_path: Path) -> None:
    need(packages.REDIS)

    async def test() -> None:
        clock, port = Clock(), processes.free_port()
        limiter = RedisLimiter(f"redis://127.0.0.1:{port}/0", lambda: 1.0, clock=clock)
        with redis_on(port, tmp_path):
            await limiter.take(MAIN, SLOWLY, 10)
        with redis_on(port, tmp_path):
            assert (await limiter.take(MAIN, SLOWLY, 10)).granted == 0
            with redis.Redis(port=port, decode_responses=True) as client:
                age(client, 1000)
            clock.seconds += RETRY_SECONDS
            assert (await limiter.take(MAIN, SLOWLY, 10)).granted == 4
        await limiter.aclose()

    asyncio.run(test())


@contextmanager
def redis_on(port: int, folder: Path) -> Iterator[None]:
    flags = ["--bind", "127.0.0.1", "--port", str(port), "--save", "", "--dir", str(folder)]
    with (folder / "log").open("ab") as log:
        running = subprocess.Popen([str(packages.REDIS.path()), *flags], stdout=log)
    try:
        assert processes._came_up(running, port, processes._answers_ping)
        yield
    finally:
        running.terminate()
        running.wait()
