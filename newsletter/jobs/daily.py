"""What is done beside the sending, in both modes.

Once a day people, evidence and counts whose time is over go; every hour what reports show is
counted, and the indexes of saved segments are looked after.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial

from newsletter.core.runtime import Runtime
from newsletter.jobs.repeating import repeating
from newsletter.jobs.segments import keep_indexes
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


def look_after_all(runtime: Runtime, stop: Callable[[], bool] = lambda: False) -> None:
    """What is due every hour."""
    keep_house(runtime, stop)
    count_reports(runtime, stop)
    keep_indexes(runtime, stop)


def keeping_house(runtime: Runtime) -> AbstractContextManager[None]:
    """Ask every hour while the block runs."""
    return repeating(
        "house",
        partial(look_after_all, runtime),
        failed_event="house.failed",
        seconds=PERIOD_SECONDS,
        first_seconds=_FIRST_SECONDS,
    )
