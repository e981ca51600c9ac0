"""One relay as this process sees it: its lanes, the right to send, what its replies teach."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from newsletter.broadcasts.models import PauseReason
from newsletter.core import logs
from newsletter.core.clock import now
from newsletter.core.db import DATABASE_AWAY, Sessions
from newsletter.core.sections import RelaySettings
from newsletter.core.sentences import say
from newsletter.mail.replies import Reply, ReplyClass, classify, is_about_too_many_connections
from newsletter.mail.smtp import SmtpFault
from newsletter.sending import outcomes, relays
from newsletter.sending.courses import Work
from newsletter.sending.in_thread import InThread
from newsletter.sending.lane import Lane
from newsletter.sending.leases import Held
from newsletter.sending.ratelimit import Limit, RateLimiter, domain_bucket, relay_bucket
from newsletter.sending.relays import Limits, Usable
from newsletter.sending.rights import Rights
from newsletter.sending.slots import Slots
from newsletter.sending.transport import Transport

_PAUSE_SECONDS = 2
"""No new connection so soon after a fault; faults within it are one incident."""
_POSTPONED_SECONDS = 5
_PROBE_SECONDS = 0.2
_DOMAINS_THAT_MEAN_THE_RELAY = 3
_DOMAIN_LIMIT = Limit(None, 1)

log = logs.get(__name__)


class RelayPort:
    """The way to one relay, shared by this process's lanes to it; lives on the event loop.

    Attributes:
        on_change: called when there may be room for more lanes, or none any more.
        on_refusal: called when trying on at this relay is useless for now, and why.
    """

    def __init__(
        self,
        transport: Transport,
        settings: RelaySettings,
        lease_seconds: int,
        sessions: Sessions,
        limiter: RateLimiter,
        in_thread: InThread,
    ) -> None:
        self.transport = transport
        self.settings = settings
        self.on_change: Callable[[], None] = lambda: None
        self.on_refusal: Callable[[PauseReason, str], None] = lambda *_: None
        self._sessions = sessions
        self._limiter = limiter
        self._in_thread = in_thread
        self._limits = Limits(settings.connections, settings.messages_per_connection)
        self._rights = Rights(limiter, relay_bucket(settings.name), Limit.of(settings))
        self._slowed: dict[str, Rights] = {}
        self._to_domains: Counter[str] = Counter()
        self._to_domains_before: Counter[str] = Counter()
        self._slots = Slots(settings.name, lease_seconds, sessions, in_thread)
        self._lanes: dict[Lane, Held] = {}
        self._paused_until = 0.0
        self._usable = True
        self._probing = False
        self._probe_spent = False
        self._is_proven = False
        self._background: set[asyncio.Task[Any]] = set()

    # What the crew asks.

    @property
    def usable(self) -> bool:
        """Neither paused nor broken, as far as was heard."""
        return self._usable

    def seen(self, usable: Usable | None, limits: Limits) -> None:
        """What all workers together know of the relay now."""
        self._usable = usable is not None
        if usable is not None and usable.is_probe:
            # Whatever was proven before the breaker opened: it is the probe that has to prove it.
            self._probing, self._probe_spent, self._is_proven = True, False, False
        self._limits = limits
        self.transport.pipelining = limits.may_pipeline

    def room(self, wanted: int) -> int:
        """How many of `wanted` more lanes may be opened now; asks for slots when short."""
        if asyncio.get_running_loop().time() < self._paused_until:
            return 0
        most = 1 if self._probing else self._limits.connections
        wanted = min(wanted, most - len(self._lanes))
        if wanted > len(self._slots.free):
            self._do(self._more_slots(wanted - len(self._slots.free)))
        return max(0, min(wanted, len(self._slots.free)))

    def carry(self, lane: Lane) -> Coroutine[Any, Any, None]:
        """Run a lane under one of the slots that `room` promised.

        It is the lane's from this call on: until the coroutine begins, `room` may be asked again.
        """
        self._lanes[lane] = held = self._slots.use()
        return self._carry(lane, held)

    async def _carry(self, lane: Lane, held: Held) -> None:
        try:
            await lane.run()
        except Exception:
            self._pause()  # a defect of ours is not tried again in a tight loop
            raise
        finally:
            del self._lanes[lane]
            self._slots.put_back(held)

    async def tick(self) -> None:
        """Every second: keep the slots, measure the rate; without work, keep nothing."""
        lost = await self._slots.keep()
        for lane, held in self._lanes.items():
            if held in lost:
                lane.part()
        if not self._lanes:
            await self._slots.release_free()
            # Kept for the next broadcast, they would come on top of the bucket's burst.
            await self._rights.give_back()
        self._to_domains_before, self._to_domains = self._to_domains, Counter()
        for rights in (self._rights, *self._slowed.values()):
            await rights.tick()

    async def close(self) -> None:
        """Give back slots and rights, once no lane is left."""
        await self._rights.give_back()
        if self._background:
            await asyncio.wait(self._background)
        await self._slots.release_free()

    # What a lane asks and tells.

    def may_offer(self) -> bool:
        if self._probing:
            if self._probe_spent:
                return False
            self._probe_spent = True
        return self._rights.use()

    async def wait_for_right(self) -> None:
        if self._probing and self._probe_spent:
            await asyncio.sleep(_PROBE_SECONDS)
        else:
            await self._rights.wait()

    def postponed_seconds(self, work: Work) -> float:
        domain = _domain(work)
        self._to_domains[domain] += 1
        rights = self._slowed.get(domain)
        if rights is None or rights.use():
            return 0.0
        self._do(rights.wait())
        return _POSTPONED_SECONDS

    def worn_out(self, messages: int) -> bool:
        most = self._limits.messages_per_connection
        return most is not None and messages >= most

    def heard(self, work: Work, reply: Reply, messages: int) -> bool:
        name = self.settings.name
        match classify(reply):
            case ReplyClass.RATE:
                self._do(self._throttled(work, reply))
            case ReplyClass.CONNECTION_LIMIT:
                if messages:
                    self._learn(relays.learn_messages_per_connection, name, messages)
                return False
            case ReplyClass.RELAY_FAULT | ReplyClass.CONFIGURATION | ReplyClass.QUOTA:
                self.failed(SmtpFault.said(say("refused the message"), reply))
                return False
            case _:
                self._proved()
        return True

    def failed(self, fault: SmtpFault) -> None:
        log.warning("relay.fault", relay=self.settings.name, fault=str(fault))
        if fault.pipelining_broken:
            self.transport.pipelining = False
            self._learn(relays.learn_broken_pipelining, self.settings.name)
        elif fault.reply and is_about_too_many_connections(fault.reply):
            self._learn(relays.learn_connections, self.settings.name, len(self._lanes))
        else:
            self._count(fault)

    # What happens beside the lanes.

    def _proved(self) -> None:
        """It answered about a recipient, so it is well: a breaker that waited for that closes."""
        if not self._is_proven:
            self._is_proven, self._probing = True, False
            self._do(self._in_transaction(relays.succeeded, self.settings.name, now()))

    def _count(self, fault: SmtpFault) -> None:
        loop_now = asyncio.get_running_loop().time()
        self._is_proven = False
        if loop_now < self._paused_until and not outcomes.pause_for(fault):
            return
        self._pause()
        self._do(self._faulted(fault))

    async def _faulted(self, fault: SmtpFault) -> None:
        useless = outcomes.pause_for(fault)
        opened = await self._in_transaction(
            _faulted, self.settings.name, fault.sentence, now(), useless is not None
        )
        if opened:
            self._usable, self._probing = False, False
            for lane in self._lanes:
                lane.part()
        if useless:
            relay = self.settings.name
            detail = say("relay %(name)s: %(fault)s", name=relay, fault=fault.sentence)
            self.on_refusal(useless, detail)

    def _pause(self) -> None:
        """No new connection for a moment; those that are open go on."""
        loop = asyncio.get_running_loop()
        self._paused_until = loop.time() + _PAUSE_SECONDS
        loop.call_later(_PAUSE_SECONDS, self._changed)

    def _changed(self) -> None:
        self.on_change()

    def _learn(self, lesson: Callable[..., None], *facts: Any) -> None:
        self._do(self._in_transaction(lesson, *facts, now()))

    async def _more_slots(self, count: int) -> None:
        if await self._slots.want(count, self._limits.connections):
            self.on_change()

    async def _throttled(self, work: Work, reply: Reply) -> None:
        """A domain's own limit slows that domain; several at once mean the relay itself."""
        if not reply.enhanced.startswith("4.7"):
            await self._rights.throttled()
            return
        domain = _domain(work)
        if domain not in self._slowed:
            bucket = domain_bucket(self.settings.name, domain)
            lately = max(self._to_domains[domain], self._to_domains_before[domain])
            self._slowed[domain] = Rights(self._limiter, bucket, _DOMAIN_LIMIT, lately)
        await self._slowed[domain].throttled()
        if len(self._slowed) >= _DOMAINS_THAT_MEAN_THE_RELAY:
            self._slowed.clear()
            await self._rights.throttled()

    async def _in_transaction(self, act: Callable[..., Any], *arguments: Any) -> Any:
        """`act(session, *arguments)`; a database that is away leaves a lesson unlearned."""

        def run() -> Any:
            with self._sessions.writing() as session:
                return act(session, *arguments)

        try:
            return await self._in_thread(run)
        except DATABASE_AWAY as error:
            log.warning("ledger.away", error=type(error).__name__)
            return None

    def _do(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._background.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, DATABASE_AWAY):
            log.warning("ledger.away", error=type(error).__name__)
        elif error:
            log.error("relay.unlearned", relay=self.settings.name, exc_info=error)


def _faulted(
    session: Session, name: str, reason: str, moment: datetime, is_configuration: bool
) -> bool:
    return relays.faulted(session, name, reason, moment, is_configuration=is_configuration)


def _domain(work: Work) -> str:
    return work.row.recipient.address_key.rpartition("@")[2]
