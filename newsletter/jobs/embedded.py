"""Everything in one process: sweep and send in a background thread, without a broker."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from newsletter.broadcasts.sweep import PERIOD_SECONDS, sweep
from newsletter.core import logs
from newsletter.core.runtime import Runtime
from newsletter.sending import leases
from newsletter.sending.dispatch import deliver_slice
from newsletter.sending.system_mail import deliver_outbox
from newsletter.sending.transport import Transport

log = logs.get(__name__)


@contextmanager
def sending(runtime: Runtime, transport: Transport) -> Iterator[None]:
    """Send in the background while the block runs; ends after the message on the wire.

    Exactly one process sends: who does not hold the sender lease waits for it and sends nothing.
    """
    sender = _Sender(runtime, transport)
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
    def __init__(self, runtime: Runtime, transport: Transport) -> None:
        self._runtime = runtime
        self._transport = transport
        self._bell = threading.Event()
        self._stopping = threading.Event()

    def ring(self, work: int) -> None:
        """There is work; which, the ledger knows."""
        del work
        self._bell.set()

    def stop(self) -> None:
        self._stopping.set()
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
        seconds = self._runtime.settings.delivery.lease_seconds
        with leases.hold(self._runtime.sessions, [leases.SENDER], seconds) as held:
            while held and not self._stopping.is_set():
                self._bell.clear()
                if not self._round():
                    self._rest()
                if not leases.renew(self._runtime.sessions, held, seconds):
                    return

    def _round(self) -> bool:
        """System mail first, then a slice of every broadcast with work; True when more is due."""
        stop = self._stopping.is_set
        deliver_outbox(self._runtime, self._transport, stop=stop)
        more = False
        for broadcast_id in sweep(self._runtime.sessions):
            more |= deliver_slice(self._runtime, self._transport, broadcast_id, stop=stop)
        return more

    def _rest(self) -> None:
        self._bell.wait(PERIOD_SECONDS)
