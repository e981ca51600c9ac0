"""The SMTP client waits so long and no longer, whatever drips in."""

import asyncio

import pytest

from newsletter.mail import smtp
from newsletter.mail.smtp import Timeouts, connect
from tests.raw_smtp import Act, Dialogue, Peer, raw_smtp
from tests.smtp_talk import (
    ADA,
    BOB,
    GO_ON,
    HASTY,
    OK,
    ONE,
    PATIENT,
    Run,
    brief,
    has_go_ahead,
    plain,
    ready_for_a_body,
    talk,
)


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
        async with raw_smtp(script, small_window=True) as port:
            connection = await connect(plain(port), HASTY, pipelining=pipelining)
            assert has_go_ahead(await connection.exchange(None, ADA))
            exchange = await connection.exchange(b"x" * 76 + b"\r\n" * 10_000_000, BOB)
            assert brief(exchange) == (None, False, None, True)
            assert "timed out" in str(exchange.fault)
            await connection.close()

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
        async with raw_smtp(script, small_window=True) as port:
            connection = await connect(plain(port), PATIENT, pipelining=pipelining)
            assert has_go_ahead(await connection.exchange(None, ADA))
            exchange = await connection.exchange(b"x" * 76 + b"\r\n" * 10_000_000, BOB)
            assert brief(exchange) == (None, False, None, True)
            await connection.close()

    run(test())


def test_a_verdict_before_the_end_of_the_body_is_the_verdict(run: Run, pipelining: bool) -> None:
    async def script(peer: Peer) -> None:
        await ready_for_a_body(peer)
        await peer.say(b"552 5.3.4 too long\r\n")
        await asyncio.Event().wait()

    async def test() -> None:
        async with raw_smtp(script, small_window=True) as port:
            connection = await connect(plain(port), HASTY, pipelining=pipelining)
            first = await connection.exchange(None, ADA)
            if has_go_ahead(first):
                exchange = await connection.exchange(b"x" * 76 + b"\r\n" * 10_000_000, None)
                assert not exchange.ambiguous
                assert exchange.verdict is None or exchange.verdict.code == 552
            await connection.close()

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
        async with raw_smtp(Dialogue({"DOT": [Act.SILENCE]})) as port:
            connection = await connect(plain(port), PATIENT)
            await connection.exchange(None, ADA)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await connection.exchange(ONE, BOB)
            assert brief(await connection.exchange(None, BOB)) == (None, False, None, True)
            await connection.close()

    run(test())
