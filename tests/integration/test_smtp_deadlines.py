"""The SMTP client waits so long and no longer, whatever drips in."""

import asyncio

import pytest

from newsletter.mail import smtp
from newsletter.mail.smtp import Timeouts
from tests.raw_smtp import GO_ON, OK, Act, Dialogue, Peer
from tests.sample_mail import ADA, BOB, ONE
from tests.smtp_talk import (
    HASTY,
    Run,
    awaiting_a_body,
    brief,
    has_go_ahead,
    opened,
    ready_for_a_body,
    talk,
)

LONG = b"x" * 76 + b"\r\n" * 10_000_000


def test_dripping_does_not_stretch_a_deadline(run: Run, pipelining: bool) -> None:
    async def script(peer: Peer) -> None:
        await ready_for_a_body(peer)
        await peer.body()
        await peer.drip(b"250 2.0.0 " + b"x" * 200 + b"\r\n", pause=0.05)

    async def test() -> None:
        loop = asyncio.get_running_loop()
        start = loop.time()
        exchanges = await talk(
            script, (None, ADA), (ONE, None), timeouts=HASTY, pipelining=pipelining
        )
        assert brief(exchanges[1]) == (None, True, None, True)
        assert loop.time() - start < 5

    run(test())


def test_a_server_that_stops_reading_times_out_and_nothing_is_ambiguous(
    run: Run, monkeypatch: pytest.MonkeyPatch, pipelining: bool
) -> None:
    monkeypatch.setattr(smtp, "_FLUSHED_BYTES_PER_SECOND", 1e12)

    async def script(peer: Peer) -> None:
        await ready_for_a_body(peer)
        await asyncio.Event().wait()

    async def test() -> None:
        async with awaiting_a_body(
            script, timeouts=HASTY, pipelining=pipelining, small_window=True
        ) as connection:
            exchange = await connection.exchange(LONG, BOB)
            assert brief(exchange) == (None, False, None, True)
            assert "timed out" in str(exchange.fault)

    run(test())


def test_hanging_up_while_the_body_is_still_here_is_not_ambiguous(
    run: Run, pipelining: bool
) -> None:
    async def script(peer: Peer) -> None:
        await ready_for_a_body(peer)
        await asyncio.sleep(0.2)
        peer._writer.write_eof()
        await asyncio.Event().wait()

    async def test() -> None:
        async with awaiting_a_body(script, pipelining=pipelining, small_window=True) as connection:
            exchange = await connection.exchange(LONG, BOB)
            assert brief(exchange) == (None, False, None, True)

    run(test())


def test_a_verdict_before_the_end_of_the_body_is_the_verdict(run: Run, pipelining: bool) -> None:
    async def script(peer: Peer) -> None:
        await ready_for_a_body(peer)
        await peer.say(b"552 5.3.4 too long\r\n")
        await asyncio.Event().wait()

    async def test() -> None:
        async with opened(
            script, timeouts=HASTY, pipelining=pipelining, small_window=True
        ) as connection:
            if has_go_ahead(await connection.exchange(None, ADA)):
                exchange = await connection.exchange(LONG, None)
                assert not exchange.ambiguous
                assert exchange.verdict is None or exchange.verdict.code == 552

    run(test())


def test_a_slow_server_within_its_time_is_no_fault(run: Run, pipelining: bool) -> None:
    slow = Timeouts(connect=5, command=5, after_dot=5, pipelined=5)

    async def script(peer: Peer) -> None:
        await peer.greet()
        for reply in (OK, OK, GO_ON):
            await peer.line()
            await peer.drip(reply, pause=0.01)
        await peer.body()
        await asyncio.sleep(0.3)
        await peer.drip(b"250 2.0.0 Ok\r\n", pause=0.01)
        await peer.line()

    async def test() -> None:
        exchanges = await talk(
            script, (None, ADA), (ONE, None), timeouts=slow, pipelining=pipelining
        )
        assert brief(exchanges[1]) == (250, False, None, False)

    run(test())


def test_a_cancelled_exchange_closes_the_connection(run: Run) -> None:
    async def test() -> None:
        async with awaiting_a_body(Dialogue({"DOT": [Act.SILENCE]})) as connection:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await connection.exchange(ONE, BOB)
            assert brief(await connection.exchange(None, BOB)) == (None, False, None, True)

    run(test())
