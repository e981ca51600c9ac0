"""The bell of the full mode: after a commit, ring Celery's workers.

Celery is imported when somebody is there to ring for: a command of the embedded mode starts in
two thirds of the time without it.
"""

from functools import partial
from typing import TYPE_CHECKING

from newsletter.core import logs
from newsletter.core.doorbell import IMPORTS, OUTBOX, SEGMENTS
from newsletter.core.runtime import Runtime

if TYPE_CHECKING:
    from celery import Celery

_RING_EXPIRES_SECONDS = 60
_COPIES = 4

log = logs.get(__name__)


def attach_bell(runtime: Runtime) -> None:
    """From now on, committed work rings the workers; without a broker nothing rings."""
    if not runtime.settings.embedded:
        from newsletter.jobs.celery import create_app

        runtime.sessions.ring = partial(ring, create_app(runtime.settings))


def ring(app: "Celery", work: int) -> None:
    """A few rings, so that several workers hear one; who is at it already ends at once."""
    from kombu.exceptions import OperationalError
    from redis.exceptions import RedisError

    from newsletter.jobs.celery import DELIVER_SLICE, KEEP_INDEXES, RUN_IMPORTS

    by_one = {IMPORTS: RUN_IMPORTS, SEGMENTS: KEEP_INDEXES}
    try:
        if work in by_one:
            app.send_task(by_one[work], expires=_RING_EXPIRES_SECONDS, ignore_result=True)
            return
        for _ in range(_COPIES if work != OUTBOX else 1):
            app.send_task(DELIVER_SLICE, [work], expires=_RING_EXPIRES_SECONDS, ignore_result=True)
    except (OperationalError, RedisError, OSError) as error:
        log.warning("bell.unheard", work=work, error=type(error).__name__)
