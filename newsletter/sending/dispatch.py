"""The send loop: one event loop in a thread of its own, which owns this process's connections.

Work comes from the feed, goes over lanes (one per connection), and is written by the committer. No
transaction is open during SMTP. The loop outlives the slices it is asked for, and so do its
connections; a stop gives back what was claimed and waits for replies that are under way.
"""

import asyncio
import sys
import threading
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor, wait
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import uvloop

from newsletter.broadcasts import accounting, freezing
from newsletter.broadcasts.models import Broadcast, BroadcastState
from newsletter.core import logs
from newsletter.core.runtime import Runtime
from newsletter.sending import system_mail
from newsletter.sending.crew import STOP_SECONDS, Crew
from newsletter.sending.in_thread import InThread
from newsletter.sending.ratelimit import RateLimiter
from newsletter.sending.ratelimit_memory import MemoryLimiter
from newsletter.sending.signing import keyring_of
from newsletter.sending.transport import Transport

SLICE_SECONDS = 30
_LOOK_SECONDS = 1
"""A loop that ends at this moment takes calls that it never runs: look whether it is there."""
_SWITCH_SECONDS = 0.002
"""Loop and committer hand over at each group: Python's 5 ms would set the pace, less than this
costs more in handing over than it gains (decision page 0017)."""

MakeLimiter = Callable[[Callable[[], float]], RateLimiter]
"""Makes a limiter, given a function that tells this process's share of all connections."""

log = logs.get(__name__)


class Dispatch:
    """Sends for one process while the block runs: `with Dispatch(...) as dispatch`."""

    def __init__(
        self,
        runtime: Runtime,
        transports: Sequence[Transport],
        limiter: MakeLimiter = lambda _: MemoryLimiter(),
    ) -> None:
        """`limiter` is made on the loop; the default bounds this process alone."""
        self._runtime = runtime
        self._transports = transports
        self._limiter = limiter
        keyring_of(runtime.settings)  # a key that cannot be read is told of before the start
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, name="dispatch")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def start(self) -> None:
        """Begin; the thread ends after `stop`, and keeps the process until then."""
        sys.setswitchinterval(min(sys.getswitchinterval(), _SWITCH_SECONDS))
        self._thread.start()
        self._started.wait()

    def stop(self) -> None:
        """Claim nothing more, wait for replies under way, end; returns at once."""
        self._call(self._stopping.set)

    def close(self) -> None:
        """Stop, and return when it has ended. Before the interpreter does: it needs its threads."""
        self.stop()
        self._thread.join()

    def suspend(self) -> None:
        """Give back what is on no connection; returns at once."""
        self._call(self._crew.suspend)

    def deliver(self, broadcast_id: int, *, seconds: float = SLICE_SECONDS) -> bool:
        """Send what is due until it is empty or time is up; blocks until the outcomes are written.

        Freezes the audience first if that is not finished. A second caller at the same time, here
        or in another process, does no harm: it claims other rows, or finds this one at it.

        Returns:
            True when more is due now.
        """
        sessions = self._runtime.sessions
        freezing.freeze(sessions, broadcast_id, self._runtime.settings.tracking.unknown)
        with sessions.reading() as session:
            broadcast = session.get(Broadcast, broadcast_id)
            if broadcast is None or broadcast.state is not BroadcastState.SENDING:
                return False
        more = self._sent(broadcast_id, seconds)
        if not more:
            with sessions.writing() as session:
                accounting.finish(session, broadcast_id)
        return more

    def _sent(self, broadcast_id: int, seconds: float) -> bool:
        work = self._deliver(broadcast_id, seconds)
        try:
            sent = asyncio.run_coroutine_threadsafe(work, self._loop)
            while not sent.done() and self._thread.is_alive():
                wait([sent], timeout=_LOOK_SECONDS)
            return sent.result(timeout=0)
        except (RuntimeError, CancelledError, TimeoutError):
            work.close()  # the loop has ended: what is left is for the next process
            return True

    def deliver_outbox(self) -> None:
        """Send the system mail that is due, beside whatever else is being sent; returns at once."""
        self._call(self._outbox.set)

    def _call(self, act: Callable[[], None]) -> None:
        """On the loop, soon; one that has ended needs nothing any more."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(act)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._main())

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping, self._outbox = asyncio.Event(), asyncio.Event()
        with ThreadPoolExecutor(2, "ledger") as pool:

            def in_thread(call: Callable[..., Any], *arguments: Any) -> Awaitable[Any]:
                return self._loop.run_in_executor(pool, call, *arguments)

            limiter = self._limiter(self._share)
            self._crew = Crew(self._runtime, self._transports, limiter, in_thread)
            self._started.set()
            outbox = asyncio.create_task(self._send_outbox(in_thread, limiter))
            try:
                await self._crew.work_until(self._stopping)
            finally:
                self._outbox.set()
                await asyncio.wait([outbox], timeout=STOP_SECONDS)
                outbox.cancel()
                await limiter.aclose()

    def _share(self) -> float:
        return self._crew.share()

    async def _deliver(self, broadcast_id: int, seconds: float) -> bool:
        return await self._crew.deliver(broadcast_id, seconds)

    async def _send_outbox(self, in_thread: InThread, limiter: RateLimiter) -> None:
        while not self._stopping.is_set():
            await self._outbox.wait()
            self._outbox.clear()
            try:
                await system_mail.deliver(
                    self._runtime, self._transports, in_thread, self._stopping.is_set, limiter
                )
            except Exception:
                # The edge of this task: the mail is still in the outbox for the next round.
                log.exception("outbox.failed")
