"""The indexes of saved segments are kept by one process at a time: after a change, and hourly."""

import threading
from collections.abc import Callable

from newsletter.core.runtime import Runtime
from newsletter.sending import leases
from subscribers import segment_indexes

_LEASE, _LEASE_SECONDS = "segment indexes", 30


def keep_indexes(runtime: Runtime, stop: Callable[[], bool] = lambda: False) -> None:
    """Make and drop what is due, or end at once if another process is at it."""
    lost = threading.Event()
    with leases.hold(runtime.sessions, _LEASE, _LEASE_SECONDS, lost.set) as held:
        if held:
            segment_indexes.keep(runtime.sessions, stop=lambda: stop() or lost.is_set())
