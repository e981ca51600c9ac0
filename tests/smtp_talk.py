"""Talking to a scripted SMTP server, and what came of it in brief."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Protocol, TypeVar

from newsletter.mail.smtp import Connection, Envelope, Exchange, Server, Timeouts, connect
from tests.raw_smtp import GO_ON, OK, Peer, Script, raw_smtp
from tests.sample_mail import ADA

PATIENT = Timeouts(connect=20, command=20, after_dot=20, pipelined=20)
HASTY = Timeouts(connect=0.4, command=0.4, after_dot=0.8, pipelined=0.4)

T = TypeVar("T")


class Run(Protocol):
    """Runs a conversation to its end, on either event loop."""

    def __call__(self, work: Coroutine[Any, Any, T]) -> T: ...


def plain(port: int, user: str = "", password: str = "") -> Server:
    return Server("127.0.0.1", port, user=user, password=password, local_name="client.test")


async def talk(
    script: Script,
    *offers: tuple[bytes | None, Envelope | None],
    timeouts: Timeouts = PATIENT,
    pipelining: bool = True,
) -> list[Exchange]:
    """One connection, one exchange after the other; a body only where it got its go-ahead."""
    async with opened(script, timeouts=timeouts, pipelining=pipelining) as connection:
        exchanges: list[Exchange] = []
        for body, envelope in offers:
            ready = bool(exchanges) and has_go_ahead(exchanges[-1])
            exchanges.append(await connection.exchange(body if ready else None, envelope))
        return exchanges


@asynccontextmanager
async def opened(
    script: Script,
    *,
    timeouts: Timeouts = PATIENT,
    pipelining: bool = True,
    small_window: bool = False,
) -> AsyncIterator[Connection]:
    """A connection to a server that plays the script; both end with the block."""
    async with raw_smtp(script, small_window=small_window) as port:
        connection = await connect(plain(port), timeouts, pipelining=pipelining)
        yield connection
        await connection.close()


@asynccontextmanager
async def awaiting_a_body(
    script: Script,
    *,
    timeouts: Timeouts = PATIENT,
    pipelining: bool = True,
    small_window: bool = False,
) -> AsyncIterator[Connection]:
    """The same once the envelope to ada got its go-ahead."""
    async with opened(
        script, timeouts=timeouts, pipelining=pipelining, small_window=small_window
    ) as connection:
        assert has_go_ahead(await connection.exchange(None, ADA))
        yield connection


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
