"""One poller for all who watch a broadcast: the database is asked once, however many look.

It is started by the first watcher of a broadcast in this process, and ends with the last.
"""

import asyncio
import secrets
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace

from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from newsletter.broadcasts.live import Standing, Watch
from newsletter.broadcasts.models import BroadcastState
from newsletter.core import logs
from newsletter.core.clock import now
from newsletter.core.db import DATABASE_AWAY
from newsletter.core.runtime import Runtime
from newsletter.sending import relays
from newsletter.sending.relays import RelayStatus

log = logs.get(__name__)

REST_SECONDS = 1.0
REST_TIMES = 100
"""Between two looks it rests so many times as long as one took: less than 1 % of the database."""
LONGEST_REST_SECONDS = 15.0
_RATE_SECONDS = 60
_FEWEST_SECONDS = 3
_MOST_WATCHES = 50


@dataclass(frozen=True, slots=True)
class Seen:
    """What all who watch are shown.

    Attributes:
        per_second: how many were settled in the last minute; None: not yet known.
        seconds_left: at that rate, for those who are due.
        relays_paused_by: empty unless no relay is in use, because all are paused.
    """

    standing: Standing
    relays: Sequence[RelayStatus] = ()
    per_second: float | None = None
    seconds_left: float | None = None
    relays_paused_by: tuple[str, ...] = ()


class Pace:
    """How fast a broadcast goes, from what was settled when."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque()

    def of(self, at: float, standing: Standing) -> float | None:
        """People a second over the last minute; `at` in seconds of any steady clock."""
        if standing.state is not BroadcastState.SENDING:
            self._samples.clear()
            return None
        settled = standing.accounts.deliveries - standing.accounts.open
        self._samples.append((at, settled))
        while len(self._samples) > 1 and at - self._samples[1][0] >= _RATE_SECONDS:
            self._samples.popleft()
        began, before = self._samples[0]
        if at - began < _FEWEST_SECONDS:
            return None
        return max(0, settled - before) / (at - began)


def look(runtime: Runtime, watch: Watch) -> Seen:
    """Ask the database once, for everybody."""
    with runtime.sessions.reading() as session:
        standing = watch.look(session)
        health = relays.list_relays(session, runtime.settings.relays, now())
        paused_by = relays.all_paused_by(session, health)
    return Seen(standing, tuple(health), relays_paused_by=paused_by)


def all_paused_by(session: Session, runtime: Runtime) -> tuple[str, ...]:
    """Who paused every relay there is; empty: one is in use, or none is configured."""
    health = relays.list_relays(session, runtime.settings.relays, now())
    return relays.all_paused_by(session, health)


def rest_seconds(took_seconds: float) -> float:
    """Until the next look."""
    return min(max(REST_SECONDS, took_seconds * REST_TIMES), LONGEST_REST_SECONDS)


@dataclass(eq=False)
class Publisher:
    """Looks at one broadcast for all who watch it; each new look that differs has a number."""

    runtime: Runtime
    watch: Watch
    watchers: int = 0
    latest: Seen | None = None
    number: int = 0
    name: str = field(default_factory=lambda: secrets.token_hex(4))
    """Event ids of another process, or from before a restart, are not ours."""
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self.run())

    def stop(self) -> None:
        if self._task:
            self._task.cancel()

    @property
    def has_ended(self) -> bool:
        """The broadcast is over, or something went wrong: the next watcher begins anew."""
        return self._task is not None and self._task.done()

    @property
    def event_id(self) -> str:
        return f"{self.name}-{self.number}"

    async def wait(self, seconds: float) -> None:
        """Until there is news, or the time is up."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._news.wait(), seconds)

    def publish(self, seen: Seen) -> None:
        """Tell all who wait, unless they have seen it."""
        if seen == self.latest:
            return
        self.latest = seen
        self.number += 1
        self._news.set()
        self._news = asyncio.Event()

    async def run(self) -> None:
        """Look until the broadcast is over."""
        pace = Pace()
        is_first = True
        while self.latest is None or not self.latest.standing.is_over:
            began = time.monotonic()
            try:
                seen = await run_in_threadpool(look, self.runtime, self.watch)
            except DATABASE_AWAY as error:
                log.warning("watch.failed", error=type(error).__name__)
                await asyncio.sleep(LONGEST_REST_SECONDS)
                continue
            self.publish(with_pace(seen, pace.of(time.monotonic(), seen.standing)))
            # The first look counts everybody once; the others are cheaper by far.
            took = 0 if is_first else time.monotonic() - began
            is_first = False
            await asyncio.sleep(rest_seconds(took))


def with_pace(seen: Seen, per_second: float | None) -> Seen:
    """Only while somebody is due: whoever is tried again later has no pace."""
    due = seen.standing.accounts.open - seen.standing.retrying
    if not due:
        per_second = None
    left = due / per_second if per_second else None
    return replace(seen, per_second=per_second, seconds_left=left)


class Publishers:
    """Every broadcast that somebody watches in this process."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._running: dict[int, Publisher] = {}
        self._watches: dict[int, Watch] = {}

    def latest(self, broadcast_id: int) -> Seen | None:
        """What was seen last, if somebody watches."""
        found = self._running.get(broadcast_id)
        return found.latest if found else None

    def look(self, broadcast_id: int) -> Seen:
        """Look now, whoever watches."""
        return look(self._runtime, self._watch_of(broadcast_id))

    def _watch_of(self, broadcast_id: int) -> Watch:
        """One for all in this process: what it has counted is good for the next, too."""
        watch = self._watches.pop(broadcast_id, None) or Watch(broadcast_id)
        self._watches[broadcast_id] = watch
        while len(self._watches) > _MOST_WATCHES:
            self._watches.pop(next(iter(self._watches)), None)
        return watch

    @asynccontextmanager
    async def watching(self, broadcast_id: int) -> AsyncIterator[Publisher]:
        """Somebody watches while the block runs."""
        publisher = self._running.get(broadcast_id)
        if publisher is None or publisher.has_ended:
            publisher = Publisher(self._runtime, self._watch_of(broadcast_id))
            self._running[broadcast_id] = publisher
            publisher.start()
        publisher.watchers += 1
        try:
            yield publisher
        finally:
            publisher.watchers -= 1
            if not publisher.watchers:
                publisher.stop()
                if self._running.get(broadcast_id) is publisher:
                    del self._running[broadcast_id]
