"""Celery's entry: `celery -A worker worker` and `celery -A worker beat`."""

from newsletter.jobs.tasks import app

__all__ = ["app"]
