"""The tasks: ids in, one domain call. Run twice, late, or never, they do no harm."""

import threading
from functools import lru_cache, partial

from celery.signals import worker_shutting_down

from newsletter.broadcasts import sweep as broadcasts_sweep
from newsletter.core.config import load_settings
from newsletter.core.doorbell import OUTBOX
from newsletter.core.errors import ConfigurationError
from newsletter.core.runtime import Runtime, open_runtime
from newsletter.jobs.bell import ring
from newsletter.jobs.celery import DELIVER_SLICE, SWEEP, create_app
from newsletter.sending import dispatch, leases, system_mail
from newsletter.sending.smtp_transport import transport_for
from newsletter.sending.transport import Transport

_stopping = threading.Event()

settings = load_settings()
if settings.embedded:
    raise ConfigurationError(
        "broker.url is not set: a Celery worker needs NEWSLETTER_BROKER__URL; "
        "without a broker, `newsletter serve` or `newsletter worker` does the sending"
    )
app = create_app(settings)


@lru_cache(maxsize=1)
def running() -> Runtime:
    """This worker process's runtime; its rings go through this process's app."""
    runtime = open_runtime(settings)
    runtime.sessions.ring = partial(ring, app, runtime)
    return runtime


@app.task(name=DELIVER_SLICE)
def deliver_slice(work: int) -> None:
    """Send system mail, then a slice of one broadcast, over one of the relay's connections."""
    runtime = running()
    transport = transport_for(settings.relays)
    with leases.hold(runtime.sessions, _slots(transport), settings.delivery.lease_seconds) as slot:
        if slot is None:
            return
        stop = _stopping.is_set
        system_mail.deliver_outbox(runtime, transport, stop=stop)
        more = work != OUTBOX and dispatch.deliver_slice(runtime, transport, work, stop=stop)
    if more and not _stopping.is_set():
        ring(app, runtime, work)


@app.task(name=SWEEP)
def sweep() -> None:
    """Find what was forgotten; the database says what that is."""
    runtime = running()
    broadcasts_sweep.sweep(runtime.sessions)
    with runtime.sessions.reading() as session:
        waiting = system_mail.has_due(session)
    if waiting:
        ring(app, runtime, OUTBOX)


@worker_shutting_down.connect
def _stop(**details: object) -> None:
    """Slices end after the message on the wire and give back what they claimed."""
    del details
    _stopping.set()


def _slots(transport: Transport) -> list[str]:
    relay = next(relay for relay in settings.relays if relay.name == transport.name)
    return [f"relay/{relay.name}/{number}" for number in range(relay.connections)]
