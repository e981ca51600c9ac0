"""From nothing to a server that takes mail: TCP, greeting, EHLO, TLS, login."""

import asyncio
import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from ipaddress import IPv6Address, ip_address

from newsletter.core.errors import ConfigurationError
from newsletter.core.sentences import Sentence, say
from newsletter.mail.replies import parse_reply
from newsletter.mail.smtp_auth import log_in
from newsletter.mail.smtp_fault import SmtpFault
from newsletter.mail.smtp_replies import RawReply
from newsletter.mail.smtp_wire import Wire

_READY, _OK, _REFUSED = 220, 250, 500
_DOMAIN = re.compile(r"(?!-)[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")
_LOCAL_NAME = re.compile(r"[!-~]*")


@dataclass(frozen=True, slots=True)
class Server:
    """Where a server listens, how the way there is secured, and who we are to it.

    Attributes:
        context: checks certificate and host name; without `implicit_tls`, STARTTLS is required.
            None: without TLS, password and all.
        user: empty where no login is needed.
        local_name: what EHLO gives; empty: this host's full name, else its address.

    Raises:
        ConfigurationError: TLS from the first byte without a context, or a name for EHLO with a
            space or beyond ASCII.
    """

    host: str
    port: int
    implicit_tls: bool = False
    context: ssl.SSLContext | None = None
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    local_name: str = ""

    def __post_init__(self) -> None:
        if self.implicit_tls and self.context is None:
            raise ConfigurationError(
                say("%(host)s: TLS from the first byte needs a TLS context", host=self.host)
            )
        if not _LOCAL_NAME.fullmatch(self.local_name):
            raise ConfigurationError(
                say("%(host)s: the name for EHLO is expected in ASCII", host=self.host)
            )


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds in all for a step, however slowly its bytes drip in.

    Attributes:
        connect: TCP, TLS from the first byte, and the greeting, together.
        command: each command, and the handshake of STARTTLS. Also until the whole body has left
            us, which a server that stops reading prevents; a long one has a second per 10 KB.
        after_dot: a body and the verdict on it, together.
        pipelined: each further reply, once the first of several is there.
    """

    connect: float = 10
    command: float = 60
    after_dot: float = 600
    pipelined: float = 10


Extensions = dict[str, str]
"""EHLO keywords in capitals, and what stands behind each."""


async def opened(server: Server, timeouts: Timeouts) -> tuple[Wire, Extensions]:
    """A connection that is greeted, secured and logged in as `server` asks for.

    Raises:
        SmtpFault: no way in.
    """
    greeted_by = asyncio.get_running_loop().time() + timeouts.connect
    wire = await _reached(server, timeouts)
    try:
        await _greeted(wire, greeted_by)
        extensions = await _introduced(wire, server, timeouts)
        if server.user:
            await log_in(
                wire, extensions.get("AUTH", ""), server.user, server.password, timeouts.command
            )
    except BaseException:
        wire.abort()
        raise
    return wire, extensions


async def _reached(server: Server, timeouts: Timeouts) -> Wire:
    loop = asyncio.get_running_loop()
    tls = server.context if server.implicit_tls else None
    with _faults(say("cannot be reached")):
        async with asyncio.timeout(timeouts.connect):
            _, wire = await loop.create_connection(
                lambda: Wire(loop),
                server.host,
                server.port,
                ssl=tls,
                ssl_handshake_timeout=timeouts.connect if tls else None,
            )
    return wire


async def _greeted(wire: Wire, deadline: float) -> None:
    greeting = _first(wire, await wire.greeted(deadline - asyncio.get_running_loop().time()))
    if greeting[0] != _READY:
        raise SmtpFault.said(say("does not greet us"), parse_reply(*greeting))


async def _introduced(wire: Wire, server: Server, timeouts: Timeouts) -> Extensions:
    extensions = await _hello(wire, server, timeouts)
    if server.context is None or server.implicit_tls:
        return extensions
    if "STARTTLS" not in extensions:
        raise SmtpFault(say("offers no STARTTLS"), is_configuration=True, lacks_tls=True)
    answer = await _said(wire, b"STARTTLS", timeouts.command)
    if answer[0] != _READY:
        raise SmtpFault.said(say("refuses STARTTLS"), parse_reply(*answer))
    with _faults(say("cannot be secured")):
        await wire.start_tls(server.context, server.host, timeouts.command)
    # RFC 3207 section 4.2: whatever was said before TLS is forgotten.
    return await _hello(wire, server, timeouts)


async def _hello(wire: Wire, server: Server, timeouts: Timeouts) -> Extensions:
    """EHLO, and HELO for a server that is too old for it."""
    name = (server.local_name or await _own_name(wire)).encode()
    code, text = await _said(wire, b"EHLO " + name, timeouts.command)
    if code == _OK:
        return _extensions(text)
    if code >= _REFUSED:
        code, text = await _said(wire, b"HELO " + name, timeouts.command)
        if code == _OK:
            return {}
    raise SmtpFault.said(say("refuses our EHLO"), parse_reply(code, text))


def _extensions(text: bytes) -> Extensions:
    found: Extensions = {}
    for line in text.decode("ascii", "replace").split("\n")[1:]:
        # Before RFC 4954 there was `AUTH=LOGIN`.
        word, _, rest = line.strip().replace("AUTH=", "AUTH ", 1).partition(" ")
        keyword = word.upper()
        found[keyword] = f"{found[keyword]} {rest}" if keyword in found else rest
    return found


async def _said(wire: Wire, command: bytes, seconds: float) -> RawReply:
    """The reply to one command.

    Raises:
        SmtpFault: none came.
    """
    return _first(wire, await wire.ask((command, b"\r\n"), 1, seconds))


def _first(wire: Wire, replies: list[RawReply]) -> RawReply:
    if not replies:
        assert wire.fault is not None
        raise wire.fault
    return replies[0]


@contextmanager
def _faults(problem: Sentence) -> Iterator[None]:
    """What the network and TLS raise, as what it means to us."""
    try:
        yield
    except ssl.SSLCertVerificationError as error:
        raise SmtpFault(
            say("%(problem)s: %(error)s", problem=problem, error=error), is_configuration=True
        ) from None
    except TimeoutError:
        raise SmtpFault(say("%(problem)s: timed out", problem=problem)) from None
    except (OSError, UnicodeError) as error:
        raise SmtpFault(say("%(problem)s: %(error)s", problem=problem, error=error)) from None


async def _own_name(wire: Wire) -> str:
    """This host's full name, or its address on this connection (RFC 5321 section 4.1.3)."""
    name = await asyncio.get_running_loop().run_in_executor(None, _host_name)
    if _DOMAIN.fullmatch(name):
        return name
    address = ip_address(wire.local_address)
    return f"[IPv6:{address}]" if isinstance(address, IPv6Address) else f"[{address}]"


@cache
def _host_name() -> str:
    return socket.getfqdn()
