"""The tasks: ids in, one domain call. Run twice, late, or never, they do no harm."""

import threading
from functools import lru_cache, partial

from celery.signals import worker_shutdown, worker_shutting_down

from newsletter.broadcasts import sweep as broadcasts_sweep
from newsletter.core.config import load_settings
from newsletter.core.doorbell import IMPORTS, OUTBOX
from newsletter.core.errors import ConfigurationError
from newsletter.core.runtime import Runtime, open_runtime
from newsletter.core.sentences import say
from newsletter.jobs import daily, imports, polling, segments
from newsletter.jobs.bell import ring
from newsletter.jobs.celery import (
    DELIVER_SLICE,
    KEEP_HOUSE,
    KEEP_INDEXES,
    POLL_MAILBOX,
    RUN_IMPORTS,
    SWEEP,
    create_app,
)
from newsletter.sending import system_mail
from newsletter.sending.dispatch import Dispatch
from newsletter.sending.ratelimit_redis import RedisLimiter
from newsletter.sending.signing import ready_to_sign
from newsletter.sending.smtp_transport import transports_for

_stopping = threading.Event()
_making = threading.Lock()
"""Several rings at once: a cache alone would let each make a loop, and forget all but one."""

settings = load_settings()
if settings.embedded:
    raise ConfigurationError(
        say(
            "broker.url is not set: a Celery worker needs NEWSLETTER_BROKER__URL; "
            "without a broker, `newsletter serve` or `newsletter worker` does the sending"
        )
    )
app = create_app(settings)


def running() -> Runtime:
    """This worker process's runtime; its rings go through this process's app."""
    with _making:
        return _runtime()


def dispatching() -> Dispatch:
    """This process's send loop; it outlives the tasks and owns the connections."""
    with _making:
        return _dispatch()


@lru_cache(maxsize=1)
def _runtime() -> Runtime:
    runtime = open_runtime(settings)
    ready_to_sign(settings)
    runtime.sessions.ring = partial(ring, app)
    return runtime


@lru_cache(maxsize=1)
def _dispatch() -> Dispatch:
    limiter = partial(RedisLimiter, settings.broker.url.get_secret_value())
    dispatch = Dispatch(_runtime(), transports_for(settings.relays), limiter)
    dispatch.start()
    threading.Thread(target=_stop_in_time, args=(dispatch,), name="stopper", daemon=True).start()
    return dispatch


def _stop_in_time(dispatch: Dispatch) -> None:
    """The loop gives back what is claimed while Celery still waits for the tasks."""
    _stopping.wait()
    dispatch.stop()


@app.task(name=DELIVER_SLICE)
def deliver_slice(work: int) -> None:
    """Have a slice of one broadcast sent, or the system mail that is due."""
    if _stopping.is_set():
        return
    if work == OUTBOX:
        dispatching().deliver_outbox()
        return
    more = dispatching().deliver(work)
    if more and not _stopping.is_set():
        ring(app, work)


@app.task(name=SWEEP)
def sweep() -> None:
    """Find what was forgotten; the database says what that is."""
    runtime = running()
    broadcasts_sweep.sweep(runtime.sessions)
    with runtime.sessions.reading() as session:
        waiting = system_mail.has_due(session)
        uploaded = imports.has_work(session)
    if waiting:
        ring(app, OUTBOX)
    if uploaded:
        ring(app, IMPORTS)


@app.task(name=RUN_IMPORTS)
def run_imports() -> None:
    """Check and import the files that wait; ends at once where another worker is at it."""
    if not _stopping.is_set():
        imports.work(running(), _stopping.is_set)


@app.task(name=KEEP_HOUSE)
def keep_house() -> None:
    """Asked every hour; most of it is due once a day."""
    daily.look_after_all(running(), _stopping.is_set)


@app.task(name=KEEP_INDEXES)
def keep_indexes() -> None:
    """After a saved segment changed; ends at once where another worker is at it."""
    if not _stopping.is_set():
        segments.keep_indexes(running(), _stopping.is_set)


@app.task(name=POLL_MAILBOX)
def poll_mailbox() -> None:
    """Look through the mailbox of the settings."""
    polling.poll(running())


@worker_shutting_down.connect
def _begin_to_stop(**details: object) -> None:
    """Called by the signal's handler: whatever it interrupted may hold any lock but this one."""
    del details
    _stopping.set()


@worker_shutdown.connect
def _end(**details: object) -> None:
    """Wait for replies under way: an interpreter that shuts down gives the loop no threads."""
    del details
    with _making:
        if _dispatch.cache_info().currsize:
            _dispatch().close()
