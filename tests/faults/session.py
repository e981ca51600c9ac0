"""One connection to the fault server: the protocol, and every way to break it."""

import asyncio
import socket
import struct
from collections.abc import Callable
from functools import partial
from typing import Protocol, cast

from tests.faults.plans import Act, Plan, Rule, Stage

_BODY_END = b"\r\n.\r\n"
_VERBS = {b"MAIL": Stage.MAIL, b"RCPT": Stage.RCPT, b"DATA": Stage.DATA}
_TAKEN = {
    Stage.BANNER: "220 referee.test ESMTP",
    Stage.MAIL: "250 2.1.0 Ok",
    Stage.RCPT: "250 2.1.5 Ok",
    Stage.DATA: "354 Go on",
    Stage.DOT: "250 2.0.0 Taken",
}


class Shared(Protocol):
    """What all connections to one server have in common."""

    plan: Plan
    open: set["Session"]
    number: int

    def write(self, event: str, **facts: object) -> None: ...
    def rule(self, stage: Stage, recipient: str) -> Rule | None: ...
    def throttled(self) -> bool: ...
    def reply_delay(self) -> float: ...


class Session(asyncio.Protocol):
    """One connection."""

    transport: asyncio.Transport

    def __init__(self, referee: Shared) -> None:
        self._referee = referee
        self._buffer = bytearray()
        self._searched = 0
        self._busy = False
        self._in_body = False
        self._over = False
        self._recipient = ""
        self._in_transaction = False
        self._messages = 0
        referee.number += 1
        self.number = referee.number

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop has classes of its own
        self._referee.open.add(self)
        self._write("opened", open=len(self._referee.open))
        limit = self._referee.plan.connections
        if limit and len(self._referee.open) > limit:
            self._write("refused", stage=Stage.BANNER, reply="421")
            self.transport.write(b"421 4.7.0 Too many connections from your address\r\n")
            self._end()
            return
        self._pass(Stage.BANNER, _TAKEN[Stage.BANNER])

    def connection_lost(self, error: Exception | None) -> None:
        del error
        self._over = True
        self._referee.open.discard(self)
        self._write("closed", messages=self._messages)

    def data_received(self, data: bytes) -> None:
        if self._over:
            return
        self._buffer += data
        self._work()

    def _work(self) -> None:
        """Whatever is complete in the buffer, as long as nothing has to be waited for."""
        while self._buffer and not self._busy and not self._over:
            if not (self._body() if self._in_body else self._line()):
                return

    def _line(self) -> bool:
        end = self._buffer.find(b"\n")
        if end < 0:
            return False
        line = bytes(self._buffer[:end]).strip()
        del self._buffer[: end + 1]
        if self._referee.plan.lies:
            self._buffer.clear()
        self._command(line)
        return True

    def _command(self, line: bytes) -> None:
        verb = line[:4].upper()
        if stage := _VERBS.get(verb):
            self._step(stage, line)
        elif verb in (b"EHLO", b"HELO"):
            names = ("referee.test", *self._referee.plan.extensions)
            self._pass(Stage.EHLO, "\n".join(_continued(names)))
        elif verb == b"QUIT":
            self._say("221 2.0.0 Bye")
            self._end()
        else:
            self._say("250 2.0.0 Ok" if verb in (b"RSET", b"NOOP") else "502 5.5.1 What?")

    def _step(self, stage: Stage, line: bytes) -> None:
        if stage is Stage.RCPT and not self._in_transaction:
            self._say("503 5.5.1 MAIL first")
            return
        if stage is Stage.RCPT:
            self._recipient = line.partition(b"<")[2].partition(b">")[0].decode().lower()
        elif stage is Stage.MAIL:
            self._recipient = ""
            self._in_transaction = True
            if refusal := self._refusal():
                self._refuse(stage, refusal)
                return
        elif not self._recipient:
            self._say("503 5.5.1 RCPT first")
            return
        self._pass(stage, _TAKEN[stage])

    def _refusal(self) -> str:
        """The limit that this message goes beyond, as the reply that says so."""
        limit = self._referee.plan.messages_per_connection
        if limit and self._messages >= limit:
            return self._referee.plan.limit_reply
        return "451 4.7.0 Throttled, slow down" if self._referee.throttled() else ""

    def _body(self) -> bool:
        if rule := self._referee.rule(Stage.BODY, self._recipient):
            self._in_body = False
            self._act(Stage.BODY, rule, "")
            return True
        if self._buffer.startswith(b".\r\n"):
            end = 3
        else:
            found = self._buffer.find(_BODY_END, max(0, self._searched - len(_BODY_END)))
            self._searched = len(self._buffer)
            if found < 0:
                return False
            end = found + len(_BODY_END)
        del self._buffer[:end]
        if self._referee.plan.lies:
            self._buffer.clear()
        self._in_body = False
        self._take(end)
        return True

    def _take(self, size: int) -> None:
        """The dot was read: from here on the message is ours, whether or not the client stays."""
        delay = self._referee.reply_delay()
        if not delay:
            self._conclude(size)
            return
        self._busy = True
        asyncio.get_running_loop().call_later(delay, self._conclude, size)

    def _conclude(self, size: int) -> None:
        self._busy = False
        rule = self._referee.rule(Stage.DOT, self._recipient)
        if rule is None or rule.accepts:
            self._messages += 1
            self._write("accepted", to=self._recipient, size=size)
        if rule is None:
            self._say(_TAKEN[Stage.DOT])
        else:
            self._act(Stage.DOT, rule, _TAKEN[Stage.DOT] if rule.accepts else "")
        self._recipient = ""
        self._work()

    def _pass(self, stage: Stage, usual: str) -> None:
        rule = self._referee.rule(stage, self._recipient)
        if rule is None:
            self._begin_body(stage)
            self._say(usual)
        else:
            self._act(stage, rule, usual)

    def _begin_body(self, stage: Stage) -> None:
        if stage is Stage.DATA:
            self._in_body, self._searched = True, 0

    def _act(self, stage: Stage, rule: Rule, usual: str) -> None:
        reply = rule.reply or usual
        if rule.act is Act.REPLY:
            self._answer(stage, reply)
        elif rule.act in (Act.LATE, Act.DRIP):
            self._busy = True
            complete = partial(self._answer, stage, reply)
            (self._drip if rule.act is Act.DRIP else self._late)(stage, rule, complete)
        else:
            self._break_off(stage, rule)

    def _answer(self, stage: Stage, reply: str) -> None:
        """The reply in full, be it good, bad, or no SMTP at all."""
        self._busy = False
        if self._over:
            return
        if reply[:1] == "2" or (reply[:3] == "354" and stage is Stage.DATA):
            self._begin_body(stage)
            self._say(reply)
        else:
            self._refuse(stage, reply)
        # Later: what was piped behind belongs to the next message, and this one is not put away.
        asyncio.get_running_loop().call_soon(self._work)

    def _late(self, stage: Stage, rule: Rule, complete: Callable[[], None]) -> None:
        self._no_reply_in_time(stage)
        asyncio.get_running_loop().call_later(rule.seconds, complete)

    def _drip(self, stage: Stage, rule: Rule, complete: Callable[[], None]) -> None:
        """Bytes of a reply that goes on and on; the last line comes at the end, or never."""
        self._no_reply_in_time(stage)
        line = b"250-a line of many, one byte at a time\r\n"
        pause = rule.seconds / len(line)

        def one(left: bytes) -> None:
            if self._over:
                return
            if left:
                self.transport.write(left[:1])
                asyncio.get_running_loop().call_later(pause, one, left[1:])
            elif rule.reply:
                complete()
            else:
                self._end()

        one(line)

    def _break_off(self, stage: Stage, rule: Rule) -> None:
        self._no_reply_in_time(stage)
        if rule.act is Act.DEAF:
            self.transport.pause_reading()
        if rule.act in (Act.SILENCE, Act.DEAF):
            self._busy = True
            asyncio.get_running_loop().call_later(rule.seconds, self._end)
            return
        if rule.act is Act.RESET:
            linger = struct.pack("ii", 1, 0)
            found: socket.socket = self.transport.get_extra_info("socket")
            found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.transport.abort()
        self._end()

    def _no_reply_in_time(self, stage: Stage) -> None:
        """After 354 the dot may be under way already: that the client cannot know is its right."""
        event = "unanswered" if stage in (Stage.BODY, Stage.DOT) else "dropped"
        self._write(event, to=self._recipient, stage=stage)

    def _refuse(self, stage: Stage, reply: str) -> None:
        if stage in (Stage.BODY, Stage.DOT) and not reply[:1].isdecimal():
            self._write("unanswered", to=self._recipient, stage=stage)
        self._write("refused", to=self._recipient, stage=stage, reply=reply[:80])
        self._recipient = ""
        self._in_transaction = False
        self._say(reply)
        if reply.startswith("421"):
            self._end()

    def _say(self, reply: str) -> None:
        if not self._over:
            self.transport.write(reply.replace("\n", "\r\n").encode() + b"\r\n")

    def _end(self) -> None:
        self._over = True
        self.transport.close()

    def _write(self, event: str, **facts: object) -> None:
        self._referee.write(event, connection=self.number, **facts)


def _continued(lines: tuple[str, ...]) -> list[str]:
    return [f"250-{line}" for line in lines[:-1]] + [f"250 {lines[-1]}"]
