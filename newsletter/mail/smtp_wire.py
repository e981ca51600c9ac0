"""One TCP or TLS connection: commands out, replies in, a total deadline for every wait.

Nothing here knows what a command means. What was said stays said: replies read before a connection
fails are handed out, and the fault beside them.
"""

import asyncio
import os
import socket
import ssl
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, cast

from newsletter.core.sentences import Sentence, quoted, say
from newsletter.mail.replies import parse_reply
from newsletter.mail.smtp_fault import CLOSING, SmtpFault
from newsletter.mail.smtp_replies import RawReply, ReplyError, ReplyReader

_CLOCK_SECONDS: Final = 0.002
"""Two clocks read apart: a timer may ring this much early."""


class Wire(asyncio.Protocol):
    """One conversation at a time; `fault` is set once and for all when it is over."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._reader = ReplyReader()
        self._replies: list[RawReply] = []
        self._wanted = 1
        self._waiter: asyncio.Future[None] | None = loop.create_future()  # of the greeting
        self._gone = loop.create_future()
        self._timer: asyncio.TimerHandle | None = None
        self._rings_at = 0.0
        self._deadline = 0.0
        self._further_seconds = 0.0
        self._behind = 0
        self._reply_by: float | None = None
        self._held_back = True
        self.is_secure = False
        self.fault: SmtpFault | None = None

    @property
    def has_held_back(self) -> bool:
        """The dot of the last body certainly never left: nobody can have accepted it."""
        return self._held_back

    @property
    def tls(self) -> str:
        secured = self._transport.get_extra_info("ssl_object") if self._transport else None
        return (secured.version() or "") if secured else ""

    @property
    def local_address(self) -> str:
        """This end's IP address."""
        assert self._transport is not None
        return str(self._transport.get_extra_info("sockname")[0])

    async def greeted(self, seconds: float) -> list[RawReply]:
        """Wait for what the server says first; none only when a fault ends it."""
        self._arm(self._loop.time() + seconds)
        return await self._answers()

    async def ask(
        self, lines: Sequence[bytes], count: int, seconds: float, further_seconds: float = 0.0
    ) -> list[RawReply]:
        """Send, and wait for that many replies; fewer only when a 421 or a fault ends it.

        Args:
            lines: sent in one piece.
            count: replies to wait for.
            seconds: in all, for the first reply to be there whole.
            further_seconds: likewise for each one behind it.
        """
        if not self._begins(count):
            return []
        self._behind = 0
        self._send(lines)
        self._further_seconds = further_seconds
        self._arm(self._loop.time() + seconds)
        return await self._answers()

    async def hand_in(
        self,
        body: bytes,
        behind: bytes,
        count: int,
        *,
        flush_seconds: float,
        seconds: float,
        further_seconds: float,
    ) -> list[RawReply]:
        """As `ask`, with a body; `behind` is its dot and what follows in the same piece.

        Args:
            body: ends with CRLF.
            behind: begins with the dot.
            count: replies to wait for.
            flush_seconds: in all, until the dot has left us: a server may stop reading.
            seconds: in all, until the verdict is there whole.
            further_seconds: in all, for each reply behind it.
        """
        if not self._begins(count):
            return []
        self._behind = len(behind)
        self._send((body, behind))
        self._further_seconds = further_seconds
        now = self._loop.time()
        self._reply_by = now + max(seconds, flush_seconds)
        if self._unsent() >= self._behind:
            self._arm(now + flush_seconds)
        else:
            self._arm(self._reply_by)
        return await self._answers()

    async def start_tls(self, context: ssl.SSLContext, host: str, seconds: float) -> None:
        """Speak TLS from here on; what came in the clear counts no more.

        Raises:
            OSError: the handshake failed.
            SmtpFault: something more came in the clear: an injection that TLS would make look
                trustworthy (CVE-2011-0411).
        """
        assert self._transport is not None
        if not self._reader.is_clean:
            self.end(say("the server spoke on between STARTTLS and TLS"))
        if self.fault is None:
            self._transport = await self._loop.start_tls(
                self._transport,
                self,
                context,
                server_hostname=host,
                ssl_handshake_timeout=seconds,
            )
            self.is_secure = True
        if self.fault is not None:
            self.abort()
            raise self.fault

    def end(
        self, problem: Sentence, *, reply: RawReply | None = None, broken: bool = False
    ) -> None:
        """This connection is of no more use; says why, once."""
        if self.fault is not None:
            return
        self._measure()
        if reply is None:
            self.fault = SmtpFault(problem, pipelining_broken=broken)
        else:
            self.fault = SmtpFault.said(problem, parse_reply(*reply))
            self.fault.pipelining_broken = broken
        self.abort()
        self._wake()

    def abort(self) -> None:
        """Hang up."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.fault is None:
            self.fault = SmtpFault(say("the connection is closed"))
        if self._transport is not None:
            self._transport.abort()

    async def gone(self) -> None:
        """Until the connection, hung up before, is taken down."""
        await self._gone

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own do not derive from it
        self.is_secure = transport.get_extra_info("sslcontext") is not None
        # Nagle would hold back the end of a body until its beginning is acknowledged.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        replies, before = self._replies, len(self._replies)
        problem = None
        try:
            self._reader.feed(data, replies)
        except ReplyError as error:
            problem = quoted(error)
        waiter = self._waiter
        if waiter is None or waiter.done() or len(replies) > self._wanted:
            self._unasked(before if waiter is None or waiter.done() else self._wanted)
        elif len(replies) == self._wanted or any(code == CLOSING for code, _ in replies[before:]):
            waiter.set_result(None)
        elif len(replies) > before:
            self._reply_by = None
            self._arm(self._loop.time() + self._further_seconds)
        if problem:
            self.end(problem)

    def eof_received(self) -> None:
        self.end(say("connection lost: the server hung up"))

    def connection_lost(self, exc: Exception | None) -> None:
        self.end(say("connection lost: %(why)s", why=exc) if exc else say("connection lost"))
        if not self._gone.done():
            self._gone.set_result(None)

    # Inside.

    def _begins(self, count: int) -> bool:
        assert self._waiter is None, "one conversation at a time"
        self._held_back = True
        self._reply_by = None
        if self.fault is None and not self._reader.is_clean:
            self.end(say("the server spoke unasked"))
        self._replies, self._wanted = [], count
        return self.fault is None

    def _send(self, lines: Sequence[bytes]) -> None:
        transport = self._transport
        assert transport is not None
        self._held_back = False
        transport.write(b"".join(lines))
        if transport.is_closing():
            # The one system call failed, so that not a byte of this has left.
            self._held_back = not self.is_secure
            self.end(say("connection lost"))

    async def _answers(self) -> list[RawReply]:
        if self.fault is None:
            self._waiter = self._waiter or self._loop.create_future()
            try:
                await self._waiter
            except asyncio.CancelledError:
                self._waiter = None
                self.end(say("given up"))
                raise
        self._waiter = None
        self._reply_by = None
        return self._replies

    def _unasked(self, wanted: int) -> None:
        """More was said than asked for: a server that closes, or one that is out of step."""
        further = self._replies[wanted:]
        del self._replies[wanted:]
        for reply in further:
            if reply[0] == CLOSING:
                self.end(say("the server closes the connection"), reply=reply)
        if further:
            problem = say("the server gives more replies than asked for")
            self.end(problem, broken=self._wanted > 1)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _arm(self, deadline: float) -> None:
        """A timer that rings early is set again then: cheaper than a new one for every step."""
        self._deadline = deadline
        if self._timer is not None:
            if self._rings_at <= deadline:
                return
            self._timer.cancel()
        self._rings_at = deadline
        self._timer = self._loop.call_at(deadline, self._ring)

    def _ring(self) -> None:
        self._timer = None
        if self._waiter is None or self._waiter.done():
            return
        if self._deadline - self._loop.time() > _CLOCK_SECONDS:
            self._arm(self._deadline)
        elif self._reply_by is not None and self._unsent() < self._behind:
            self._expect_the_verdict()
        else:
            self._time_out()

    def _expect_the_verdict(self) -> None:
        """The dot has left in time, and what is due now is the reply to it."""
        assert self._reply_by is not None
        if self._reply_by - self._loop.time() > _CLOCK_SECONDS:
            self._arm(self._reply_by)
        else:
            self._time_out()

    def _time_out(self) -> None:
        stalled = self._wanted > 1 and bool(self._replies)
        if stalled:
            problem = say("timed out: the server answered some of the piped commands only")
        else:
            problem = say("timed out")
        self.end(problem, broken=stalled)

    def _unsent(self) -> int:
        return self._transport.get_write_buffer_size() if self._transport is not None else 0

    def _measure(self) -> None:
        """Whether the dot is still here; TLS keeps its own counsel, so there it never is."""
        if self._behind == 0 or self._held_back or self.is_secure or self._unsent() < self._behind:
            return
        # Without this the loop could still flush the dot between our look and the close.
        with suppress(OSError):
            assert self._transport is not None
            number = os.dup(self._transport.get_extra_info("socket").fileno())
            with socket.socket(fileno=number) as same:
                same.shutdown(socket.SHUT_WR)
        self._held_back = self._unsent() >= self._behind
