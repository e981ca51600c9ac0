"""The SMTP client against servers that behave, refuse, lie, fall silent and fall over."""

import asyncio
import socket
from base64 import b64encode
from collections.abc import Callable, Coroutine
from pathlib import Path
from ssl import create_default_context
from typing import Any

import pytest
import uvloop

from newsletter.core.errors import ConfigurationError
from newsletter.mail import smtp
from newsletter.mail.smtp import (
    Connection,
    Envelope,
    Exchange,
    Server,
    SmtpFault,
    Timeouts,
    connect,
)
from tests.certificates import make_authority
from tests.conftest import need
from tests.raw_smtp import Act, Dialogue, Peer, Script, Step, raw_smtp
from tests.servers import packages, processes
from tests.smtp_server import SmtpServer

ADA = Envelope("editor@example.org", "ada@example.org")
BOB = Envelope("editor@example.org", "bob@example.org")
ONE, TWO = b"Subject: 1\r\n\r\nOne.\r\n", b"Subject: 2\r\n\r\nTwo.\r\n"
PATIENT = Timeouts(connect=20, command=20, after_dot=20, pipelined=20)
HASTY = Timeouts(connect=0.4, command=0.4, after_dot=0.8, pipelined=0.4)

Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Every test runs on both event loops; what a loop complains of fails it."""

    def on_loop(test: Coroutine[Any, Any, None]) -> None:
        factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop
        complaints: list[dict[str, Any]] = []
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.get_loop().set_exception_handler(lambda _, about: complaints.append(about))
            runner.run(test)
        assert complaints == []

    return on_loop


@pytest.fixture(params=[True, False], ids=["pipelined", "in turn"])
def pipelining(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def plain(port: int) -> Server:
    return Server("127.0.0.1", port, local_name="client.test")


async def talk(
    script: Script,
    *offers: tuple[bytes | None, Envelope | None],
    timeouts: Timeouts = PATIENT,
    pipelining: bool = True,
) -> list[Exchange]:
    """One connection, one exchange after the other; a body only where it got its go-ahead."""
    async with raw_smtp(script) as port:
        connection = await connect(plain(port), timeouts, pipelining=pipelining)
        exchanges: list[Exchange] = []
        for body, envelope in offers:
            ready = bool(exchanges) and has_go_ahead(exchanges[-1])
            exchanges.append(await connection.exchange(body if ready else None, envelope))
        await connection.close()
        return exchanges


async def ready_for_a_body(peer: Peer) -> None:
    await peer.greet()
    for reply in (OK, OK, GO_ON):
        await peer.line()
        await peer.say(reply)


def has_go_ahead(exchange: Exchange) -> bool:
    return exchange.go_ahead is not None and exchange.go_ahead.code == 354


def brief(exchange: Exchange) -> tuple[int | None, bool, int | None, bool]:
    """Verdict, ambiguous, decision on the envelope, out of use."""
    verdict, decided = exchange.verdict, exchange.go_ahead
    return (
        verdict and verdict.code,
        exchange.ambiguous,
        decided and decided.code,
        exchange.fault is not None,
    )


MAILING = ((None, ADA), (ONE, BOB), (TWO, None))
"""Two messages over one connection."""

OK, GO_ON = b"250 2.1.0 Ok\r\n", b"354 go on\r\n"
NO_USER = b"550 5.1.1 User unknown\r\n"
CLOSING = b"421 4.3.2 closing\r\n"


# Both ways to talk come to the same.


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ({}, [(None, False, 354, False), (250, False, 354, False), (250, False, None, False)]),
        (
            {"MAIL": [OK, b"452 4.3.1 not now\r\n"], "RCPT": [OK, b"503 MAIL first\r\n"],
             "DATA": [GO_ON, b"503 RCPT first\r\n"]},
            [(None, False, 354, False), (250, False, 452, False), (None, False, None, False)],
        ),
        (
            {"RCPT": [OK, NO_USER]},
            [(None, False, 354, False), (250, False, 550, False), (None, False, None, False)],
        ),
        (
            {"RCPT": [OK, NO_USER], "DATA": [GO_ON, b"503 5.5.1 RCPT first\r\n"]},
            [(None, False, 354, False), (250, False, 550, False), (None, False, None, False)],
        ),
        (
            {"RCPT": [OK, NO_USER], "DATA": [GO_ON, b"554 5.5.1 No valid recipients\r\n"]},
            [(None, False, 354, False), (250, False, 550, False), (None, False, None, False)],
        ),
        (
            {"DATA": [GO_ON, b"451 4.7.1 later\r\n"]},
            [(None, False, 354, False), (250, False, 451, False), (None, False, None, False)],
        ),
        (
            {"DOT": [b"554 5.7.1 spam\r\n", b"451 4.3.0 later\r\n"]},
            [(None, False, 354, False), (554, False, 354, False), (451, False, None, False)],
        ),
        (
            {"DOT": [b"250-2.0.0 taken\r\n250 2.0.0 as 17\r\n", b"250 " + b"x" * 10_000 + b"\r\n"]},
            [(None, False, 354, False), (250, False, 354, False), (250, False, None, False)],
        ),
        (
            {"DOT": [CLOSING]},
            [(None, False, 354, False), (421, False, None, True), (None, False, None, True)],
        ),
        (
            {"MAIL": [OK, CLOSING]},
            [(None, False, 354, False), (250, False, None, True), (None, False, None, True)],
        ),
        (
            {"RCPT": [OK, CLOSING]},
            [(None, False, 354, False), (250, False, None, True), (None, False, None, True)],
        ),
        (
            {"DATA": [GO_ON, CLOSING]},
            [(None, False, 354, False), (250, False, None, True), (None, False, None, True)],
        ),
        (
            {"DATA": [Act.HANG_UP]},
            [(None, False, None, True), (None, False, None, True), (None, False, None, True)],
        ),
        (
            {"MAIL": [OK, Act.HANG_UP]},
            [(None, False, 354, False), (250, False, None, True), (None, False, None, True)],
        ),
        (
            {"RCPT": [OK, b"nonsense\r\n"]},
            [(None, False, 354, False), (250, False, None, True), (None, False, None, True)],
        ),
        (
            {"DATA": [GO_ON, b"250 what?\r\n"]},
            [(None, False, 354, False), (250, False, None, True), (None, False, None, True)],
        ),
        *(
            (
                {"DOT": [lost]},
                [(None, False, 354, False), (None, True, None, True), (None, False, None, True)],
            )
            for lost in (
                Act.HANG_UP, Act.RESET, b"nonsense\r\n", b"354 what?\r\n", b"199 what?\r\n",
                b"250-a\r\n550 b\r\n", b"250 " + b"x" * 70_000 + b"\r\n",
            )
        ),
    ],
)  # fmt: skip
def test_both_ways_to_talk_come_to_the_same(
    run: Run,
    pipelining: bool,
    steps: dict[str, list[Step]],
    expected: list[tuple[int | None, bool, int | None, bool]],
) -> None:
    async def test() -> None:
        exchanges = await talk(Dialogue(steps), *MAILING, pipelining=pipelining)
        assert [brief(exchange) for exchange in exchanges] == expected

    run(test())


def test_silence_after_the_dot_is_ambiguous_and_before_it_is_not(
    run: Run, pipelining: bool
) -> None:
    async def test() -> None:
        for verb, verdict in (
            ("DOT", (None, True, None, True)),
            ("MAIL", (250, False, None, True)),
        ):
            steps: dict[str, list[Step]] = {"DOT": [Act.SILENCE]}
            if verb == "MAIL":
                steps = {"MAIL": [OK, Act.SILENCE]}
            exchanges = await talk(Dialogue(steps), *MAILING, timeouts=HASTY, pipelining=pipelining)
            assert brief(exchanges[1]) == verdict
            assert "timed out" in str(exchanges[1].fault)

    run(test())


def test_bodies_and_commands_arrive_as_they_were_meant(run: Run, pipelining: bool) -> None:
    async def test() -> None:
        dialogue = Dialogue()
        await talk(dialogue, *MAILING, pipelining=pipelining)
        assert dialogue.bodies == [ONE, TWO]
        envelopes = [command.decode() for command in dialogue.commands[1:-1]]
        assert envelopes == [
            "MAIL FROM:<editor@example.org>", "RCPT TO:<ada@example.org>", "DATA",
            "MAIL FROM:<editor@example.org>", "RCPT TO:<bob@example.org>", "DATA",
        ]  # fmt: skip
        assert (dialogue.commands[0], dialogue.commands[-1]) == (b"EHLO client.test", b"QUIT")

    run(test())


@pytest.mark.parametrize("data", [GO_ON, b"503 5.5.1 RCPT first\r\n"])
def test_after_a_refused_recipient_the_connection_goes_on(
    run: Run, pipelining: bool, data: bytes
) -> None:
    async def test() -> None:
        dialogue = Dialogue({"RCPT": [NO_USER], "DATA": [data] if pipelining else []})
        exchanges = await talk(
            dialogue, (None, ADA), (None, BOB), (TWO, None), pipelining=pipelining
        )
        assert [brief(exchange)[2] for exchange in exchanges] == [550, 354, None]
        assert exchanges[2].verdict.code == 250
        lone_dot = pipelining and data == GO_ON
        assert dialogue.bodies == ([b"", TWO] if lone_dot else [TWO])
        # A lone dot ends the transaction; otherwise MAIL still holds.
        assert (b"RSET" in dialogue.commands) is not lone_dot

    run(test())


def test_the_next_envelope_travels_in_one_piece_with_the_body(run: Run) -> None:
    """The server answers nothing before all of it is there."""

    async def script(peer: Peer) -> None:
        await ready_for_a_body(peer)
        assert await peer.body() == ONE
        for _ in range(3):
            await peer.line()
        await peer.say(OK + OK + OK + GO_ON)
        await peer.body()
        await peer.say(OK)

    async def test() -> None:
        exchanges = await talk(script, *MAILING)
        assert brief(exchanges[1]) == (250, False, 354, False)
        assert brief(exchanges[2])[0] == 250

    run(test())


def test_without_the_offer_nothing_is_piped(run: Run) -> None:
    async def script(peer: Peer) -> None:
        await peer.greet(b"250 raw.test\r\n")
        for reply in (OK, OK, GO_ON):
            await peer.line()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await peer.line()
            await peer.say(reply)

    async def test() -> None:
        (exchange,) = await talk(script, (None, ADA))
        assert has_go_ahead(exchange)

    run(test())


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_replies_split_at_any_byte(run: Run, size: int) -> None:
    replies = b"250-2.0.0 taken\r\n250 as 17\r\n" + OK + NO_USER + b"554 no\r\n"

    async def script(peer: Peer) -> None:
        await ready_for_a_body(peer)
        await peer.body()
        for at in range(0, len(replies), size):
            await peer.say(replies[at : at + size])
            await asyncio.sleep(0)
        await peer.line()

    async def test() -> None:
        exchanges = await talk(script, (None, ADA), (ONE, BOB))
        assert brief(exchanges[1]) == (250, False, 550, False)
        assert exchanges[1].verdict.text == "taken as 17"

    run(test())


# A verdict that was read is never lost.


@pytest.mark.parametrize(
    "then",
    [b"", b"25", b"250", b"250-2.1.0 Ok\r\n", OK, OK + b"25", OK + OK, b"junk\r\n", OK + b"\xff\r\n",
     CLOSING, OK + CLOSING, OK + OK + GO_ON + OK],
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
        async with raw_smtp(script) as port:
            connection = await connect(plain(port), PATIENT)
            assert has_go_ahead(await connection.exchange(None, ADA))
            await until(lambda: connection._wire.fault is not None)
            exchange = await connection.exchange(ONE, BOB)
            assert brief(exchange) == (None, False, None, True)
            assert exchange.fault.pipelining_broken
            await connection.close()

    run(test())


# Idle connections.


def test_a_server_that_closes_while_idle_is_a_fault_of_the_next_exchange(
    run: Run, pipelining: bool
) -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        await peer.say(CLOSING)

    async def test() -> None:
        async with raw_smtp(script) as port:
            connection = await connect(plain(port), PATIENT, pipelining=pipelining)
            await until(lambda: connection._wire.fault is not None)
            exchange = await connection.exchange(None, ADA)
            assert brief(exchange) == (None, False, None, True)
            assert exchange.fault.reply.code == 421
            assert not exchange.fault.pipelining_broken
            await connection.close()

    run(test())


def test_a_connection_lost_between_go_ahead_and_body_is_not_ambiguous(
    run: Run, pipelining: bool
) -> None:
    async def test() -> None:
        for act in (Act.HANG_UP, Act.RESET):
            async with raw_smtp(_until_data(act)) as port:
                connection = await connect(plain(port), PATIENT, pipelining=pipelining)
                assert has_go_ahead(await connection.exchange(None, ADA))
                await until(lambda: connection._wire.fault is not None)
                exchange = await connection.exchange(ONE, BOB)
                assert brief(exchange) == (None, False, None, True)
                await connection.close()

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
            async with raw_smtp(dialogue) as port:
                connection = await connect(plain(port), PATIENT, pipelining=pipelining)
                assert has_go_ahead(await connection.exchange(None, ADA))
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
        async with raw_smtp(Dialogue()) as port:
            connection = await connect(plain(port), PATIENT)
            with pytest.raises(AssertionError):
                await connection.exchange(ONE, ADA)
            await connection.exchange(None, ADA)
            with pytest.raises(AssertionError):
                await connection.exchange(None, BOB)
            with pytest.raises(AssertionError):
                await connection.exchange(b"no end", BOB)
            await connection.close()

    run(test())


# Deadlines are total.


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


# Opening.


@pytest.mark.parametrize(
    "said", [b"", b"hello\r\n", b"\xff\xfe\r\n", b"2\r\n", b"554 5.7.1 go away\r\n", CLOSING]
)
def test_what_does_not_greet_us_is_a_fault(run: Run, said: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.say(said)

    run(_refused(script))


@pytest.mark.parametrize(
    "script",
    [
        Dialogue({"EHLO": [CLOSING]}),
        Dialogue({"EHLO": [b"451 4.3.0 later\r\n"]}),
        Dialogue({"EHLO": [b"502 5.5.1 what?\r\n"], "HELO": [b"554 5.7.1 no\r\n"]}),
        Dialogue({"EHLO": [Act.HANG_UP]}),
        Dialogue({"EHLO": [Act.SILENCE]}),
        Dialogue({"EHLO": [b"250-raw.test\r\nnonsense\r\n"]}),
    ],
)
def test_an_ehlo_that_comes_to_nothing_is_a_fault(run: Run, script: Dialogue) -> None:
    run(_refused(script))


def test_silence_and_dripping_before_the_greeting_time_out(run: Run) -> None:
    async def silent(peer: Peer) -> None:
        await asyncio.Event().wait()

    async def dripping(peer: Peer) -> None:
        await peer.drip(b"220 " + b"x" * 200, pause=0.05)

    run(_refused(silent, "timed out"))
    run(_refused(dripping, "timed out"))


async def _refused(script: Script, match: str = ".") -> None:
    async with raw_smtp(script) as port:
        with pytest.raises(SmtpFault, match=match) as raised:
            await connect(plain(port), HASTY)
        assert not raised.value.is_configuration


def test_nobody_listens(run: Run) -> None:
    async def test() -> None:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            with pytest.raises(SmtpFault, match="cannot be reached"):
                await connect(plain(unused.getsockname()[1]), PATIENT)
        with pytest.raises(SmtpFault, match="cannot be reached"):
            await connect(Server("x" * 70 + ".invalid", 25), PATIENT)

    run(test())


def test_a_server_too_old_for_ehlo_is_greeted_the_old_way(run: Run) -> None:
    async def test() -> None:
        dialogue = Dialogue({"EHLO": [b"500 what?\r\n"], "HELO": [b"250 raw.test\r\n"]})
        async with raw_smtp(dialogue) as port:
            connection = await connect(plain(port), PATIENT)
            assert (dict(connection.extensions), connection.pipelining) == ({}, False)
            assert has_go_ahead(await connection.exchange(None, ADA))
            await connection.close()
        assert dialogue.commands[:2] == [b"EHLO client.test", b"HELO client.test"]

    run(test())


def test_a_host_without_a_full_name_gives_its_address(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test() -> None:
        for name, given in (("mailer", b"[127.0.0.1]"), ("m.example.org", b"m.example.org")):
            monkeypatch.setattr("newsletter.mail.smtp_opening._host_name", lambda n=name: n)
            dialogue = Dialogue()
            async with raw_smtp(dialogue) as port:
                await (await connect(Server("127.0.0.1", port), PATIENT)).close()
            assert dialogue.commands[0] == b"EHLO " + given

    run(test())


def test_what_a_server_says_of_itself_can_be_read(run: Run) -> None:
    async def test() -> None:
        async with raw_smtp(Dialogue()) as port:
            connection = await connect(plain(port), PATIENT)
            assert connection.extensions["SIZE"] == "50000000"
            assert (connection.pipelining, connection.max_size) == (True, 50_000_000)
            await connection.exchange(None, ADA)
            await connection.exchange(ONE, None)
            assert connection.messages == 1
            assert 0 <= connection.idle_seconds < 10
            await connection.close()

    run(test())


def test_what_a_server_cannot_take_is_refused_without_asking_it(run: Run, pipelining: bool) -> None:
    too_long = Envelope(ADA.sender, ADA.recipient, size=50_000_001)
    abroad = Envelope(ADA.sender, "jürgen@example.org", smtputf8=True)

    async def test() -> None:
        dialogue = Dialogue()
        exchanges = await talk(
            dialogue, (None, ADA), (ONE, too_long), (None, abroad), pipelining=pipelining
        )
        assert brief(exchanges[1]) == (250, False, 552, False)
        assert brief(exchanges[2]) == (None, False, 553, False)
        assert (exchanges[1].go_ahead.enhanced, exchanges[2].go_ahead.enhanced) == (
            "5.3.4", "5.6.7",
        )  # fmt: skip
        assert len(dialogue.commands) == 5

    run(test())


# TLS and login.


def _tls(server: SmtpServer, authority: Path, **login: str) -> Server:
    return Server(
        "127.0.0.1",
        server.port,
        server._implicit_tls,
        create_default_context(cafile=authority),
        local_name="client.test",
        **login,
    )


@pytest.mark.parametrize("implicit", [True, False])
def test_mail_goes_over_tls_with_login(run: Run, tmp_path: Path, implicit: bool) -> None:
    authority = make_authority(tmp_path)

    async def test() -> None:
        with SmtpServer(
            context=authority.server_context, implicit_tls=implicit, login=("ada", "p@ss w%rd")
        ) as server:
            way = _tls(server, authority.file, user="ada", password="p@ss w%rd")
            connection = await connect(way, PATIENT)
            for body, envelope in MAILING:
                exchange = await connection.exchange(body, envelope)
            assert exchange.verdict.code == 250
            await connection.close()
            assert server.accepted == [(ADA.recipient, ONE), (BOB.recipient, TWO)]
            wrong = _tls(server, authority.file, user="ada", password="hidden")
            with pytest.raises(SmtpFault, match="535") as raised:
                await connect(wrong, PATIENT)
            assert raised.value.is_configuration
            assert "hidden" not in f"{raised.value!r} {raised.value} {wrong!r}"

    run(test())


def test_pipelining_works_over_tls_and_a_loss_there_is_ambiguous(run: Run, tmp_path: Path) -> None:
    authority = make_authority(tmp_path)

    async def test() -> None:
        dialogue = Dialogue({"DOT": [OK, Act.HANG_UP]})
        async with raw_smtp(dialogue, context=authority.server_context) as port:
            context = create_default_context(cafile=authority.file)
            way = Server("127.0.0.1", port, True, context, local_name="c.test")
            connection = await connect(way, PATIENT)
            assert connection.pipelining
            results = [brief(await connection.exchange(*offer)) for offer in MAILING]
            assert results[1:] == [(250, False, 354, False), (None, True, None, True)]
            await connection.close()

    run(test())


@pytest.mark.parametrize("implicit", [True, False])
def test_a_certificate_nobody_vouches_for_is_refused(
    run: Run, tmp_path: Path, implicit: bool
) -> None:
    authority = make_authority(tmp_path)

    async def test() -> None:
        with SmtpServer(context=authority.server_context, implicit_tls=implicit) as server:
            way = Server("127.0.0.1", server.port, implicit, create_default_context())
            with pytest.raises(SmtpFault, match="certificate verify failed") as raised:
                await connect(way, PATIENT)
            assert raised.value.is_configuration

    run(test())


@pytest.mark.parametrize("implicit", [True, False])
def test_a_certificate_for_another_name_is_refused(
    run: Run, tmp_path: Path, implicit: bool
) -> None:
    authority = make_authority(tmp_path, host="127.0.0.2")

    async def test() -> None:
        with SmtpServer(context=authority.server_context, implicit_tls=implicit) as server:
            with pytest.raises(SmtpFault, match="IP address mismatch") as raised:
                await connect(_tls(server, authority.file), PATIENT)
            assert raised.value.is_configuration

    run(test())


def test_starttls_is_required_where_a_context_is_given(run: Run) -> None:
    async def test() -> None:
        dialogue = Dialogue()
        async with raw_smtp(dialogue) as port:
            way = Server("127.0.0.1", port, False, create_default_context(), "ada", "hidden")
            with pytest.raises(SmtpFault, match="offers no STARTTLS") as raised:
                await connect(way, PATIENT)
            assert raised.value.is_configuration
        assert [command[:4] for command in dialogue.commands] == [b"EHLO"]

    run(test())


@pytest.mark.parametrize("pause", [None, 0.0, 0.05])
def test_what_is_said_in_the_clear_before_tls_is_an_injection(
    run: Run, tmp_path: Path, pause: float | None
) -> None:
    authority = make_authority(tmp_path)
    injected = b"250-raw.test\r\n250 AUTH PLAIN\r\n"

    async def script(peer: Peer) -> None:
        await peer.greet(b"250-raw.test\r\n250 STARTTLS\r\n")
        await peer.line()
        await peer.say(b"220 go\r\n" + (injected if pause is None else b""))
        if pause is not None:
            await asyncio.sleep(pause)
            await peer.say(injected)
        assert b"AUTH" not in await peer._reader.read(100_000)

    async def test() -> None:
        async with raw_smtp(script) as port:
            context = create_default_context(cafile=authority.file)
            way = Server("127.0.0.1", port, False, context, "ada", "hidden", "c.test")
            with pytest.raises(SmtpFault):
                await connect(way, PATIENT)

    run(test())


def test_a_refused_starttls_and_a_stalled_handshake_are_faults(run: Run) -> None:
    offer = b"250-raw.test\r\n250 STARTTLS\r\n"

    async def test() -> None:
        for answer in (b"454 4.7.0 TLS not available\r\n", b"220 go\r\n"):
            async with raw_smtp(_answering(offer, answer)) as port:
                way = Server("127.0.0.1", port, False, create_default_context())
                with pytest.raises(SmtpFault) as raised:
                    await connect(way, HASTY)
                assert not raised.value.is_configuration

    run(test())


def _answering(offer: bytes, answer: bytes) -> Script:
    async def script(peer: Peer) -> None:
        await peer.greet(offer)
        await peer.line()
        await peer.say(answer)
        await asyncio.Event().wait()

    return script


def test_login_by_the_older_mechanism_where_only_that_is_offered(run: Run) -> None:
    said: list[bytes] = []

    async def script(peer: Peer) -> None:
        await peer.greet(b"250-raw.test\r\n250 AUTH=LOGIN CRAM-MD5\r\n")
        for answer in (b"334 VXNlcm5hbWU6\r\n", b"334 UGFzc3dvcmQ6\r\n", b"235 2.7.0 Ok\r\n"):
            said.append(await peer.line())
            await peer.say(answer)
        await peer.line()

    async def test() -> None:
        async with raw_smtp(script) as port:
            way = Server("127.0.0.1", port, user="ada", password="p w", local_name="c.test")
            await (await connect(way, PATIENT)).close()
        assert said == [b"AUTH LOGIN", b64encode(b"ada"), b64encode(b"p w")]

    run(test())


def test_a_long_password_is_given_when_it_is_asked_for(run: Run) -> None:
    said: list[bytes] = []

    async def script(peer: Peer) -> None:
        await peer.greet(b"250-raw.test\r\n250 AUTH PLAIN\r\n")
        for answer in (b"334 \r\n", b"235 2.7.0 Ok\r\n"):
            said.append(await peer.line())
            await peer.say(answer)
        await peer.line()

    async def test() -> None:
        async with raw_smtp(script) as port:
            way = Server("127.0.0.1", port, user="ada", password="p" * 600, local_name="c.test")
            await (await connect(way, PATIENT)).close()
        assert said == [b"AUTH PLAIN", b64encode(b"\0ada\0" + b"p" * 600)]

    run(test())


@pytest.mark.parametrize(
    ("offer", "refusal", "configuration"),
    [
        (b"AUTH PLAIN", b"535 5.7.8 no\r\n", True),
        (b"AUTH LOGIN", b"535 5.7.8 no\r\n", True),
        (b"AUTH PLAIN", b"530 5.7.0 no\r\n", True),
        (b"AUTH PLAIN", b"454 4.7.0 later\r\n", False),
        (b"AUTH PLAIN", CLOSING, False),
        (b"AUTH GSSAPI", b"", True),
        (b"HELP", b"", True),
    ],
)
def test_a_refused_login_says_so_and_no_password(
    run: Run, offer: bytes, refusal: bytes, configuration: bool
) -> None:
    async def script(peer: Peer) -> None:
        await peer.greet(b"250-raw.test\r\n250 " + offer + b"\r\n")
        command = await peer.line()
        if refusal[:3] == b"535":
            await peer.say(refusal[:-2] + b" " + command.rpartition(b" ")[2] + b" hidden\r\n")
        else:
            await peer.say(refusal)

    async def test() -> None:
        async with raw_smtp(script) as port:
            way = Server("127.0.0.1", port, user="ada", password="hidden", local_name="c.test")
            with pytest.raises(SmtpFault) as raised:
                await connect(way, PATIENT)
            assert raised.value.is_configuration is configuration
            shown = f"{raised.value} {raised.value!r} {raised.value.reply!r} {way!r}"
            assert "hidden" not in shown
            assert b64encode(b"\0ada\0hidden").decode() not in shown

    run(test())


@pytest.mark.parametrize("password", ["pässword", "a\0b", "a\r\nb"])
def test_credentials_are_printable_ascii(run: Run, password: str) -> None:
    async def test() -> None:
        async with raw_smtp(Dialogue(extensions=b"250-raw.test\r\n250 AUTH PLAIN\r\n")) as port:
            way = Server("127.0.0.1", port, user="ada", password=password)
            with pytest.raises(SmtpFault, match="ASCII") as raised:
                await connect(way, PATIENT)
            assert raised.value.is_configuration

    run(test())


def test_a_server_that_makes_no_sense_is_refused_before_any_connection() -> None:
    with pytest.raises(ConfigurationError):
        Server("relay.example.org", 465, implicit_tls=True)
    with pytest.raises(ConfigurationError):
        Server("relay.example.org", 25, local_name="a b\r\nMAIL")


# Servers that other people wrote.


def test_postfix_takes_many_over_many_connections(run: Run, pipelining: bool) -> None:
    need(packages.SMTP_SINK)

    async def mail(port: int) -> None:
        connection = await connect(plain(port), PATIENT, pipelining=pipelining)
        assert connection.pipelining is pipelining
        body = None
        for _ in range(20):
            exchange = await connection.exchange(body, ADA)
            assert has_go_ahead(exchange)
            assert body is None or exchange.verdict.code == 250
            body = b"x" * 76 + b"\r\n" * 20_000
        assert (await connection.exchange(body, None)).verdict.code == 250
        await connection.close()

    async def test() -> None:
        with processes.smtp_sink() as port:
            await asyncio.gather(*(mail(port) for _ in range(8)))

    run(test())


@pytest.mark.parametrize(
    ("option", "code", "expected"),
    [("-r", "MAIL", 4), ("-f", "RCPT", 5), ("-f", "DATA", 5), ("-r", ".", 4), ("-q", "RCPT", 0)],
)
def test_postfix_refuses_in_every_place(
    run: Run, pipelining: bool, option: str, code: str, expected: int
) -> None:
    need(packages.SMTP_SINK)

    async def test() -> None:
        with processes.smtp_sink(option, code) as port:
            connection = await connect(plain(port), PATIENT, pipelining=pipelining)
            exchange = await connection.exchange(None, ADA)
            if code == ".":
                exchange = await connection.exchange(ONE, BOB)
                assert exchange.verdict.code // 100 == expected
                assert has_go_ahead(exchange)
            elif expected:
                assert exchange.go_ahead.code // 100 == expected
                again = await connection.exchange(None, BOB)
                assert again.go_ahead.code // 100 == expected
                assert again.fault is None
            else:
                assert brief(exchange) == (None, False, None, True)
            await connection.close()

    run(test())


async def until(happened: Callable[[], bool]) -> None:
    """Bounded polling."""
    async with asyncio.timeout(20):
        while not happened():
            await asyncio.sleep(0.005)
