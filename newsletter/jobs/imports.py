"""Files of people from the desk are checked and imported, by one process at a time."""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager

from sqlalchemy.orm import Session

from newsletter.accounts import audit
from newsletter.core import logs
from newsletter.core.db import DATABASE_AWAY
from newsletter.core.runtime import Runtime
from newsletter.jobs.repeating import repeating
from newsletter.sending import leases
from subscribers.imports.runs import forgetting, running
from subscribers.imports.runs.counts import Counts
from subscribers.imports.runs.models import ImportRun, ImportState

PERIOD_SECONDS = 1
_LEASE, _LEASE_SECONDS = "imports", 30
"""So long after a crash somebody goes on; renewed while we live."""

log = logs.get(__name__)


def has_work(session: Session) -> bool:
    """Whether a file waits for us, or is to be deleted."""
    return running.next_due(session) is not None or forgetting.any_left(session)


def work(runtime: Runtime, stop: Callable[[], bool] = lambda: False) -> None:
    """Work on what waits until nothing does, or at once end if another process is at it."""
    with runtime.sessions.reading() as session:
        if not has_work(session):
            return
    lost = threading.Event()
    with leases.hold(runtime.sessions, _LEASE, _LEASE_SECONDS, lost.set) as held:
        if held:
            _work_alone(runtime, lambda: stop() or lost.is_set())


def _work_alone(runtime: Runtime, stop: Callable[[], bool]) -> None:
    shop = running.Workshop(runtime.sessions, runtime.erasure_key, _record, stop)
    while not stop():
        forgetting.clear(runtime.sessions)
        with runtime.sessions.reading() as session:
            run_id = running.next_due(session)
        if run_id is None:
            return
        running.work_on(shop, run_id)


def _record(session: Session, run: ImportRun) -> None:
    """The end of an import; that a file's columns were said wrongly is nobody's affair."""
    if run.state is ImportState.UPLOADED:
        return
    counts = Counts.from_json(run.counts).to_json().get("fates", {})
    where = {"number": run.id, "list": run.subscriber_list.slug}
    audit.record(session, run.actor, f"import.{run.state}", None, **where, **counts)


def importing(runtime: Runtime) -> AbstractContextManager[None]:
    """Work in the background while the block runs; what is cut off by its end goes on later."""

    def look(stop: Callable[[], bool]) -> None:
        try:
            work(runtime, stop)
        except DATABASE_AWAY as error:
            log.warning("imports.away", error=type(error).__name__)

    return repeating("imports", look, failed_event="imports.failed", seconds=PERIOD_SECONDS)
