"""Waiting for what others do."""

import time
from collections.abc import Callable

_POLL_SECONDS = 0.02


def wait_until(true: Callable[[], bool], what: str = "it", seconds: float = 60) -> None:
    """Return as soon as `true()`; TimeoutError names `what` otherwise."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {seconds:.0f} s")
        time.sleep(_POLL_SECONDS)
