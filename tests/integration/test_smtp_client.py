"""The SMTP client: piped or in turn it comes to the same; servers that refuse and fall over."""

import asyncio

import pytest

from newsletter.mail.smtp import connect
from tests.conftest import need
from tests.raw_smtp import CLOSING, GO_ON, NO_USER, OK, Act, Dialogue, Peer, Step
from tests.sample_mail import ADA, BOB, MAILING, ONE, TWO
from tests.servers import packages, processes
from tests.smtp_talk import HASTY, PATIENT, Run, brief, has_go_ahead, plain, ready_for_a_body, talk


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
        before: dict[str, list[Step]] = {"MAIL": [OK, Act.SILENCE]}
        after: dict[str, list[Step]] = {"DOT": [Act.SILENCE]}
        for steps, result in (
            (before, (250, False, None, True)),
            (after, (None, True, None, True)),
        ):
            exchanges = await talk(Dialogue(steps), *MAILING, timeouts=HASTY, pipelining=pipelining)
            assert brief(exchanges[1]) == result
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
