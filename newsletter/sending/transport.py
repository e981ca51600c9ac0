"""The seam between the send loop and whatever carries mail."""

from typing import Protocol, Self

from newsletter.core.errors import NewsletterError
from newsletter.mail.replies import Reply, ReplyClass, classify
from newsletter.mail.smtp import Envelope


class RelayFaultError(NewsletterError):
    """The relay failed, not the recipient: this message was definitely not accepted.

    Raised for everything before the final dot: no connection, TLS or login refused, a connection
    lost in the middle of a command or of the body. The row is given back, no attempt burnt.

    Attributes:
        relay: the relay's configured name.
        reply: what the server said, if it said anything.
        is_configuration: the relay refused our login, sender or identity: trying on is useless.
    """

    def __init__(
        self,
        relay: str,
        problem: str,
        *,
        reply: Reply | None = None,
        is_configuration: bool = False,
    ) -> None:
        super().__init__(f"relay {relay}: {problem}")
        self.relay = relay
        self.reply = reply
        self.is_configuration = is_configuration

    @classmethod
    def said(cls, relay: str, moment: str, reply: Reply) -> Self:
        """The fault that a reply is; `moment` tells what it answered."""
        said = " ".join(str(part) for part in (reply.code, reply.enhanced, reply.text) if part)
        configuration = classify(reply) is ReplyClass.CONFIGURATION
        return cls(relay, f"{moment}: {said}", reply=reply, is_configuration=configuration)


class NoReplyError(NewsletterError):
    """The final dot was sent and no full reply came back: nobody can know whether it was taken."""

    def __init__(self, relay: str, problem: str) -> None:
        super().__init__(f"relay {relay}: {problem}")
        self.relay = relay


class Connection(Protocol):
    """An open, greeted, authenticated connection; used by one thread at a time."""

    def send(self, envelope: Envelope, wire: bytes) -> Reply:
        """Offer one message and return the server's verdict on this recipient, good or bad.

        `wire` is CRLF only, no line begins with a dot, it ends with CRLF and lacks the final dot.

        Raises:
            RelayFaultError: definitely not accepted, and no verdict on the recipient: connection
                lost before the dot, or a reply that concerns the relay (wait, slow down, log in).
                The connection is of no more use.
            NoReplyError: the one ambiguous case; the connection is of no more use.
        """
        ...

    def close(self) -> None:
        """Say goodbye; never raises."""
        ...


class Transport(Protocol):
    """Opens connections to one relay."""

    @property
    def name(self) -> str:
        """The relay's configured name."""
        ...

    def connect(self) -> Connection:
        """Open a connection.

        Raises:
            RelayFaultError: the relay cannot be reached or does not let us in.
        """
        ...
