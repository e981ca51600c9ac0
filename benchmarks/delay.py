"""A TCP proxy that lets everything pass later: a round trip over the loopback, without root.

`python -m benchmarks.delay PORT SECONDS` prints the port it listens on; every byte, in either
direction, takes SECONDS longer to port PORT. It forwards at once what is due and never waits for
one chunk before it takes the next, so that it delays and does not throttle.
"""

import asyncio
import smtplib
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from typing import cast

import uvloop

from benchmarks.engine import ROOT

_PROBES = 50


@contextmanager
def delayed(port: int, round_trip_seconds: float) -> Iterator[int]:
    """The proxy as a process of its own; yields its port."""
    command = [sys.executable, "-m", "benchmarks.delay", str(port), str(round_trip_seconds / 2)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield int(process.stdout.readline())
        finally:
            process.terminate()


def round_trip(port: int) -> float:
    """What a command and its reply take there, in seconds: the median of some."""
    with smtplib.SMTP("127.0.0.1", port) as client:
        client.helo("localhost")
        return median(_seconds(client) for _ in range(_PROBES))


def _seconds(client: smtplib.SMTP) -> float:
    began = time.perf_counter()
    client.noop()
    return time.perf_counter() - began


class _Side(asyncio.Protocol):
    """One end of a proxied connection: what it receives goes to the other end, later."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._early: list[bytes] = []
        self.transport: asyncio.Transport | None = None
        self.other: _Side | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        for data in self._early:
            self.transport.write(data)

    def data_received(self, data: bytes) -> None:
        assert self.other
        self._loop.call_later(self._seconds, self.other.pass_on, data)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        if self.other:
            self._loop.call_later(self._seconds, self.other.close)

    def pass_on(self, data: bytes) -> None:
        if self.transport is None:
            self._early.append(data)
        elif not self.transport.is_closing():
            self.transport.write(data)

    def close(self) -> None:
        if self.transport:
            self.transport.close()


class _Front(_Side):
    """The end that a client connected to."""

    def __init__(self, port: int, seconds: float) -> None:
        super().__init__(seconds)
        self._port = port
        self.other = _Side(seconds)
        self.other.other = self

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        behind = self.other
        assert behind
        connecting = self._loop.create_connection(lambda: behind, "127.0.0.1", self._port)
        self._connecting = self._loop.create_task(connecting)


async def _serve(port: int, seconds: float) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Front(port, seconds), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(int(sys.argv[1]), float(sys.argv[2])))
