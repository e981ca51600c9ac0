"""An SMTP client that carries the next envelope right behind a body, one round trip a message.

Only between the final dot leaving and the full reply to it can nobody know whether a message was
taken. Everything else is definite: a reply that was read is never lost by what happens behind it.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from newsletter.core.sentences import say
from newsletter.mail.replies import Reply, parse_reply
from newsletter.mail.smtp_envelope import (
    DOT,
    BodyError,
    Envelope,
    EnvelopeError,
    Offers,
    dot_stuffed,
)
from newsletter.mail.smtp_fault import CLOSING, SmtpFault
from newsletter.mail.smtp_opening import Server, Timeouts, opened
from newsletter.mail.smtp_replies import RawReply
from newsletter.mail.smtp_wire import Wire

__all__ = [
    "BodyError",
    "Connection",
    "Envelope",
    "EnvelopeError",
    "Exchange",
    "Server",
    "SmtpFault",
    "Timeouts",
    "connect",
    "dot_stuffed",
]

GO_AHEAD: Final = 354
_RESET: Final = b"RSET\r\n"
_WANTED: Final = (2, 2, 2, 3)
"""First digits of what RSET, MAIL, RCPT and DATA are to be answered with."""
_REFUSALS: Final = 400
_OUT_OF_SEQUENCE: Final = frozenset({500, 502, 503})
_FLUSHED_BYTES_PER_SECOND: Final = 10_000
_GOODBYE_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Exchange:
    """What became of one exchange.

    Attributes:
        verdict: the full reply to the body that was handed in, whatever it was; None: no body, or
            no full reply came.
        ambiguous: a body was handed in, its dot may have left, and no full reply came: nobody can
            know. A body without verdict and not ambiguous was definitely not accepted.
        go_ahead: the reply that decides the envelope. 354: its body may follow; else the first
            refusal. None: no envelope, or it came to nothing because of `fault`.
        fault: the connection is of no more use; a refusal read before stays beside it.
    """

    verdict: Reply | None
    ambiguous: bool
    go_ahead: Reply | None
    fault: SmtpFault | None


async def connect(
    server: Server, timeouts: Timeouts | None = None, *, pipelining: bool = True
) -> "Connection":
    """Open a connection; `pipelining` is used where the server offers it.

    Raises:
        SmtpFault: the server cannot be reached or does not let us in.
    """
    timeouts = timeouts or Timeouts()
    wire, extensions = await opened(server, timeouts)
    return Connection(wire, extensions, timeouts, pipelining=pipelining)


class Connection:
    """An open, greeted, authenticated connection; used by one task at a time.

    Attributes:
        extensions: EHLO keywords in capitals, and what stands behind each.
        pipelining: the next envelope goes right behind a body.
        messages: transactions begun.
    """

    def __init__(
        self, wire: Wire, extensions: Mapping[str, str], timeouts: Timeouts, *, pipelining: bool
    ) -> None:
        self._wire = wire
        self._timeouts = timeouts
        self._offers = Offers(extensions)
        self._awaits_body = False
        self._needs_reset = False
        self.extensions = MappingProxyType(dict(extensions))
        self.pipelining = pipelining and "PIPELINING" in extensions
        self.messages = 0

    @property
    def max_size(self) -> int | None:
        """Bytes of the largest message that the server takes, if it says so."""
        return self._offers.max_size

    @property
    def tls(self) -> str:
        """The version of TLS in force, or empty."""
        return self._wire.tls

    async def exchange(self, body: bytes | None, envelope: Envelope | None) -> Exchange:
        """Hand in the body that got its go-ahead last time, and offer the next envelope.

        Never raises for trouble with the server. When the task is cancelled meanwhile, the
        connection is closed, and a body handed in is ambiguous.

        Args:
            body: CRLF only, no line begins with a dot, ends with CRLF, lacks the final dot (see
                `dot_stuffed`). Given if, and only if, the last go-ahead was 354.
            envelope: None hands in the last body.
        """
        assert (body is not None) == self._awaits_body, "a body answers a go-ahead, nothing else"
        assert body is None or body[-2:] == b"\r\n", "a body ends with CRLF"
        self._awaits_body = False
        refusal, commands = self._prepared(envelope)
        if self.pipelining:
            replies = await self._at_once(body, commands)
        else:
            replies = await self._in_turn(body, commands)
        verdict, ambiguous = None, False
        if body is not None:
            verdict = self._verdict(replies)
            ambiguous = verdict is None and not self._wire.has_held_back
        if commands:
            refusal = await self._decision(commands, replies)
        return Exchange(verdict, ambiguous, refusal, self._wire.fault)

    async def close(self) -> None:
        """Say goodbye; never raises. After a go-ahead it can only hang up."""
        if not self._awaits_body:
            seconds = min(self._timeouts.command, _GOODBYE_SECONDS)
            await self._wire.ask((b"QUIT\r\n",), 1, seconds)
        self.abort()
        with suppress(TimeoutError):
            async with asyncio.timeout(_GOODBYE_SECONDS):
                await self._wire.gone()

    def abort(self) -> None:
        """Hang up; after a go-ahead, the way to hand in no body."""
        self._awaits_body = False
        self._wire.abort()

    def _prepared(self, envelope: Envelope | None) -> tuple[Reply | None, tuple[bytes, ...]]:
        """Our own refusal, or the commands that offer it."""
        if envelope is None or self._wire.fault is not None:
            return None, ()
        refusal = self._offers.refusal(envelope)
        if refusal is not None:
            return refusal, ()
        self.messages += 1
        commands = self._offers.commands(envelope)
        return None, (_RESET, *commands) if self._needs_reset else commands

    async def _at_once(self, body: bytes | None, commands: Sequence[bytes]) -> list[RawReply]:
        """Body, dot and commands in one piece (RFC 2920)."""
        further = self._timeouts.pipelined
        if body is not None:
            return await self._hand_in(body, b"".join((DOT, *commands)), 1 + len(commands))
        if not commands:
            return []
        return await self._wire.ask(commands, len(commands), self._timeouts.command, further)

    async def _in_turn(self, body: bytes | None, commands: Sequence[bytes]) -> list[RawReply]:
        """One step after another; the first that fails is the last."""
        replies: list[RawReply] = []
        if body is not None:
            replies = await self._hand_in(body, DOT, 1)
            if not replies or not _is_final(replies[0]) or replies[0][0] == CLOSING:
                return replies
        for command, wanted in zip(commands, _WANTED[-len(commands) :], strict=False):
            answer = await self._wire.ask((command,), 1, self._timeouts.command)
            replies += answer
            if not answer or answer[0][0] // 100 != wanted:
                break
        return replies

    async def _hand_in(self, body: bytes, behind: bytes, count: int) -> list[RawReply]:
        timeouts = self._timeouts
        return await self._wire.hand_in(
            body,
            behind,
            count,
            flush_seconds=max(timeouts.command, len(body) / _FLUSHED_BYTES_PER_SECOND),
            seconds=timeouts.after_dot,
            further_seconds=timeouts.pipelined,
        )

    def _verdict(self, replies: list[RawReply]) -> Reply | None:
        """Taken off the replies."""
        if not replies:
            return None
        raw = replies.pop(0)
        if not _is_final(raw):
            # An answer to something else: the one to our dot is lost among them.
            self._wire.end(say("an answer out of place after the dot"), reply=raw)
            replies.clear()
            return None
        if raw[0] == CLOSING:
            self._wire.end(say("the server closes the connection"), reply=raw)
        return parse_reply(*raw)

    async def _decision(self, commands: Sequence[bytes], replies: list[RawReply]) -> Reply | None:
        """The go-ahead, or the first refusal; None when neither came."""
        self._needs_reset = False
        wanted = _WANTED[-len(commands) :]
        for position, (code, _) in enumerate(replies):
            if code // 100 != wanted[position]:
                return await self._refused(commands, replies, position)
        if self._wire.fault is not None:
            return None
        self._awaits_body = True
        return parse_reply(*replies[-1])

    async def _refused(
        self, commands: Sequence[bytes], replies: Sequence[RawReply], position: int
    ) -> Reply | None:
        raw, command = replies[position], commands[position]
        self._needs_reset = True
        if raw[0] == CLOSING:
            self._wire.end(say("the server closes the connection"), reply=raw)
            return None
        if command is _RESET or raw[0] < _REFUSALS or (self.pipelining and _is_lost(raw)):
            problem = say("out of step at %(command)s", command=command[:4].decode())
            self._wire.end(problem, reply=raw, broken=self.pipelining)
            return None
        if position < len(commands) - 1 == len(replies) - 1:
            await self._settle(replies[-1])
        fault = self._wire.fault
        return None if fault is not None and fault.pipelining_broken else parse_reply(*raw)

    async def _settle(self, data: RawReply) -> None:
        """DATA was piped behind a refusal; where it got its go-ahead all the same, it wants an end.

        RFC 2920 section 3.1: a lone dot. The server then has no message and no transaction.
        """
        least = _REFUSALS
        if data[0] == GO_AHEAD:
            self._needs_reset = False
            answer = await self._wire.ask((DOT,), 1, self._timeouts.command)
            if not answer:
                return
            data, least = answer[0], 0
        if data[0] == CLOSING:
            self._wire.end(say("the server closes the connection"), reply=data)
        elif not _is_final(data) or data[0] < least:
            problem = say("out of step at %(command)s", command="DATA")
            self._wire.end(problem, reply=data, broken=True)


def _is_final(raw: RawReply) -> bool:
    """Not one that asks for more, such as 354."""
    return raw[0] // 100 != GO_AHEAD // 100


def _is_lost(raw: RawReply) -> bool:
    """A piped command that is called out of sequence, though it stood in sequence."""
    return raw[0] in _OUT_OF_SEQUENCE or b"synchroni" in raw[1].lower()
