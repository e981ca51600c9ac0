"""What is done beside the sending, in both modes.

Once a day people, evidence and counts whose time is over go; every hour what reports show is
counted.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from newsletter.core import logs
from newsletter.core.runtime import Runtime
from newsletter.privacy import upkeep
from newsletter.privacy.unconfirmed import forget_unconfirmed
from newsletter.reports import growth, snapshots
from newsletter.sending import leases

PERIOD_SECONDS = 3600
"""How often to ask whether today's turn was had."""
_FIRST_SECONDS = 60
"""A command that sends and ends has other things to do."""
_DAY_SECONDS = 86_400
_LEASE = "housekeeping"

log = logs.get(__name__)


def keep_house(runtime: Runtime, stop: Callable[[], bool] = lambda: False) -> bool:
    """Once a day over all processes and restarts; False when today's turn was had.

    The right to do it is a lease that is not given back, but by who fails.
    """
    held = leases.take(runtime.sessions, [_LEASE], 1, _DAY_SECONDS)
    if not held:
        return False
    try:
        upkeep.retain(runtime.sessions, runtime.settings.retention)
        upkeep.forget_logins(runtime.sessions)
        forget_unconfirmed(runtime.sessions, runtime.settings, stop=stop)
    except BaseException:
        leases.release(runtime.sessions, held)
        raise
    return True


def count_reports(runtime: Runtime, stop: Callable[[], bool] = lambda: False) -> None:
    """Have the figures ready that are too many rows to count while somebody waits."""
    with runtime.sessions.reading() as session:
        due = snapshots.due(session)
    snapshots.refresh(runtime.sessions, due, stop)
    if not stop():
        growth.refresh(runtime.sessions)


@contextmanager
def keeping_house(runtime: Runtime) -> Iterator[None]:
    """Ask every hour while the block runs, in a thread of its own: nobody waits for it."""
    stopping = threading.Event()
    thread = threading.Thread(target=_every_hour, args=(runtime, stopping), name="house")
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()


def _every_hour(runtime: Runtime, stopping: threading.Event) -> None:
    seconds = _FIRST_SECONDS
    while not stopping.wait(seconds):
        seconds = PERIOD_SECONDS
        try:
            keep_house(runtime, stopping.is_set)
            count_reports(runtime, stopping.is_set)
        except Exception:
            # The edge of the thread: what was not done is found the next time.
            log.exception("house.failed")
