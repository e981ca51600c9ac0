"""A relay in memory: the double for tests, proved by the same contract suite as the real one."""

from collections import defaultdict, deque
from dataclasses import dataclass, field

from newsletter.mail.replies import Reply, ReplyClass, classify
from newsletter.mail.smtp import Envelope
from newsletter.sending.transport import Connection, NoReplyError, RelayFaultError

OK = Reply(250, "2.0.0", "Ok")


@dataclass(frozen=True, slots=True)
class HangUp:
    """The relay drops the connection, before or after the final dot."""

    after_dot: bool


Step = Reply | HangUp


@dataclass
class MemoryTransport:
    """Accepts everything but what it is told to refuse.

    Attributes:
        accepted: (recipient, message) in the order of acceptance.
        scripts: per recipient, what happens to the next offers, in order; then they are accepted.
        refuse_connections: what every connection attempt is answered with, if anything.
    """

    name: str = "memory"
    accepted: list[tuple[str, bytes]] = field(default_factory=list)
    scripts: dict[str, deque[Step]] = field(default_factory=lambda: defaultdict(deque))
    refuse_connections: Reply | None = None

    def script(self, recipient: str, *steps: Step) -> None:
        """What happens to the next offers to this recipient."""
        self.scripts[recipient].extend(steps)

    def connect(self) -> Connection:
        if self.refuse_connections is not None:
            raise RelayFaultError.said(self.name, "does not let us in", self.refuse_connections)
        return _MemoryConnection(self)


class _MemoryConnection:
    def __init__(self, relay: MemoryTransport) -> None:
        self._relay = relay
        self._open = True

    def send(self, envelope: Envelope, wire: bytes) -> Reply:
        if not self._open:
            raise RelayFaultError(self._relay.name, "connection lost")
        step = self._next_step(envelope.recipient)
        if isinstance(step, HangUp):
            self._hang_up(step, envelope.recipient, wire)
            raise RelayFaultError(self._relay.name, "connection lost")
        if classify(step).concerns_relay:
            self.close()
            raise RelayFaultError.said(self._relay.name, "refused", step)
        if classify(step) is ReplyClass.ACCEPTED:
            self._relay.accepted.append((envelope.recipient, wire))
        return step

    def close(self) -> None:
        self._open = False

    def _next_step(self, recipient: str) -> Step:
        scripted = self._relay.scripts[recipient]
        return scripted.popleft() if scripted else OK

    def _hang_up(self, step: HangUp, recipient: str, wire: bytes) -> None:
        """The worse case after the dot: the message was taken, and only the reply is lost."""
        self.close()
        if step.after_dot:
            self._relay.accepted.append((recipient, wire))
            raise NoReplyError(self._relay.name, "no reply after the dot")
