"""A relay in memory: the double for tests, proved by the same contract suite as the real one."""

from collections import defaultdict, deque
from dataclasses import dataclass, field

from newsletter.core.sentences import say
from newsletter.mail.replies import Reply, ReplyClass, classify
from newsletter.mail.smtp import Envelope, Exchange, SmtpFault
from newsletter.sending.transport import Connection

OK = Reply(250, "2.0.0", "Ok")
GO_AHEAD = Reply(354, "", "Go ahead")
_CLOSING = 421


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
    pipelining: bool = True

    def script(self, recipient: str, *steps: Step) -> None:
        """What happens to the next offers to this recipient."""
        self.scripts[recipient].extend(steps)

    async def connect(self) -> Connection:
        if self.refuse_connections is not None:
            raise SmtpFault.said(say("does not let us in"), self.refuse_connections)
        return _MemoryConnection(self)


class _MemoryConnection:
    """Refuses at the envelope; hangs up at the body, the one case that can be in doubt."""

    def __init__(self, relay: MemoryTransport) -> None:
        self._relay = relay
        self._fault: SmtpFault | None = None
        self._recipient = ""
        self._hang_up: HangUp | None = None

    async def exchange(self, body: bytes | None, envelope: Envelope | None) -> Exchange:
        if self._fault:
            return Exchange(None, False, None, self._fault)
        verdict = self._take(body) if body is not None else None
        ambiguous = body is not None and verdict is None and bool(self._hang_up)
        ambiguous = ambiguous and self._hang_up is not None and self._hang_up.after_dot
        go_ahead = self._answer(envelope) if envelope and not self._fault else None
        return Exchange(verdict, ambiguous, go_ahead, self._fault)

    async def close(self) -> None:
        self.abort()

    def abort(self) -> None:
        self._fault = self._fault or SmtpFault(say("connection closed"))

    def _take(self, body: bytes) -> Reply | None:
        """The worse case after the dot: the message was taken, and only the reply is lost."""
        if self._hang_up:
            self._fault = SmtpFault(say("connection lost"))
            if not self._hang_up.after_dot:
                return None
        self._relay.accepted.append((self._recipient, body))
        return None if self._hang_up else OK

    def _answer(self, envelope: Envelope) -> Reply | None:
        scripted = self._relay.scripts[envelope.recipient]
        step = scripted.popleft() if scripted else GO_AHEAD
        self._recipient = envelope.recipient
        self._hang_up = step if isinstance(step, HangUp) else None
        if isinstance(step, Reply) and step.code == _CLOSING:
            self._fault = SmtpFault.said(say("the relay closes the connection"), step)
            return None
        if isinstance(step, Reply) and classify(step) is not ReplyClass.ACCEPTED:
            return step
        return GO_AHEAD
