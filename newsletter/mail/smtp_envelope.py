"""Envelopes, how they are offered to a server, and bodies that cannot end early."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from newsletter.core.errors import NewsletterError
from newsletter.core.sentences import say
from newsletter.mail.replies import Reply

DOT: Final = b".\r\n"

_BREAKS_OUT = re.compile(r"[\x00-\x20\x7f-\x9f<>\u2028\u2029]")
_BARE = re.compile(rb"\r(?!\n)|(?<!\r)\n")
_NOT_XTEXT = re.compile(rb"[^!-*,-<>-~]")


class EnvelopeError(NewsletterError):
    """An address with a character that could end its SMTP command."""


class BodyError(NewsletterError):
    """A message with a bare CR or LF, or without an end of its last line."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """MAIL FROM and RCPT TO of one transaction; one recipient each.

    Attributes:
        sender, recipient: the domain as A-label.
        smtputf8: a local part needs a server with SMTPUTF8 (RFC 6531).
        size: bytes of the message, for SIZE (RFC 1870); 0 says nothing of it.
        envid: what notices about this message will name it by (RFC 3461); empty asks for none.
        eight_bit: the message has bytes beyond ASCII (RFC 6152).

    Raises:
        EnvelopeError: an address that `Address.parse` never made.
    """

    sender: str
    recipient: str
    smtputf8: bool = False
    size: int = 0
    envid: str = ""
    eight_bit: bool = False

    def __post_init__(self) -> None:
        if _BREAKS_OUT.search(self.sender) or _BREAKS_OUT.search(self.recipient):
            raise EnvelopeError(
                say("an envelope address has a space, bracket or control character")
            )

    @property
    def needs_smtputf8(self) -> bool:
        return self.smtputf8 or not (self.sender.isascii() and self.recipient.isascii())


class Offers:
    """How envelopes are put to one server, by the extensions that its EHLO named."""

    __slots__ = ("_dsn", "_eight_bit", "_size", "_smtputf8", "max_size")

    def __init__(self, extensions: Mapping[str, str]) -> None:
        limit = extensions.get("SIZE", "").strip()
        self.max_size = (int(limit) or None) if limit.isdecimal() else None
        self._size = "SIZE" in extensions
        self._dsn = "DSN" in extensions
        self._smtputf8 = "SMTPUTF8" in extensions
        self._eight_bit = "8BITMIME" in extensions

    def refusal(self, envelope: Envelope) -> Reply | None:
        """What the server could only refuse is refused here, without asking it."""
        if self.max_size and envelope.size > self.max_size:
            return Reply(552, "5.3.4", f"this relay takes messages up to {self.max_size} bytes")
        if envelope.needs_smtputf8 and not self._smtputf8:
            # RFC 6531 section 3.2: such an address cannot be handed to this server at all.
            return Reply(553, "5.6.7", "this relay takes no addresses beyond ASCII (SMTPUTF8)")
        if envelope.eight_bit and not self._eight_bit:
            return Reply(554, "5.6.3", "this relay takes no messages beyond ASCII (8BITMIME)")
        return None

    def commands(self, envelope: Envelope) -> tuple[bytes, bytes, bytes]:
        """MAIL, RCPT and DATA."""
        mail, notify = "", ""
        if envelope.size and self._size:
            mail = f" SIZE={envelope.size}"
        if envelope.needs_smtputf8:
            mail += " BODY=8BITMIME SMTPUTF8"
        elif envelope.eight_bit:
            mail += " BODY=8BITMIME"
        if envelope.envid and self._dsn:
            mail += f" RET=HDRS ENVID={xtext(envelope.envid)}"
            notify = " NOTIFY=FAILURE,DELAY"
        return (
            f"MAIL FROM:<{envelope.sender}>{mail}\r\n".encode(),
            f"RCPT TO:<{envelope.recipient}>{notify}\r\n".encode(),
            b"DATA\r\n",
        )


def xtext(value: str) -> str:
    """The form of a parameter's value in which no character can end it (RFC 3461 section 4)."""
    return _NOT_XTEXT.sub(lambda found: b"+%02X" % found[0][0], value.encode()).decode()


def dot_stuffed(wire: bytes) -> bytes:
    """A message from elsewhere as `Connection.exchange` takes it (RFC 5321 section 4.5.2).

    Raises:
        BodyError: a bare CR or LF, which two servers may read as two different messages, or no
            CRLF at the end.
    """
    if _BARE.search(wire):
        raise BodyError(say("the message has a bare CR or LF"))
    if not wire.endswith(b"\r\n"):
        raise BodyError(say("the message does not end with CRLF"))
    stuffed = wire.replace(b"\r\n.", b"\r\n..")
    return b"." + stuffed if stuffed.startswith(b".") else stuffed
