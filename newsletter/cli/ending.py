"""SIGTERM and Ctrl-C are one wish: to end, with nothing left half done."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def told_to_end() -> Iterator[threading.Event]:
    """Set by either signal while the block runs; an impatient second one changes nothing."""
    ending = threading.Event()
    before = [signal.signal(number, lambda *_: ending.set()) for number in SIGNALS]
    try:
        yield ending
    finally:
        for number, handler in zip(SIGNALS, before, strict=True):
            signal.signal(number, handler)
