"""A real SMTP server as referee: what it accepted is the truth, and it fails on demand.

In a test: `with SmtpServer() as server:`. As a process of its own:
`python tests/smtp_server.py --port-file F --log F [--unknown ADDR …] [--refuse ADDR …]
[--greylist ADDR …] [--silent ADDR …]`, until SIGTERM.
"""

import argparse
import asyncio
import itertools
import json
import signal
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword


class Moment(StrEnum):
    """When in a transaction something happens."""

    RCPT = "in reply to RCPT"
    DATA = "in reply to DATA"
    BODY = "while the body arrives"
    DOT = "after the final dot"


@dataclass(frozen=True, slots=True)
class Step:
    """What happens to one offer; without a reply the connection is dropped.

    A connection dropped after the dot has accepted the message.
    """

    moment: Moment
    reply: str = ""


UNKNOWN = Step(Moment.RCPT, "550 5.1.1 User unknown")
REFUSED = Step(Moment.RCPT, "550 5.7.1 Not here")
SILENT = Step(Moment.DOT)
GREYLISTED = Step(Moment.RCPT, "451 4.7.1 Greylisted, come back later")


@dataclass(frozen=True, slots=True)
class Offer:
    """What became of one offer; the message as it came, dots taken off, if it was accepted."""

    recipient: str
    verdict: str
    message: bytes = b""
    at: float = 0.0


class SmtpServer:
    """Listens on 127.0.0.1 while the block runs; keeps every offer, in order.

    Attributes:
        context: the server's certificate; asks for STARTTLS, or TLS from the first byte.
        login: user and password that every client has to give.
        log: a file that gets a line of JSON per offer before the client gets the reply.
        bye_seconds: how long a QUIT waits for its reply.
    """

    def __init__(
        self,
        *,
        context: ssl.SSLContext | None = None,
        implicit_tls: bool = False,
        login: tuple[str, str] | None = None,
        smtputf8: bool = True,
        log: Path | None = None,
        bye_seconds: float = 0,
    ) -> None:
        self.bye_seconds = bye_seconds
        self.offers: list[Offer] = []
        self.connections = 0
        self._protocols: list[_Protocol] = []
        self._context = context
        self._implicit_tls = implicit_tls
        self._login = login
        self._smtputf8 = smtputf8
        self._log = log
        self._scripts: dict[str, Iterator[Step]] = {}
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="referee")

    def script(self, recipient: str, *steps: Step) -> None:
        """What happens to the next offers to this recipient; later ones are accepted."""
        self._scripts[recipient] = iter(steps)

    def always(self, recipient: str, step: Step) -> None:
        """What happens to every offer to this recipient."""
        self._scripts[recipient] = itertools.repeat(step)

    @property
    def accepted(self) -> list[tuple[str, bytes]]:
        return [(o.recipient, o.message) for o in self.offers if o.verdict == "accepted"]

    def next_step(self, recipient: str) -> Step | None:
        return next(self._scripts.get(recipient, iter(())), None)

    def record(self, recipient: str, verdict: str, message: bytes = b"") -> None:
        offer = Offer(recipient, verdict, message, time.time())
        self.offers.append(offer)
        if self._log:
            line = {"recipient": recipient, "verdict": verdict, "at": offer.at}
            with self._log.open("a") as log:
                log.write(json.dumps(line) + "\n")

    def __enter__(self) -> Self:
        self._thread.start()
        self._started.wait()
        return self

    def __exit__(self, *error: object) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        implicit = self._context if self._implicit_tls else None
        server = await self._loop.create_server(self._protocol, sock=self._socket, ssl=implicit)
        self._started.set()
        await self._stopping.wait()
        server.close()
        # The library leaves the TCP transport beneath STARTTLS open when a client just hangs up.
        for protocol in self._protocols:
            for transport in (protocol.transport, protocol._original_transport):
                if isinstance(transport, asyncio.WriteTransport):
                    transport.abort()
        for _ in range(100):
            if not getattr(server, "_active_count", 0):
                break
            await asyncio.sleep(0.005)

    def _protocol(self) -> "_Protocol":
        self.connections += 1
        starttls = self._context if not self._implicit_tls else None
        protocol = _Protocol(
            self,
            _Handler(self),
            hostname="referee.test",
            enable_SMTPUTF8=self._smtputf8,
            tls_context=starttls,
            require_starttls=starttls is not None,
            auth_required=self._login is not None,
            auth_require_tls=self._context is not None and not self._implicit_tls,
            authenticator=self._authenticate,
        )
        self._protocols.append(protocol)
        return protocol

    def _authenticate(
        self, server: Any, session: Any, envelope: Any, mechanism: str, data: LoginPassword
    ) -> AuthResult:
        del server, session, envelope, mechanism
        given = (data.login.decode(), data.password.decode())
        return AuthResult(success=given == self._login, handled=False)


