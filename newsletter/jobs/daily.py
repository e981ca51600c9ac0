"""What is done once a day, in both modes: people and counts whose time is over go."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from newsletter.core import logs
from newsletter.core.runtime import Runtime
from newsletter.privacy.unconfirmed import forget_unconfirmed

_DAY_SECONDS = 86_400
_SOON_SECONDS = 600

log = logs.get(__name__)


def keep_house(runtime: Runtime, stop: Callable[[], bool] = lambda: False) -> None:
    """Harmless to do twice, or at once by several, or to skip for a day."""
    forget_unconfirmed(runtime.sessions, runtime.settings, stop=stop)


@contextmanager
def keeping_house(runtime: Runtime) -> Iterator[None]:
    """Now and every day while the block runs, in a thread of its own: nobody waits for it."""
    stopping = threading.Event()
    thread = threading.Thread(target=_every_day, args=(runtime, stopping), name="house")
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()


def _every_day(runtime: Runtime, stopping: threading.Event) -> None:
    while not stopping.is_set():
        rest_seconds = _DAY_SECONDS
        try:
            keep_house(runtime, stopping.is_set)
        except Exception:
            # The edge of the thread: what was not done is found the next time.
            log.exception("house.failed")
            rest_seconds = _SOON_SECONDS
        stopping.wait(rest_seconds)
