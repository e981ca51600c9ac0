"""A relay in memory: the double for tests, proved by the same contract suite as the real one."""

from collections import defaultdict, deque
from dataclasses import dataclass, field

from newsletter.mail.replies import Reply, ReplyClass, classify
from newsletter.sending.transport import Connection, Envelope, NoReplyError, RelayFaultError

OK = Reply(250, "2.0.0", "Ok")


@dataclass(frozen=True, slots=True)
class HangUp:
    """The relay drops the connection, before or after the final dot."""

    after_dot: bool


Script = Reply | HangUp


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
    scripts: dict[str, deque[Script]] = field(default_factory=lambda: defaultdict(deque))
    refuse_connections: Reply | None = None

    def script(self, recipient: str, *steps: Script) -> None:
        """What happens to the next offers to this recipient."""
        self.scripts[recipient].extend(steps)

    def connect(self) -> Connection:
        if self.refuse_connections is not None:
            raise _fault(self.name, self.refuse_connections)
        return _MemoryConnection(self)


class _MemoryConnection:
    def __init__(self, relay: MemoryTransport) -> None:
        self._relay = relay
        self._lost = False

    def send(self, envelope: Envelope, wire: bytes) -> Reply:
        if self._lost:
            raise RelayFaultError(self._relay.name, "connection lost")
        scripted = self._relay.scripts[envelope.recipient]
        step = scripted.popleft() if scripted else OK
        if isinstance(step, HangUp):
            self._lost = True
            if step.after_dot:
                raise NoReplyError(self._relay.name, "no reply after the dot")
            raise RelayFaultError(self._relay.name, "connection lost")
        if classify(step) in (ReplyClass.RELAY_FAULT, ReplyClass.CONFIGURATION):
            self._lost = True
            raise _fault(self._relay.name, step)
        if classify(step) is ReplyClass.ACCEPTED:
            self._relay.accepted.append((envelope.recipient, wire))
        return step

    def close(self) -> None:
        self._lost = True


def _fault(relay: str, reply: Reply) -> RelayFaultError:
    return RelayFaultError(
        relay,
        f"said {reply.code}",
        reply=reply,
        is_configuration=classify(reply) is ReplyClass.CONFIGURATION,
    )
