"""Relays in memory with a habit of their own: slow, counting, tired after a few messages."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from newsletter.mail.replies import Reply, parse_reply
from newsletter.mail.smtp import Envelope, Exchange
from newsletter.sending.memory import MemoryTransport
from newsletter.sending.transport import Connection

TOO_MANY_MESSAGES = parse_reply(452, "4.5.3 Too many messages on this connection")


@dataclass(eq=False)
class Through:
    """A connection that passes everything on, and tells when it is gone."""

    connection: Connection
    on_gone: Callable[[], None] = lambda: None
    _is_gone: bool = field(default=False, init=False)

    async def exchange(self, body: bytes | None, envelope: Envelope | None) -> Exchange:
        return await self.connection.exchange(body, envelope)

    async def close(self) -> None:
        await self.connection.close()
        self._gone()

    def abort(self) -> None:
        self.connection.abort()
        self._gone()

    def _gone(self) -> None:
        if not self._is_gone:
            self._is_gone = True
            self.on_gone()


@dataclass(eq=False)
class Watched(Through):
    """Tells of every verdict before the client hears it, and of every envelope that comes."""

    on_envelope: Callable[[str], None] = lambda _: None
    on_verdict: Callable[[], Awaitable[None]] | None = None

    async def exchange(self, body: bytes | None, envelope: Envelope | None) -> Exchange:
        if envelope:
            self.on_envelope(envelope.recipient)
        exchange = await self.connection.exchange(body, envelope)
        if exchange.verdict and self.on_verdict:
            await self.on_verdict()
        return exchange


@dataclass(eq=False)
class Tired(Through):
    """Takes so many messages, then says so to every further envelope."""

    most: int = 3
    taken: int = 0

    async def exchange(self, body: bytes | None, envelope: Envelope | None) -> Exchange:
        if body is not None:
            self.taken += 1
        if self.taken < self.most or envelope is None:
            return await self.connection.exchange(body, envelope)
        handed_in = await self.connection.exchange(body, None) if body is not None else None
        verdict = handed_in.verdict if handed_in else None
        return Exchange(verdict, False, TOO_MANY_MESSAGES, None)


@dataclass
class Counting(MemoryTransport):
    """Counts connections, those that failed too; `most` were open at once."""

    pace_seconds: float = 0.0
    connects: int = 0
    open: int = 0
    most: int = 0
    envelopes: list[tuple[float, str]] = field(default_factory=list)
    """When each came, on `time.monotonic`'s clock, and to whom."""

    async def connect(self) -> Connection:
        self.connects += 1
        connection = await super().connect()
        self.open += 1
        self.most = max(self.most, self.open)
        return Watched(connection, self._left, self._came, self._take_time)

    def _left(self) -> None:
        self.open -= 1

    def _came(self, recipient: str) -> None:
        self.envelopes.append((time.monotonic(), recipient))

    async def _take_time(self) -> None:
        await asyncio.sleep(self.pace_seconds)


@dataclass
class Telling(MemoryTransport):
    """Waits for `on_verdict` before every verdict."""

    on_verdict: Callable[[], Awaitable[None]] | None = None

    async def connect(self) -> Connection:
        return Watched(await super().connect(), on_verdict=self.on_verdict)


@dataclass
class Stingy(MemoryTransport):
    """Takes three messages over a connection."""

    connections: list[Tired] = field(default_factory=list)

    async def connect(self) -> Connection:
        connection = Tired(await super().connect())
        self.connections.append(connection)
        return connection


def refusing(reply: Reply, *recipients: str) -> MemoryTransport:
    """Says the same to each of them, once."""
    relay = MemoryTransport()
    for recipient in recipients:
        relay.script(recipient, reply)
    return relay
