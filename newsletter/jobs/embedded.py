"""Everything in one process: sweep and send in the background, without a broker."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from newsletter.broadcasts.sweep import PERIOD_SECONDS, sweep
from newsletter.core import logs
from newsletter.core.doorbell import OUTBOX
from newsletter.core.runtime import Runtime
from newsletter.jobs.daily import keeping_house
from newsletter.sending import leases, system_mail
from newsletter.sending.dispatch import Dispatch
from newsletter.sending.transport import Transport

_BROADCASTS_AT_ONCE = 4

log = logs.get(__name__)


@contextmanager
def sending(runtime: Runtime, transports: Sequence[Transport]) -> Iterator[None]:
    """Send in the background while the block runs; ends after the messages on the wire.

    Exactly one process sends: who does not hold the sender lease waits for it and sends nothing.
    """
    with keeping_house(runtime), Dispatch(runtime, transports) as dispatch:
        sender = _Sender(runtime, dispatch)
        runtime.sessions.ring = sender.ring
        thread = threading.Thread(target=sender.run, name="sender")
        thread.start()
        try:
            yield
        finally:
            sender.stop()
            thread.join()
            runtime.sessions.ring = None


class _Sender:
    def __init__(self, runtime: Runtime, dispatch: Dispatch) -> None:
        self._runtime = runtime
        self._dispatch = dispatch
        self._bell = threading.Event()
        self._stopping = threading.Event()
        self._lost = threading.Event()
        self._holds = False
        self._sweeping: threading.Thread | None = None

    def ring(self, work: int) -> None:
        """There is work; which, the ledger knows. System mail does not wait for a slice to end."""
        if threading.current_thread() is self._sweeping:
            return  # our own sweep hands over what it finds; heard too, it never let us rest
        if work == OUTBOX and self._holds:
            self._dispatch.deliver_outbox()
        self._bell.set()

    def stop(self) -> None:
        self._stopping.set()
        self._dispatch.stop()
        self._bell.set()

    def run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._hold_and_send()
            except Exception:
                # The edge of the thread: whatever went wrong once, the ledger still has the work.
                log.exception("sender.failed")
            self._rest()

    def _hold_and_send(self) -> None:
        self._lost.clear()
        seconds = self._runtime.settings.delivery.lease_seconds
        with leases.hold(self._runtime.sessions, leases.SENDER, seconds, self._give_way) as held:
            self._holds = held is not None
            while held and not self._stopping.is_set() and not self._lost.is_set():
                if not self._round():
                    self._rest()
            self._holds = False

    def _give_way(self) -> None:
        """We slept past our lease, and another process sends now."""
        self._lost.set()
        self._dispatch.suspend()
        self._bell.set()

    def _round(self) -> bool:
        """System mail first, then a slice of every broadcast with work; True when more is due."""
        with self._runtime.sessions.reading() as session:
            if system_mail.has_due(session):
                self._dispatch.deliver_outbox()
        self._sweeping = threading.current_thread()
        working = sweep(self._runtime.sessions)
        self._sweeping = None
        if not working:
            return False
        with ThreadPoolExecutor(_BROADCASTS_AT_ONCE, "slice") as pool:
            return any(list(pool.map(self._dispatch.deliver, working)))

    def _rest(self) -> None:
        if not self._stopping.is_set():
            self._bell.wait(PERIOD_SECONDS)
            self._bell.clear()
