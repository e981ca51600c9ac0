"""Waiting for what others do."""

import time
from collections.abc import Callable


def wait_until(done: Callable[[], bool], seconds: float = 60) -> None:
    """Ask again and again; fails when it did not come true in time."""
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, f"waited {seconds:g} seconds in vain"
        time.sleep(0.02)
