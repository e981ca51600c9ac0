"""The way of mail that goes one by one: the first relay that may be used, over one connection.

What is heard and suffered on it all workers learn, as they do from the lanes of a broadcast.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import SecretStr
from sqlalchemy.orm import Session

from newsletter.core import logs
from newsletter.core.clock import now
from newsletter.core.db import Sessions
from newsletter.core.runtime import Runtime
from newsletter.core.sections import RelaySettings
from newsletter.core.sentences import say
from newsletter.mail.replies import Reply, ReplyClass, classify, is_about_too_many_connections
from newsletter.mail.smtp import SmtpFault
from newsletter.sending import outcomes, relays
from newsletter.sending.in_thread import InThread
from newsletter.sending.ratelimit import Limit, RateLimiter, relay_bucket
from newsletter.sending.relays import Limits
from newsletter.sending.rights import Rights
from newsletter.sending.transport import Connection, Transport

log = logs.get(__name__)


@dataclass(slots=True, eq=False)
class Route:
    """A connection to a relay that may be used; lives on the event loop.

    Attributes:
        is_probe: a half-open breaker let this one try: it goes on only after a first good answer.
    """

    transport: Transport
    connection: Connection
    is_probe: bool
    _limits: Limits
    _rights: Rights
    _teach: "_Teach"
    _offered: int = 0
    _is_proven: bool = False

    async def may_offer(self, stop: Callable[[], bool]) -> bool:
        """Wait for the relay's rate; False when this connection is to carry no more."""
        while not stop() and not self._is_spent():
            if self._rights.use():
                self._offered += 1
                return True
            await self._rights.wait()
        return False

    async def heard(self, reply: Reply | None, fault: SmtpFault | None) -> bool:
        """Learn from what came of a message; False when this connection is of no more use.

        A relay that says "slow down" is left alone for now: who sends one by one has no rate.
        """
        verdict = classify(reply) if reply else None
        if verdict and not verdict.concerns_relay and not self._is_proven:
            self._is_proven = True
            await self._teach(relays.succeeded)
        elif verdict is ReplyClass.CONNECTION_LIMIT and self._offered > 1:
            await self._teach(relays.learn_messages_per_connection, self._offered - 1)
        if reply and verdict in _FAULTS:
            fault = fault or SmtpFault.said(say("refused the message"), reply)
        if fault:
            await self._teach.fault(fault, self.transport)
        return not fault and not (verdict and verdict.concerns_relay)

    async def close(self) -> None:
        await self.connection.close()
        await self._rights.give_back()
        if self.is_probe and not self._is_proven:
            await self._teach(relays.give_back_probe)

    def _is_spent(self) -> bool:
        most = self._limits.messages_per_connection
        return most is not None and self._offered >= most


async def open_route(
    runtime: Runtime, transports: Sequence[Transport], in_thread: InThread, limiter: RateLimiter
) -> Route | None:
    """To the first relay that is neither paused nor broken and lets us in; None: to no one."""
    for transport in transports:
        settings = settings_of(transport.name, runtime)
        found = await in_thread(_chosen, runtime.sessions, settings)
        if found is None:
            continue
        is_probe, limits = found
        transport.pipelining = limits.may_pipeline
        teach = _Teach(settings.name, runtime.sessions, in_thread)
        try:
            connection = await transport.connect()
        except SmtpFault as fault:
            await teach.fault(fault, transport)
            continue
        rights = Rights(limiter, relay_bucket(settings.name), Limit.of(settings))
        return Route(transport, connection, is_probe, limits, rights, teach)
    return None


def settings_of(name: str, runtime: Runtime) -> RelaySettings:
    """What is configured under this name; a relay in memory has the defaults."""
    configured = (relay for relay in runtime.settings.relays if relay.name == name)
    return next(configured, RelaySettings(name=name, url=SecretStr("")))


_FAULTS = (ReplyClass.RELAY_FAULT, ReplyClass.CONFIGURATION, ReplyClass.QUOTA)


def _chosen(sessions: Sessions, relay: RelaySettings) -> tuple[bool, Limits] | None:
    """Whether we are its probe, and its limits; None when it may not be used now."""
    with sessions.writing() as session:
        for usable in relays.choose(session, [relay], now()):
            return usable.is_probe, relays.limits(session, relay, now())
    return None


@dataclass(frozen=True, slots=True)
class _Teach:
    """Writes down what was learned about one relay, for all workers."""

    relay: str
    sessions: Sessions
    in_thread: InThread

    async def __call__(self, lesson: Callable[..., object], *facts: object) -> None:
        def write() -> None:
            with self.sessions.writing() as session:
                lesson(session, self.relay, *facts, now())

        await self.in_thread(write)

    async def fault(self, fault: SmtpFault, transport: Transport) -> None:
        """As a broadcast's lanes count it; that they hold all connections is no fault of it."""
        log.warning("relay.fault", relay=self.relay, fault=str(fault))
        if fault.pipelining_broken:
            transport.pipelining = False
            await self(relays.learn_broken_pipelining)
        elif not (fault.reply and is_about_too_many_connections(fault.reply)):
            await self(_faulted, fault.sentence, outcomes.pause_for(fault) is not None)


def _faulted(
    session: Session, name: str, reason: str, is_configuration: bool, moment: datetime
) -> Any:
    return relays.faulted(session, name, reason, moment, is_configuration=is_configuration)
