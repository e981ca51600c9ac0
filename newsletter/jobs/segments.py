"""The indexes of saved segments are kept by one process at a time: after a change, and hourly."""

import threading
from collections.abc import Callable

from newsletter.core import logs
from newsletter.core.db import DATABASE_AWAY
from newsletter.core.runtime import Runtime
from newsletter.sending import leases
from subscribers import segment_indexes

_LEASE, _LEASE_SECONDS = "segment indexes", 30

log = logs.get(__name__)


def keep_indexes(runtime: Runtime, stop: Callable[[], bool] = lambda: False) -> None:
    """Make and drop what is due, or end at once if another process is at it."""
    lost = threading.Event()

    def is_over() -> bool:
        return stop() or lost.is_set()

    try:
        with leases.hold(runtime.sessions, _LEASE, _LEASE_SECONDS, lost.set) as held:
            # Whoever saved a segment meanwhile rang in vain.
            while held and not is_over() and segment_indexes.keep(runtime.sessions, stop=is_over):
                pass
    except DATABASE_AWAY as error:
        log.warning("segment_index.failed", error=type(error).__name__)
