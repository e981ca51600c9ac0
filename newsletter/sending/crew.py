"""The crew: the lanes of one process, and what they share: feed, committer, relays."""

import asyncio
import math
from collections.abc import Sequence
from contextlib import suppress

from newsletter.broadcasts import control
from newsletter.broadcasts.models import PauseReason
from newsletter.core import logs
from newsletter.core.clock import now
from newsletter.core.db import DATABASE_AWAY
from newsletter.core.runtime import Runtime
from newsletter.core.sentences import say
from newsletter.mail.replies import Reply
from newsletter.sending import relays
from newsletter.sending.committer import Committer
from newsletter.sending.courses import Course
from newsletter.sending.feed import Feed
from newsletter.sending.in_thread import InThread
from newsletter.sending.lane import Lane
from newsletter.sending.port import RelayPort
from newsletter.sending.ratelimit import RateLimiter
from newsletter.sending.refusals import Window, should_pause
from newsletter.sending.relays import Limits, Usable
from newsletter.sending.route import settings_of
from newsletter.sending.signing import keyring_of
from newsletter.sending.transport import Transport

STOP_SECONDS = 30
"""How long a stop waits for replies that are under way; what has none by then is in doubt."""
_ROWS_PER_LANE = 4
"""Another connection pays when so many rows wait for each."""
_TICK_SECONDS = 1
_MOST_DEFECTS = 3
"""So many connections may end by a defect of ours; one row that is odd must not stop the others."""

log = logs.get(__name__)


