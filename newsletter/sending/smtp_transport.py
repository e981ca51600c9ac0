"""SMTP as a Transport: one connection, one recipient per transaction, one ambiguous moment.

The final dot is sent as a step of its own. Whatever fails before it is definitely not accepted;
only between the dot and the full reply to it can nobody know.
"""

import smtplib
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote, urlsplit

from newsletter.core.config import RelaySettings
from newsletter.core.errors import ConfigurationError
from newsletter.mail.replies import Reply, ReplyClass, classify, parse_reply
from newsletter.sending.transport import (
    Connection,
    Envelope,
    NoReplyError,
    RelayFaultError,
    Transport,
)

_TLS_KINDS = ("starttls", "none")
_BREAKS_CONNECTION = frozenset({ReplyClass.RELAY_FAULT, ReplyClass.CONFIGURATION})


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds to wait for the relay."""

    connect: float = 10
    command: float = 60
    after_dot: float = 600


class SmtpTransport:
    """One relay, by its URL.

    `smtps://` speaks TLS from the first byte; `smtp://` requires STARTTLS unless `?tls=none`.
    Certificates and names are checked; `?ca=FILE` names an authority of your own.
    """

    def __init__(self, relay: RelaySettings, timeouts: Timeouts = Timeouts()) -> None:
        self._name = relay.name
        self._timeouts = timeouts
        url = urlsplit(relay.url.get_secret_value())
        place = f"relays.{relay.name}.url"
        if url.scheme not in ("smtp", "smtps") or not url.hostname:
            raise ConfigurationError(f"{place}: expected smtp://HOST:PORT or smtps://HOST:PORT")
        options = {key: values[-1] for key, values in parse_qs(url.query).items()}
        self._implicit_tls = url.scheme == "smtps"
        self._starttls = not self._implicit_tls and options.get("tls", "starttls") == "starttls"
        if options.get("tls", "starttls") not in _TLS_KINDS or options.keys() - {"tls", "ca"}:
            raise ConfigurationError(f"{place}: expected ?tls=starttls, ?tls=none or ?ca=FILE")
        self._host = url.hostname
        self._port = url.port or (465 if self._implicit_tls else 587)
        self._user = unquote(url.username or "")
        self._password = unquote(url.password or "")
        self._ca = options.get("ca")

    @property
    def name(self) -> str:
        return self._name

    def connect(self) -> Connection:
        with self._fault("cannot be reached"):
            client = self._greeted()
        try:
            with self._fault("does not let us in"):
                self._secure_and_login(client)
        except RelayFaultError:
            client.close()
            raise
        assert client.sock is not None
        client.sock.settimeout(self._timeouts.command)
        return _SmtpConnection(self._name, client, self._timeouts)

    def _greeted(self) -> smtplib.SMTP:
        if self._implicit_tls:
            return smtplib.SMTP_SSL(
                self._host, self._port, timeout=self._timeouts.connect, context=self._context()
            )
        return smtplib.SMTP(self._host, self._port, timeout=self._timeouts.connect)

    def _secure_and_login(self, client: smtplib.SMTP) -> None:
        client.ehlo()
        if self._starttls:
            if not client.has_extn("starttls"):
                raise RelayFaultError(
                    self._name,
                    "offers no STARTTLS; if that is meant, end its URL in ?tls=none",
                    is_configuration=True,
                )
            client.starttls(context=self._context())
            client.ehlo()
        if self._user:
            client.login(self._user, self._password)

    def _context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self._ca)

    @contextmanager
    def _fault(self, problem: str) -> Iterator[None]:
        """Whatever the library raises, as what it means to us; credentials are in none of it."""
        try:
            yield
        except smtplib.SMTPNotSupportedError as error:
            raise RelayFaultError(
                self._name, f"{problem}: {error}", is_configuration=True
            ) from None
        except smtplib.SMTPResponseException as error:
            reply = parse_reply(error.smtp_code, error.smtp_error)
            raise _fault_of(self._name, problem, reply) from None
        except ssl.SSLCertVerificationError as error:
            raise RelayFaultError(
                self._name, f"{problem}: {error.verify_message}", is_configuration=True
            ) from None
        except (smtplib.SMTPException, OSError) as error:
            raise RelayFaultError(self._name, f"{problem}: {error}") from None


class _SmtpConnection:
    """An open connection; the library's client drives the commands, we drive the dot."""

    def __init__(self, relay: str, client: smtplib.SMTP, timeouts: Timeouts) -> None:
        self._relay = relay
        self._client = client
        self._timeouts = timeouts

    def send(self, envelope: Envelope, wire: bytes) -> Reply:
        if envelope.smtputf8 and not self._client.has_extn("smtputf8"):
            # RFC 6531 section 3.2: such an address cannot be handed to this server at all.
            return Reply(553, "5.6.7", "this relay takes no addresses beyond ASCII (SMTPUTF8)")
        refusal = self._announce(envelope)
        if refusal is not None:
            self._command("RSET")
            return refusal
        self._body(wire)
        return self._dot()

    def close(self) -> None:
        try:
            self._client.quit()
        except (smtplib.SMTPException, OSError):
            self._client.close()

    def _announce(self, envelope: Envelope) -> Reply | None:
        """MAIL, RCPT, DATA; the first refusal, or None when the body may come."""
        option = " SMTPUTF8" if envelope.smtputf8 else ""
        for command, wanted in (
            (f"MAIL FROM:<{envelope.sender}>{option}", 2),
            (f"RCPT TO:<{envelope.recipient}>", 2),
            ("DATA", 3),
        ):
            reply = self._command(command)
            if reply.code // 100 != wanted:
                return reply
        return None

    def _command(self, command: str) -> Reply:
        """One command and its full reply; a reply that ends the connection is a fault."""
        try:
            if command.isascii():
                self._client.putcmd(command)
            else:
                self._client.send(command.encode() + b"\r\n")
            reply = parse_reply(*self._client.getreply())
        except (smtplib.SMTPException, OSError) as error:
            raise RelayFaultError(self._relay, f"connection lost: {error}") from None
        if reply.code == -1 or classify(reply) in _BREAKS_CONNECTION:
            raise _fault_of(self._relay, f"said {reply.code} to {command[:4]}", reply)
        return reply

    def _body(self, wire: bytes) -> None:
        try:
            self._client.send(wire)
        except (smtplib.SMTPException, OSError) as error:
            raise RelayFaultError(self._relay, f"connection lost in the body: {error}") from None

    def _dot(self) -> Reply:
        assert self._client.sock is not None
        try:
            self._client.sock.settimeout(self._timeouts.after_dot)
            self._client.send(b".\r\n")
            reply = parse_reply(*self._client.getreply())
        except (smtplib.SMTPException, OSError) as error:
            raise NoReplyError(self._relay, f"no reply after the dot: {error}") from None
        if reply.code == -1:
            raise NoReplyError(self._relay, "no reply after the dot")
        self._client.sock.settimeout(self._timeouts.command)
        return reply


def transport_for(relays: Sequence[RelaySettings]) -> Transport:
    """The transport of the first relay.

    Raises:
        ConfigurationError: none is configured; says what to put where.
    """
    if not relays:
        raise ConfigurationError(
            "no relay is configured: put into newsletter.toml\n"
            '  [[relays]]\n  name = "main"\n  url = "smtp://USER:PASSWORD@HOST:587"'
        )
    return SmtpTransport(relays[0])


def _fault_of(relay: str, problem: str, reply: Reply) -> RelayFaultError:
    return RelayFaultError(
        relay,
        f"{problem}: {reply.code} {reply.enhanced} {reply.text}".strip(),
        reply=reply,
        is_configuration=classify(reply) is ReplyClass.CONFIGURATION,
    )
