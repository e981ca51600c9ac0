"""Try a relay out: connect, secure, log in, see what it offers, and hand it one mail if asked."""

import asyncio
import secrets
from dataclasses import dataclass

from newsletter.core.clock import now
from newsletter.core.errors import RefusedError
from newsletter.core.sections import RelaySettings
from newsletter.core.sentences import say
from newsletter.mail import headers
from newsletter.mail.address import Address
from newsletter.mail.mime import Part, alternative
from newsletter.mail.replies import Reply
from newsletter.mail.smtp import GO_AHEAD, Connection, Envelope, SmtpFault
from newsletter.sending.smtp_transport import SmtpTransport


class RelayCheckError(RefusedError):
    """A relay cannot be reached, or does not let us in.

    Attributes:
        fault: what went wrong with the connection.
    """

    def __init__(self, relay: str, fault: SmtpFault) -> None:
        super().__init__(say("relay %(name)s: %(fault)s", name=relay, fault=fault.sentence))
        self.fault = fault


@dataclass(frozen=True, slots=True)
class SampleMail:
    """From whom to whom one test mail goes."""

    sender: Address
    to: Address


@dataclass(frozen=True, slots=True)
class Checked:
    """What a relay offers once we are in, and what it said.

    Attributes:
        tls: the version in force, or empty.
        extensions: its EHLO lines.
        reply: the verdict on the test mail, None if none was asked for.
    """

    tls: str
    extensions: tuple[str, ...]
    reply: Reply | None = None


def check(relay: RelaySettings, mail: SampleMail | None = None) -> Checked:
    """Connect as the send loop would.

    Raises:
        ConfigurationError: the relay's URL.
        RelayCheckError: it cannot be reached or does not let us in.
        RefusedError: the test mail was handed over and no reply came.
    """
    return asyncio.run(_check(relay, mail))


async def _check(relay: RelaySettings, mail: SampleMail | None) -> Checked:
    try:
        connection = await SmtpTransport(relay).connect()
    except SmtpFault as fault:
        raise RelayCheckError(relay.name, fault) from None
    try:
        reply = await _handed_over(connection, relay, mail) if mail else None
    finally:
        await connection.close()
    extensions = (f"{name} {more}".strip() for name, more in connection.extensions.items())
    return Checked(connection.tls, tuple(extensions), reply)


async def _handed_over(connection: Connection, relay: RelaySettings, mail: SampleMail) -> Reply:
    wire = _wire(relay, mail)
    utf8 = mail.sender.needs_smtputf8 or mail.to.needs_smtputf8
    envelope = Envelope(mail.sender.envelope, mail.to.envelope, smtputf8=utf8, size=len(wire))
    exchange = await connection.exchange(None, envelope)
    reply = exchange.go_ahead
    if reply and reply.code == GO_AHEAD:
        exchange = await connection.exchange(wire, None)
        reply = exchange.verdict
    if reply is None:
        fault = exchange.fault.sentence if exchange.fault else say("no reply")
        raise RefusedError(say("relay %(name)s: %(fault)s", name=relay.name, fault=fault))
    return reply


def _wire(relay: RelaySettings, mail: SampleMail) -> bytes:
    text = f"This mail came through the relay {relay.name}."
    return alternative(
        [
            headers.mailbox("From", mail.sender),
            headers.mailbox("To", mail.to),
            headers.unstructured("Subject", f"Test of relay {relay.name}"),
            headers.date("Date", now()),
            headers.structured("Message-ID", f"<{secrets.token_hex(12)}@{mail.sender.domain}>"),
            headers.structured("Auto-Submitted", "auto-generated"),
        ],
        [Part("plain", [f"{text}\n"]), Part("html", [f"<p>{text}</p>\n"])],
    ).splice([])
