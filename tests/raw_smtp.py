"""An SMTP server that says exactly the bytes it is told to, when it is told to.

`Dialogue` answers command by command from a table; `Peer` is one connection, for tests that write
the whole conversation themselves. Both live in the loop of the client that they answer.
"""

import asyncio
import socket
import ssl
import struct
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum

EHLO = b"250-raw.test\r\n250-PIPELINING\r\n250-SIZE 50000000\r\n250 8BITMIME\r\n"
OK, GO_ON = b"250 2.1.0 Ok\r\n", b"354 go on\r\n"
NO_USER = b"550 5.1.1 User unknown\r\n"
CLOSING = b"421 4.3.2 closing\r\n"


class Act(Enum):
    """What can happen instead of a reply."""

    HANG_UP = "the connection ends in order"
    RESET = "the connection is torn down"
    SILENCE = "nothing, for ever"


Step = bytes | Act
Script = Callable[["Peer"], Awaitable[None]]


class Peer:
    """The server's end of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def line(self) -> bytes:
        """The next line without its end; hanging up is reported as the end of the script."""
        line = await self._reader.readline()
        if not line.endswith(b"\r\n"):
            raise EOFError
        return line[:-2]

    async def body(self) -> bytes:
        """All lines up to the lone dot."""
        lines = []
        while (line := await self.line()) != b".":
            lines.append(line + b"\r\n")
        return b"".join(lines)

    async def say(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def drip(self, data: bytes, *, pause: float) -> None:
        """A byte at a time."""
        for at in range(len(data)):
            await self.say(data[at : at + 1])
            await asyncio.sleep(pause)

    async def take(self, step: Step) -> None:
        """Say it or do it; what ends the conversation ends the script."""
        if isinstance(step, bytes):
            await self.say(step)
            return
        if step is Act.SILENCE:
            await asyncio.Event().wait()
        if step is Act.RESET:
            self.reset()
        raise EOFError

    def reset(self) -> None:
        end = self._writer.get_extra_info("socket")
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    async def greet(self, extensions: bytes = EHLO) -> bytes:
        """Greeting and EHLO; returns the EHLO command."""
        await self.say(b"220 raw.test ESMTP\r\n")
        hello = await self.line()
        await self.say(extensions)
        return hello


@dataclass
class Dialogue:
    """Answers every command by its verb, in the order that they come.

    Attributes:
        steps: for a verb (`DOT` for the end of a body), what its next ones are answered with;
            afterwards the usual answer.
        commands: all that came, bodies left out.
        bodies: every body up to its dot, the ones of lone dots too.
    """

    steps: dict[str, list[Step]] = field(default_factory=dict)
    extensions: bytes = EHLO
    commands: list[bytes] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    async def __call__(self, peer: Peer) -> None:
        left = defaultdict(list, {verb: list(steps) for verb, steps in self.steps.items()})
        await peer.say(b"220 raw.test ESMTP\r\n")
        while True:
            command = await peer.line()
            self.commands.append(command)
            verb = command[:4].decode().upper()
            step = left[verb].pop(0) if left[verb] else self._usual(verb)
            await peer.take(step)
            if verb == "DATA" and isinstance(step, bytes) and step.startswith(b"354"):
                self.bodies.append(await peer.body())
                await peer.take(left["DOT"].pop(0) if left["DOT"] else b"250 2.0.0 Ok\r\n")

    def _usual(self, verb: str) -> bytes:
        usual = {
            "EHLO": self.extensions,
            "MAIL": b"250 2.1.0 Ok\r\n",
            "RCPT": b"250 2.1.5 Ok\r\n",
            "DATA": b"354 End data with <CR><LF>.<CR><LF>\r\n",
            "RSET": b"250 2.0.0 Ok\r\n",
            "QUIT": b"221 2.0.0 Bye\r\n",
        }
        return usual.get(verb, b"500 5.5.2 unknown command\r\n")


@asynccontextmanager
async def raw_smtp(
    script: Script, *, context: ssl.SSLContext | None = None, small_window: bool = False
) -> AsyncIterator[int]:
    """Plays the script to every client; yields the port."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        # The test's end cancels a script that is still waiting.
        with suppress(EOFError, OSError, asyncio.CancelledError):
            await script(Peer(reader, writer))
        with suppress(OSError, TimeoutError, asyncio.CancelledError):
            writer.close()
            async with asyncio.timeout(1):
                await writer.wait_closed()
        writer.transport.abort()

    listening = socket.create_server(("127.0.0.1", 0))
    if small_window:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    server = await asyncio.start_server(serve, sock=listening, ssl=context)
    try:
        yield listening.getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
