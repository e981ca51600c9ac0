"""Talking to a scripted SMTP server, and what came of it in brief."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from newsletter.mail.smtp import Connection, Envelope, Exchange, Server, Timeouts, connect
from tests.raw_smtp import Peer, Script, raw_smtp

ADA = Envelope("editor@example.org", "ada@example.org")
BOB = Envelope("editor@example.org", "bob@example.org")
ONE, TWO = b"Subject: 1\r\n\r\nOne.\r\n", b"Subject: 2\r\n\r\nTwo.\r\n"
MAILING = ((None, ADA), (ONE, BOB), (TWO, None))
"""Two messages over one connection."""

OK, GO_ON = b"250 2.1.0 Ok\r\n", b"354 go on\r\n"
NO_USER = b"550 5.1.1 User unknown\r\n"
CLOSING = b"421 4.3.2 closing\r\n"

PATIENT = Timeouts(connect=20, command=20, after_dot=20, pipelined=20)
HASTY = Timeouts(connect=0.4, command=0.4, after_dot=0.8, pipelined=0.4)

Run = Callable[[Coroutine[Any, Any, None]], None]


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
        verdict.code if verdict else None,
        exchange.ambiguous,
        decided.code if decided else None,
        exchange.fault is not None,
    )


async def until_over(connection: Connection) -> None:
    """Until the client has noticed; bounded polling."""
    for _ in range(4000):
        if connection._wire.fault is not None:
            return
        await asyncio.sleep(0.005)
