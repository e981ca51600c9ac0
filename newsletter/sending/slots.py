"""Slots: leased rows that bound the connections of all workers together to one relay."""

import asyncio
from dataclasses import dataclass, field

from newsletter.core.db import Sessions
from newsletter.sending import leases
from newsletter.sending.in_thread import InThread
from newsletter.sending.leases import Held

_RENEWALS_PER_LEASE = 4
_ASK_AGAIN_SECONDS = 1


@dataclass(slots=True, eq=False)
class Slots:
    """This process's slots to one relay; lives on the event loop.

    Attributes:
        seconds: how long a slot stays with a process that gives no sign of life.
        free: held, and used by no lane.
    """

    relay: str
    seconds: int
    sessions: Sessions
    in_thread: InThread
    free: list[Held] = field(default_factory=list)
    _used: set[Held] = field(default_factory=set)
    _renewed_at: float = 0.0
    _asked_at: float = 0.0

    async def want(self, count: int, connections: int) -> bool:
        """Take up to `count` more of the relay's `connections`; True when some were free."""
        now = asyncio.get_running_loop().time()
        if count <= 0 or now - self._asked_at < _ASK_AGAIN_SECONDS:
            return False
        self._asked_at = now
        names = [f"relay/{self.relay}/{number}" for number in range(connections)]
        taken = await self.in_thread(leases.take, self.sessions, names, count, self.seconds)
        self._renewed_at = self._renewed_at or now
        self.free += taken
        if taken:
            self._asked_at = 0.0
        return bool(taken)

    def use(self) -> Held:
        held = self.free.pop()
        self._used.add(held)
        return held

    def put_back(self, held: Held) -> None:
        if held in self._used:
            self._used.remove(held)
            self.free.append(held)

    async def keep(self) -> set[Held]:
        """Renew in time; returns used slots that somebody else has taken over meanwhile."""
        held = [*self.free, *self._used]
        now = asyncio.get_running_loop().time()
        if not held or now - self._renewed_at < self.seconds / _RENEWALS_PER_LEASE:
            return set()
        kept = set(await self.in_thread(leases.renew, self.sessions, held, self.seconds))
        self._renewed_at = now
        self.free = [slot for slot in self.free if slot in kept]
        lost = self._used - kept
        self._used &= kept
        return lost

    async def release_free(self) -> None:
        """What no lane uses is for other workers."""
        held, self.free = self.free, []
        if held:
            await self.in_thread(leases.release, self.sessions, held)
