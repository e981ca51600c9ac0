"""SMTP as a Transport: one connection, one recipient per transaction, one ambiguous moment.

The final dot is sent as a step of its own. Whatever fails before it is definitely not accepted;
only between the dot and the full reply to it can nobody know.
"""

import smtplib
import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from newsletter.core.config import RelaySettings
from newsletter.core.errors import ConfigurationError
from newsletter.core.failpoints import failpoint
from newsletter.mail.replies import Reply, classify, parse_reply
from newsletter.sending.relay_url import RelayUrl
from newsletter.sending.transport import (
    Connection,
    Envelope,
    NoReplyError,
    RelayFaultError,
    Transport,
)


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds to wait for the relay."""

    connect: float = 10
    command: float = 60
    after_dot: float = 600


class SmtpTransport:
    """One relay, by its URL; see `relay_url` for what that may say.

    Raises:
        ConfigurationError: the URL, or the authority's file it names.
    """

    def __init__(self, relay: RelaySettings, timeouts: Timeouts | None = None) -> None:
        self._name = relay.name
        self._timeouts = timeouts or Timeouts()
        self._url = RelayUrl.parse(relay.url.get_secret_value(), place=f"relays.{relay.name}.url")
        self._context = self._url.tls_context()

    @property
    def name(self) -> str:
        return self._name

    def connect(self) -> Connection:
        with self._faults("cannot be reached"):
            client = self._greeted()
        try:
            with self._faults("does not let us in"):
                self._secure_and_login(client)
        except RelayFaultError:
            client.close()
            raise
        return _SmtpConnection(self._name, client, self._timeouts)

    def _greeted(self) -> smtplib.SMTP:
        host, port, seconds = self._url.host, self._url.port, self._timeouts.connect
        if self._url.implicit_tls:
            return smtplib.SMTP_SSL(host, port, timeout=seconds, context=self._context)
        return smtplib.SMTP(host, port, timeout=seconds)

    def _secure_and_login(self, client: smtplib.SMTP) -> None:
        client.ehlo_or_helo_if_needed()
        if self._context is not None and not self._url.implicit_tls:
            if not client.has_extn("starttls"):
                raise RelayFaultError(
                    self._name,
                    "offers no STARTTLS; if it is to be used without, end its URL in ?tls=none",
                    is_configuration=True,
                )
            client.starttls(context=self._context)
            client.ehlo_or_helo_if_needed()
        if self._url.user:
            client.login(self._url.user, self._url.password)

    @contextmanager
    def _faults(self, problem: str) -> Iterator[None]:
        """Whatever the library raises, as what it means to us; credentials are in none of it."""
        try:
            yield
        except smtplib.SMTPResponseException as error:
            reply = parse_reply(error.smtp_code, error.smtp_error)
            raise RelayFaultError.said(self._name, problem, reply) from None
        except (smtplib.SMTPNotSupportedError, ssl.SSLCertVerificationError) as error:
            raise RelayFaultError(
                self._name, f"{problem}: {error}", is_configuration=True
            ) from None
        except (smtplib.SMTPException, OSError) as error:
            raise RelayFaultError(self._name, f"{problem}: {error}") from None


class _SmtpConnection:
    """An open connection; the library's client carries the bytes, we drive the commands."""

    def __init__(self, relay: str, client: smtplib.SMTP, timeouts: Timeouts) -> None:
        assert client.sock is not None
        # The dot follows the body at once: Nagle would hold it back until the body's last
        # segment is acknowledged, 40 ms a message.
        client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._relay = relay
        self._client = client
        self._timeouts = timeouts

    def send(self, envelope: Envelope, wire: bytes) -> Reply:
        if envelope.smtputf8 and not self._client.has_extn("smtputf8"):
            # RFC 6531 section 3.2: such an address cannot be handed to this server at all.
            return Reply(553, "5.6.7", "this relay takes no addresses beyond ASCII (SMTPUTF8)")
        refusal = self._announce(envelope)
        if refusal is not None:
            self._reset()
            return refusal
        self._body(wire)
        return self._verdict("refused the message", self._dot())

    def close(self) -> None:
        try:
            self._set_timeout(self._timeouts.command)
            self._client.quit()
        except (smtplib.SMTPException, OSError):
            self._client.close()

    def _announce(self, envelope: Envelope) -> Reply | None:
        """MAIL, RCPT, DATA; the first refusal, or None when the body may come."""
        options = " BODY=8BITMIME SMTPUTF8" if envelope.smtputf8 else ""
        for command, wanted in (
            (f"MAIL FROM:<{envelope.sender}>{options}", 2),
            (f"RCPT TO:<{envelope.recipient}>", 2),
            ("DATA", 3),
        ):
            reply = self._command(command)
            if reply.code // 100 != wanted:
                return self._verdict(f"refused {command[:4]}", reply)
        return None

    def _verdict(self, moment: str, reply: Reply) -> Reply:
        """The reply, if it is about the recipient."""
        if classify(reply).concerns_relay:
            self.close()
            raise RelayFaultError.said(self._relay, moment, reply)
        return reply

    def _command(self, command: str) -> Reply:
        try:
            self._set_timeout(self._timeouts.command)
            self._client.send(command.encode() + b"\r\n")
            return self._full_reply()
        except (smtplib.SMTPException, OSError) as error:
            raise self._lost(f"connection lost at {command[:4]}: {error}") from None

    def _body(self, wire: bytes) -> None:
        try:
            self._client.send(wire)
        except (smtplib.SMTPException, OSError) as error:
            raise self._lost(f"connection lost in the body: {error}") from None

    def _dot(self) -> Reply:
        """The one ambiguous moment."""
        try:
            self._set_timeout(self._timeouts.after_dot)
            self._client.send(b".\r\n")
            failpoint("after_dot")
            return self._full_reply()
        except (smtplib.SMTPException, OSError) as error:
            self._client.close()
            raise NoReplyError(self._relay, f"no reply after the dot: {error}") from None

    def _reset(self) -> None:
        """After a refusal; a connection lost meanwhile shows at the next message."""
        try:
            self._command("RSET")
        except RelayFaultError:
            return

    def _full_reply(self) -> Reply:
        code, text = self._client.getreply()
        if code < 0:
            raise smtplib.SMTPServerDisconnected("not an SMTP reply")
        return parse_reply(code, text)

    def _set_timeout(self, seconds: float) -> None:
        if self._client.sock is None:
            raise smtplib.SMTPServerDisconnected("closed")
        self._client.sock.settimeout(seconds)

    def _lost(self, problem: str) -> RelayFaultError:
        self._client.close()
        return RelayFaultError(self._relay, problem)


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
