"""Celery's entry: `celery -A worker worker` and `celery -A worker beat`."""
