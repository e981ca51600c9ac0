"""Try a relay out: connect, secure, log in, see what it offers, and hand it one mail if asked."""

import secrets
from dataclasses import dataclass

from newsletter.core.clock import now
from newsletter.core.config import RelaySettings
from newsletter.mail import headers
from newsletter.mail.address import Address
from newsletter.mail.mime import Part, alternative
from newsletter.mail.replies import Reply
from newsletter.sending.smtp_transport import Offers, SmtpTransport
from newsletter.sending.transport import Envelope


@dataclass(frozen=True, slots=True)
class SampleMail:
    """From whom to whom one test mail goes."""

    sender: Address
    to: Address


@dataclass(frozen=True, slots=True)
class Checked:
    """What came of it; `reply` is the verdict on the test mail, None if none was asked for."""

    offers: Offers
    reply: Reply | None = None


def check(relay: RelaySettings, mail: SampleMail | None = None) -> Checked:
    """Connect as the send loop would.

    Raises:
        ConfigurationError: the relay's URL.
        RelayFaultError: it cannot be reached or does not let us in.
        NoReplyError: the test mail was handed over and no reply came.
    """
    connection = SmtpTransport(relay).connect()
    try:
        offers = connection.offers()
        if mail is None:
            return Checked(offers)
        utf8 = mail.sender.needs_smtputf8 or mail.to.needs_smtputf8
        envelope = Envelope(mail.sender.envelope, mail.to.envelope, smtputf8=utf8)
        return Checked(offers, connection.send(envelope, _wire(relay, mail)))
    finally:
        connection.close()


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
