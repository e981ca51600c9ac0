"""The SMTP client against servers that lie, stall and hang up: no verdict is lost."""

import asyncio

import pytest

from newsletter.mail.smtp import Connection
from tests.raw_smtp import CLOSING, GO_ON, NO_USER, OK, Act, Dialogue, Peer, Script
from tests.sample_mail import ADA, BOB, MAILING, ONE, TWO
from tests.smtp_talk import (
    HASTY,
    Run,
    awaiting_a_body,
    brief,
    opened,
    ready_for_a_body,
    talk,
    until_over,
)

# A verdict that was read is never lost.


@pytest.mark.parametrize(
    "then",
    [b"", b"25", b"250", b"250-2.1.0 Ok\r\n", OK, OK + b"25", OK + OK, b"junk\r\n",
     OK + b"\xff\r\n", CLOSING, OK + CLOSING, OK + OK + GO_ON + OK],
)  # fmt: skip
@pytest.mark.parametrize("act", [Act.HANG_UP, Act.RESET, Act.SILENCE])
def test_a_verdict_is_kept_whatever_becomes_of_the_next_envelope(
    run: Run, then: bytes, act: Act
) -> None:
    async def script(peer: Peer) -> None:
        await ready_for_a_body(peer)
        await peer.body()
        for _ in range(3):
            await peer.line()
        await peer.say(b"250 2.0.0 taken\r\n")
        # The reset takes away what the client has not read yet.
        await asyncio.sleep(0.05)
        await peer.say(then)
        await asyncio.sleep(0.05)
        await peer.take(act)

    async def test() -> None:
        exchanges = await talk(script, (None, ADA), (ONE, BOB), (TWO, None), timeouts=HASTY)
        assert brief(exchanges[1]) == (250, False, None, True)
        assert brief(exchanges[2]) == (None, False, None, True)

    run(test())


@pytest.mark.parametrize("part", [b"", b"2", b"250", b"250 2.0.0 Ok", b"250-2.0.0 Ok\r\n"])
def test_part_of_a_verdict_is_none(run: Run, pipelining: bool, part: bytes) -> None:
    async def script(peer: Peer) -> None:
        await ready_for_a_body(peer)
        await peer.body()
        await peer.say(part)

    async def test() -> None:
        exchanges = await talk(script, *MAILING, pipelining=pipelining)
        assert brief(exchanges[1]) == (None, True, None, True)

    run(test())


# Servers that offer PIPELINING and break it.


@pytest.mark.parametrize(
    "answers",
    [
        b"",
        OK,
        OK + OK,
        OK + OK + GO_ON + OK,
        b"503 5.5.1 bad sequence\r\n" * 3,
        OK + b"503 5.5.1 bad sequence\r\n" + b"503 5.5.1 bad sequence\r\n",
        OK + OK + b"500 5.5.2 unknown command\r\n",
        b"554 SMTP synchronization error\r\n" * 3,
        GO_ON,
        OK + OK + OK,
        NO_USER + b"554 5.5.1 no\r\n",
    ],
)
def test_a_liar_is_named_and_the_verdict_kept(run: Run, answers: bytes) -> None:
    async def script(peer: Peer) -> None:
        await ready_for_a_body(peer)
        await peer.body()
        await peer.say(b"250 2.0.0 taken\r\n" + answers)
        await asyncio.Event().wait()

    async def test() -> None:
        exchanges = await talk(script, (None, ADA), (ONE, BOB), timeouts=HASTY)
        assert brief(exchanges[1]) == (250, False, None, True)
        assert exchanges[1].fault.pipelining_broken

    run(test())


def test_a_liar_that_talks_on_is_found_before_it_gets_the_body(run: Run) -> None:
    async def script(peer: Peer) -> None:
        await ready_for_a_body(peer)
        await asyncio.sleep(0.05)
        await peer.say(OK)
        assert await peer.line() == b"never"

    async def test() -> None:
        async with awaiting_a_body(script) as connection:
            await until_over(connection)
            exchange = await connection.exchange(ONE, BOB)
            assert brief(exchange) == (None, False, None, True)
            assert exchange.fault.pipelining_broken

    run(test())


# Idle connections.


def test_a_server_that_closes_while_idle_is_a_fault_of_the_next_exchange(
    run: Run, pipelining: bool
) -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        await peer.say(CLOSING)

    async def test() -> None:
        async with opened(script, pipelining=pipelining) as connection:
            await until_over(connection)
            exchange = await connection.exchange(None, ADA)
            assert brief(exchange) == (None, False, None, True)
            assert exchange.fault.reply.code == 421
            assert not exchange.fault.pipelining_broken

    run(test())


def test_a_connection_lost_between_go_ahead_and_body_is_not_ambiguous(
    run: Run, pipelining: bool
) -> None:
    async def test() -> None:
        for act in (Act.HANG_UP, Act.RESET):
            async with awaiting_a_body(_until_data(act), pipelining=pipelining) as connection:
                await until_over(connection)
                exchange = await connection.exchange(ONE, BOB)
                assert brief(exchange) == (None, False, None, True)

    run(test())


def _until_data(act: Act) -> Script:
    async def script(peer: Peer) -> None:
        await ready_for_a_body(peer)
        await asyncio.sleep(0.05)
        await peer.take(act)

    return script


def test_hanging_up_after_the_go_ahead_hands_nothing_in(run: Run, pipelining: bool) -> None:
    async def test() -> None:
        for end in (Connection.close, _abort):
            dialogue = Dialogue()
            async with awaiting_a_body(dialogue, pipelining=pipelining) as connection:
                await end(connection)
                await connection.close()
                exchange = await connection.exchange(None, ADA)
                assert brief(exchange) == (None, False, None, True)
            assert (dialogue.commands[-1], dialogue.bodies) == (b"DATA", [])

    run(test())


async def _abort(connection: Connection) -> None:
    connection.abort()


def test_a_body_comes_only_after_a_go_ahead_and_ends_with_a_line(run: Run) -> None:
    async def test() -> None:
        async with opened(Dialogue()) as connection:
            with pytest.raises(AssertionError):
                await connection.exchange(ONE, ADA)
            await connection.exchange(None, ADA)
            with pytest.raises(AssertionError):
                await connection.exchange(None, BOB)
            with pytest.raises(AssertionError):
                await connection.exchange(b"no end", BOB)

    run(test())
