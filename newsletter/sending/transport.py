"""The seam between the send loop and whatever carries mail."""

from typing import Protocol

from newsletter.mail.smtp import Envelope, Exchange


class Connection(Protocol):
    """An open, greeted, authenticated connection; used by one lane."""

    async def exchange(self, body: bytes | None, envelope: Envelope | None) -> Exchange:
        """Hand in the body of the message announced last, and announce the next.

        `body` is CRLF only, no line begins with a dot, it ends with CRLF and lacks the final dot.
        Raises nothing for trouble on the way: `Exchange` says what came of both.
        """
        ...

    async def close(self) -> None:
        """Say goodbye; never raises."""
        ...

    def abort(self) -> None:
        """Hang up at once, without a dot."""
        ...


class Transport(Protocol):
    """Opens connections to one relay.

    Attributes:
        pipelining: whether new connections may use it; a relay may offer it and break it.
    """

    pipelining: bool

    @property
    def name(self) -> str:
        """The relay's configured name."""
        ...

    async def connect(self) -> Connection:
        """Open a connection.

        Raises:
            SmtpFault: the relay cannot be reached or does not let us in.
        """
        ...
