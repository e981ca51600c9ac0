"""Celery: the doorbell of the full mode. The ledger is the queue, a task says where to look."""

from typing import Any

from celery import Celery
from celery.signals import setup_logging

from newsletter.broadcasts.sweep import PERIOD_SECONDS
from newsletter.core.config import Settings
from newsletter.jobs import polling
from newsletter.jobs.daily import PERIOD_SECONDS as HOUSE_SECONDS

BROKER_TIMEOUT_SECONDS = 5
DELIVER_SLICE = "newsletter.jobs.tasks.deliver_slice"
SWEEP = "newsletter.jobs.tasks.sweep"
KEEP_HOUSE = "newsletter.jobs.tasks.keep_house"
RUN_IMPORTS = "newsletter.jobs.tasks.run_imports"
KEEP_INDEXES = "newsletter.jobs.tasks.keep_indexes"
POLL_MAILBOX = "newsletter.jobs.tasks.poll_mailbox"

_CONFIGURATION = {
    # A task is one ring: nobody asks for its result, and a lost one costs one sweep.
    "task_ignore_result": True,
    "task_acks_late": False,
    # Ids only; nothing that could be executed travels through the broker.
    "task_serializer": "json",
    "accept_content": ["json"],
    # Threads: a SIGTERM reaches our stop flag, not a child in the middle of a message.
    "worker_pool": "threads",
    # One for each broadcast at work (a slice waits for its outcomes), and for the sweep.
    "worker_concurrency": 16,
    # A ring that waits behind a busy slice would only be late.
    "worker_prefetch_multiplier": 1,
    # A long slice survives a broker that goes away; cancelling it would strand its claim.
    "worker_cancel_long_running_tasks_on_connection_loss": False,
    "broker_connection_retry_on_startup": True,
    # A publisher must not hang on a dead broker: the sweep will find the work.
    "broker_transport_options": {
        "socket_timeout": BROKER_TIMEOUT_SECONDS,
        "socket_connect_timeout": BROKER_TIMEOUT_SECONDS,
        "retry_on_timeout": False,
        "max_retries": 1,
    },
    "task_publish_retry": False,
    # Our own logs, masked; see `newsletter.core.logs`.
    "worker_hijack_root_logger": False,
    "timezone": "UTC",
    # The period is seconds: nothing worth a file to remember it in.
    "beat_scheduler": "celery.beat:Scheduler",
}


def create_app(settings: Settings) -> Celery:
    """The Celery application for these settings."""
    app = Celery("newsletter", include=["newsletter.jobs.tasks"])
    app.conf.update(
        _CONFIGURATION,
        broker_url=settings.broker.url.get_secret_value() or None,
        beat_schedule=_schedule(settings),
    )
    return app


def _schedule(settings: Settings) -> dict[str, Any]:
    schedule = {
        "sweep": _every(PERIOD_SECONDS, SWEEP),
        # Asked every hour, done once a day: beat forgets at each start when it last asked.
        "keep house": _every(HOUSE_SECONDS, KEEP_HOUSE),
    }
    if settings.bounces.around_a_token is not None:
        schedule["mailbox"] = _every(polling.PERIOD_SECONDS, POLL_MAILBOX)
    return schedule


def _every(seconds: int, task: str) -> dict[str, Any]:
    """One that nobody took before the next is due is dropped."""
    return {"task": task, "schedule": seconds, "options": {"expires": seconds}}


@setup_logging.connect
def _keep_our_logging(**options: object) -> None:
    """Connected so that Celery leaves logging alone."""
    del options