class Crew:
    """The lanes of this process, and what they share. Lives on the event loop."""

    def __init__(
        self,
        runtime: Runtime,
        transports: Sequence[Transport],
        limiter: RateLimiter,
        in_thread: InThread,
    ) -> None:
        delivery = runtime.settings.delivery
        self._runtime = runtime
        self._committer = Committer(
            runtime.sessions, delivery.lease_seconds, asyncio.get_running_loop()
        )
        live = self._committer.live
        keyring = keyring_of(runtime.settings)
        self._feed = Feed(runtime.sessions, delivery.lease_seconds, live, keyring, in_thread)
        self._feed.on_filled = self._open_lanes
        self._ports = [
            RelayPort(
                t,
                settings_of(t.name, runtime),
                delivery.lease_seconds,
                runtime.sessions,
                limiter,
                in_thread,
            )
            for t in transports
        ]
        for port in self._ports:
            port.on_change = self._open_lanes
            port.on_refusal = self._refused
        self._in_thread = in_thread
        self._looked_at = 0.0
        self._halting: set[asyncio.Future[None]] = set()
        self._windows: dict[int, Window] = {}
        self._lanes: dict[asyncio.Task[None], Lane] = {}
        self._at_work: set[int] = set()
        self._defects = 0
        self._stopping = False

    async def deliver(self, broadcast_id: int, seconds: float) -> bool:
        if broadcast_id in self._at_work or self._stopping:
            return False
        self._at_work.add(broadcast_id)
        try:
            await self._look()
            course = self._feed.add(broadcast_id, seconds)
            await course.done.wait()
            if self._halting:
                await asyncio.wait(self._halting)
        finally:
            self._at_work.discard(broadcast_id)
            self._defects = 0
        return course.more

    def suspend(self) -> None:
        """Give back what is on no connection; the next sweep will ask again."""
        self._feed.suspend()

    def share(self) -> float:
        """This process's part of the connections that all workers together may hold."""
        return max(1, len(self._lanes)) / max(
            1, sum(port.settings.connections for port in self._ports)
        )

    async def work_until(self, stopping: asyncio.Event) -> None:
        self._committer.start()
        try:
            while not stopping.is_set():
                try:
                    await self._tick()
                except DATABASE_AWAY as error:
                    log.warning("ledger.away", error=type(error).__name__)
                with suppress(TimeoutError):
                    async with asyncio.timeout(_TICK_SECONDS):
                        await stopping.wait()
        finally:
            self._stopping = True
            try:
                await self._wind_down()
            finally:
                self._committer.stop()

    async def _tick(self) -> None:
        for port in self._ports:
            await port.tick()
        if self._at_work:
            await self._look()
        self._open_lanes()

    async def _look(self) -> None:
        """What all workers together know of the relays, at most once a second."""
        moment = asyncio.get_running_loop().time()
        if moment - self._looked_at < _TICK_SECONDS:
            return
        self._looked_at = moment
        try:
            usable, limits = await self._in_thread(self._seen)
        except DATABASE_AWAY as error:
            log.warning("ledger.away", error=type(error).__name__)
            return
        for port in self._ports:
            name = port.settings.name
            port.seen(usable.get(name), limits[name])

    def _seen(self) -> tuple[dict[str, Usable], dict[str, Limits]]:
        configured = [port.settings for port in self._ports]
        with self._runtime.sessions.writing() as session:
            usable = {
                found.relay.name: found for found in relays.choose(session, configured, now())
            }
            limits = {relay.name: relays.limits(session, relay, now()) for relay in configured}
        return usable, limits

    def _refused(self, reason: PauseReason, detail: str) -> None:
        """Trying on is useless: if no other relay takes the mail, it waits."""
        if not any(port.usable for port in self._ports):
            for broadcast_id in self._at_work:
                self._halt(broadcast_id, reason, detail)

    def _judge(self, course: Course, reply: Reply) -> None:
        """Content or sender refused by many: stop before the whole list has refused."""
        window = self._windows.setdefault(course.broadcast_id, Window())
        window.add(reply)
        if not course.discarded and (why := should_pause(window)):
            self._windows.pop(course.broadcast_id)
            self._feed.discard(course)
            self._halt(course.broadcast_id, PauseReason.HEALTH, why)

    def _halt(self, broadcast_id: int, reason: PauseReason, detail: str) -> None:
        halting = asyncio.ensure_future(self._in_thread(self._halted, broadcast_id, reason, detail))
        self._halting.add(halting)
        halting.add_done_callback(self._halting.discard)

    def _halted(self, broadcast_id: int, reason: PauseReason, detail: str) -> None:
        with self._runtime.sessions.writing() as session:
            control.halt(session, broadcast_id, reason, detail)

    def _open_lanes(self) -> None:
        """As many as the waiting rows are worth, to the first relay that may be used now."""
        if self._stopping or not len(self._feed):
            return
        port = next((port for port in self._ports if port.usable), None)
        if port is None:
            self._feed.suspend()
            return
        most = self._runtime.settings.delivery.connections - len(self._lanes)
        wanted = min(most, math.ceil(len(self._feed) / _ROWS_PER_LANE) - self._opening())
        for _ in range(port.room(wanted)):
            self._open(port)

    def _opening(self) -> int:
        return sum(lane.is_opening for lane in self._lanes.values())

    def _open(self, port: RelayPort) -> None:
        settings = self._runtime.settings.delivery
        lane = Lane(
            port,
            self._feed,
            self._committer,
            self._runtime.keys,
            settings.retry_after_seconds,
            self._judge,
        )
        task = asyncio.create_task(port.carry(lane))
        self._lanes[task] = lane
        task.add_done_callback(self._closed)

    def _closed(self, task: asyncio.Task[None]) -> None:
        del self._lanes[task]
        error = None if task.cancelled() else task.exception()
        if error:
            log.error("lane.failed", exc_info=error)
            self._failed(error)
        self._open_lanes()

    def _failed(self, error: BaseException) -> None:
        """A defect of ours that comes again and again: stop, before it goes in circles."""
        self._defects += 1
        if self._defects < _MOST_DEFECTS:
            return
        detail = say("a defect of the sender, see its log: %(kind)s", kind=type(error).__name__)
        for broadcast_id in self._at_work:
            self._halt(broadcast_id, PauseReason.HEALTH, detail)
        self._feed.suspend()

    async def _wind_down(self) -> None:
        self._feed.close()
        for lane in self._lanes.values():
            lane.part()
        self._feed.filled.set()  # wakes those that wait for work
        tasks = list(self._lanes)
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=STOP_SECONDS)
            for task in late:
                self._lanes[task].abort()
            if late:
                await asyncio.wait(late, timeout=STOP_SECONDS)
        await self._feed.given_back()
        for port in self._ports:
            with suppress(*DATABASE_AWAY):  # the leases will end
                await port.close()
