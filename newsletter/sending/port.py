"""One relay as this process sees it: slots for its lanes, rights to send, what replies taught."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from pydantic import SecretStr

from newsletter.core import logs
from newsletter.core.config import RelaySettings
from newsletter.core.runtime import Runtime
from newsletter.mail.replies import Reply, ReplyClass, classify
from newsletter.mail.smtp import SmtpFault
from newsletter.sending import leases
from newsletter.sending.feed import Work
from newsletter.sending.lane import Lane
from newsletter.sending.leases import Held
from newsletter.sending.ratelimit import Limit, RateLimiter, domain_bucket, relay_bucket
from newsletter.sending.rights import Rights
from newsletter.sending.transport import Transport

SLOT_SECONDS = 60
_RENEWALS_PER_LEASE = 4
_RETRY_SECONDS = 2
_POSTPONED_SECONDS = 5
_DOMAINS_THAT_MEAN_THE_RELAY = 3
_DOMAIN_LIMIT = Limit(None, 1)
_SLOT_NAMES = 100

log = logs.get(__name__)


class RelayPort:
    """The way to one relay, shared by this process's lanes to it; lives on the event loop."""

    def __init__(
        self,
        transport: Transport,
        runtime: Runtime,
        limiter: RateLimiter,
        in_thread: Callable[..., Awaitable[Any]],
    ) -> None:
        self.transport = transport
        self.on_room: Callable[[], None] = lambda: None
        settings = self._settings = _settings_of(transport.name, runtime)
        self._runtime = runtime
        self._limiter = limiter
        self._in_thread = in_thread
        self._rights = Rights(limiter, relay_bucket(settings.name), Limit.of(settings))
        self._slowed: dict[str, Rights] = {}
        self._free: list[Held] = []
        self._lanes: dict[Lane, Held] = {}
        self._rest_until = 0.0
        self._renewed_at = 0.0
        self._background: set[asyncio.Task[None]] = set()
        self._taking = False

    # What the crew asks.

    @property
    def usable(self) -> bool:
        """Not paused, not broken, not just failed."""
        return self._now() >= self._rest_until

    @property
    def connections(self) -> int:
        """What all workers together may hold to it."""
        return self._settings.connections

    def room(self, wanted: int) -> int:
        """How many of `wanted` more lanes may be opened now; asks for slots when short."""
        if wanted <= 0:
            return 0
        short = wanted - len(self._free)
        if short > 0:
            self._in_background(self._take(short))
        return min(wanted, len(self._free))

    async def carry(self, lane: Lane) -> None:
        """Run a lane under one of the slots that `room` promised."""
        self._lanes[lane] = self._free.pop()
        try:
            await lane.run()
        finally:
            held = self._lanes.pop(lane)
            self._free.append(held)

    async def tick(self) -> None:
        """Every second: keep the slots, measure the rate."""
        held = [*self._free, *self._lanes.values()]
        if held and self._now() - self._renewed_at > SLOT_SECONDS / _RENEWALS_PER_LEASE:
            await self._renew(held)
        if not self._lanes and self._free:
            await self._release()
        await self._rights.tick()
        for rights in self._slowed.values():
            await rights.tick()

    async def close(self) -> None:
        """Give back slots and rights."""
        await self._rights.give_back()
        await self._release()

    # What a lane asks and tells.

    def may_offer(self) -> bool:
        return self._rights.use()

    async def wait_for_right(self) -> None:
        await self._rights.wait()

    def postponed_seconds(self, work: Work) -> float:
        """How long this row is to wait because its domain asked us to slow down; 0: offer it."""
        rights = self._slowed.get(_domain(work))
        if rights is None or rights.use():
            return 0.0
        self._in_background(rights.wait())
        return _POSTPONED_SECONDS

    def worn_out(self, messages: int) -> bool:
        most = self._settings.messages_per_connection
        return most is not None and messages >= most

    def heard(self, work: Work, reply: Reply, messages: int) -> bool:
        match classify(reply):
            case ReplyClass.RATE:
                self._in_background(self._throttled(work, reply))
                return True
            case ReplyClass.CONNECTION_LIMIT:
                log.info("relay.connection_limit", relay=self.transport.name, messages=messages)
                return False
            case ReplyClass.RELAY_FAULT | ReplyClass.CONFIGURATION:
                self.failed(SmtpFault.said("refused", reply))
                return False
            case _:
                return True

    def failed(self, fault: SmtpFault) -> None:
        log.warning("relay.fault", relay=self.transport.name, fault=str(fault))
        self._rest_until = self._now() + _RETRY_SECONDS

    # Slots, rates, and what happens beside the lanes.

    async def _take(self, count: int) -> None:
        if self._taking:
            return
        self._taking = True
        try:
            names = [f"relay/{self.transport.name}/{k}" for k in range(self._settings.connections)]
            taken = await self._in_thread(
                leases.take, self._runtime.sessions, names, count, SLOT_SECONDS
            )
        finally:
            self._taking = False
        self._free += taken
        if taken:
            self._renewed_at = self._renewed_at or self._now()
            self.on_room()

    async def _renew(self, held: Sequence[Held]) -> None:
        kept = await self._in_thread(leases.renew, self._runtime.sessions, held, SLOT_SECONDS)
        self._renewed_at = self._now()
        self._free = [lease for lease in self._free if lease in kept]
        for lane, lease in self._lanes.items():
            if lease not in kept:
                lane.part()

    async def _release(self) -> None:
        held, self._free = self._free, []
        if held:
            await self._in_thread(leases.release, self._runtime.sessions, held)

    async def _throttled(self, work: Work, reply: Reply) -> None:
        """A domain's own limit slows that domain; several at once mean the relay itself."""
        domain = _domain(work)
        if not reply.enhanced.startswith("4.7"):
            await self._rights.throttled()
            return
        rights = self._slowed.get(domain)
        if rights is None:
            bucket = domain_bucket(self._settings.name, domain)
            rights = self._slowed[domain] = Rights(self._limiter, bucket, _DOMAIN_LIMIT)
        await rights.throttled()
        if len(self._slowed) >= _DOMAINS_THAT_MEAN_THE_RELAY:
            self._slowed.clear()
            await self._rights.throttled()

    def _in_background(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


def _settings_of(name: str, runtime: Runtime) -> RelaySettings:
    """What is configured under this name; a relay in memory has the defaults."""
    configured = (relay for relay in runtime.settings.relays if relay.name == name)
    return next(configured, RelaySettings(name=name, url=SecretStr("")))


def _domain(work: Work) -> str:
    return work.row.address_key.rpartition("@")[2]
