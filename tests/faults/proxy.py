"""A TCP proxy in front of PostgreSQL that loses the reply to a COMMIT, cuts, or stalls.

The commit itself is passed on: the database has it, the client never hears so.
"""

import asyncio
import threading
from typing import Self

_COMMIT = b"COMMIT\0"
_QUERY = ord("Q")


class PostgresProxy:
    """Listens on a free port of 127.0.0.1 while the block runs."""

    def __init__(self, upstream_port: int) -> None:
        self._upstream = upstream_port
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="proxy")
        self._to_lose = 0
        self.lost = 0
        """Commits whose reply was lost so far."""
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        self._started.wait()
        return self

    def __exit__(self, *error: object) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join()

    def lose_commit_replies(self, count: int) -> None:
        """The next so many commits are passed on, and their connections cut."""
        self._loop.call_soon_threadsafe(self._add, count)

    def cut(self) -> None:
        """Close every connection now."""
        self._loop.call_soon_threadsafe(self._cut)

    def stall(self, seconds: float) -> None:
        """Pass nothing on for so long; then everything, in order."""
        self._loop.call_soon_threadsafe(self._stall, seconds)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        self._open = asyncio.Event()
        self._open.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._started.set()
        await self._ended.wait()
        server.close()
        self._open.set()
        self._cut()
        await asyncio.gather(*self._tasks)  # each ends by itself once it is cut

    def _add(self, count: int) -> None:
        self._to_lose += count

    def _cut(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

    def _stall(self, seconds: float) -> None:
        self._open.clear()
        self._loop.call_later(seconds, self._open.set)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._connected(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            above, below = await asyncio.open_connection("127.0.0.1", self._upstream)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, below}
        losing = asyncio.Event()
        forward = self._pass_on(reader, below, losing, watched=True)
        back = self._pass_on(above, writer, losing, watched=False)
        try:
            await asyncio.gather(forward, back)
        finally:
            self._writers -= {writer, below}

    async def _pass_on(
        self,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        losing: asyncio.Event,
        *,
        watched: bool,
    ) -> None:
        try:
            while data := await source.read(65536):
                await self._open.wait()
                if watched and self._to_lose and _commits(data):
                    self._to_lose -= 1
                    losing.set()
                if not watched and losing.is_set():
                    self.lost += 1
                    break
                sink.write(data)
                await sink.drain()
        except OSError:
            pass  # one side is gone, so the other is cut below
        finally:
            sink.transport.abort()


def _commits(data: bytes) -> bool:
    """A simple query, or the query of an extended one, that is COMMIT."""
    return _COMMIT in data or (data[:1] == bytes([_QUERY]) and b"COMMIT" in data)