class _Protocol(SMTP):
    """The library's server, able to fail before the dot."""

    def __init__(self, referee: SmtpServer, handler: "_Handler", **options: Any) -> None:
        super().__init__(handler, **options)
        self._referee = referee

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802 - the name the library calls
        step = self.event_handler.step
        if step is None or step.moment is Moment.DOT:
            await super().smtp_DATA(arg)
            return
        if step.moment is Moment.BODY:
            await self.push("354 go on")
            await self._reader.readline()
        self.event_handler.conclude(step, self.envelope.rcpt_tos[0])
        await self.event_handler.answer(self, step)
        await self.push(step.reply)

    async def smtp_QUIT(self, arg: str) -> None:  # noqa: N802 - the name the library calls
        await asyncio.sleep(self._referee.bye_seconds)
        await super().smtp_QUIT(arg)


class _Handler:
    """aiosmtpd's handler of one connection: one recipient per transaction."""

    def __init__(self, referee: SmtpServer) -> None:
        self._referee = referee
        self.step: Step | None = None

    async def handle_RCPT(  # noqa: N802 - the name the library calls
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        del session, options
        self.step = self._referee.next_step(address)
        if self.step and self.step.moment is Moment.RCPT:
            self.conclude(self.step, address)
            return await self.answer(server, self.step)
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Ok"

    async def handle_DATA(  # noqa: N802 - the name the library calls
        self, server: Any, session: Any, envelope: Any
    ) -> str:
        del session
        (recipient,) = envelope.rcpt_tos
        if self.step and self.step.reply:
            self.conclude(self.step, recipient)
            return self.step.reply
        self._referee.record(recipient, "accepted", envelope.original_content)
        return await self.answer(server, self.step) if self.step else "250 2.0.0 Ok"

    def conclude(self, step: Step, recipient: str) -> None:
        verdicts = {"": "dropped", "4": "greylisted", "5": "refused"}
        self._referee.record(recipient, verdicts[step.reply[:1]])

    async def answer(self, server: Any, step: Step) -> str:
        """The reply, or no reply ever again on this connection."""
        if not step.reply:
            server.transport.abort()
            await asyncio.Event().wait()  # until the library notices the loss and cancels us
        return step.reply


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port-file", type=Path, required=True)
    parser.add_argument("--log", type=Path)
    parser.add_argument("--bye-seconds", type=float, default=0)
    for kind in ("--unknown", "--refuse", "--greylist", "--silent"):
        parser.add_argument(kind, action="extend", nargs="+", default=[], metavar="ADDR")
    options = parser.parse_args(arguments)
    # Blocked before the server's thread starts, so that the signal waits for sigwait below.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    with SmtpServer(log=options.log, bye_seconds=options.bye_seconds) as server:
        for address in options.unknown:
            server.always(address, UNKNOWN)
        for address in options.refuse:
            server.always(address, REFUSED)
        for address in options.greylist:
            server.script(address, GREYLISTED)
        for address in options.silent:
            server.script(address, SILENT)
        options.port_file.write_text(str(server.port))
        signal.sigwait({signal.SIGTERM, signal.SIGINT})


if __name__ == "__main__":
    main()
