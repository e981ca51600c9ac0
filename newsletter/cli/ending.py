"""SIGTERM and Ctrl-C are one wish: to end, with nothing left half done."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Ending:
    """Whether somebody wished this process to end.

    An event would do, were its lock not the one that `wait` holds for a moment: a signal's handler
    that comes in that moment would wait for it for ever. This queue may be used in a handler.
    """

    def __init__(self) -> None:
        self.is_wished = False
        self._wishes: SimpleQueue[None] = SimpleQueue()

    def wish(self) -> None:
        self.is_wished = True
        self._wishes.put(None)

    def wait(self, seconds: float | None = None) -> None:
        """Until it is wished, or the time is up."""
        if not self.is_wished:
            with suppress(Empty):
                self._wishes.get(timeout=seconds)


@contextmanager
def told_to_end() -> Iterator[Ending]:
    """Wished by either signal while the block runs; an impatient second one changes nothing."""
    ending = Ending()
    before = [signal.signal(number, lambda *_: ending.wish()) for number in SIGNALS]
    try:
        yield ending
    finally:
        for number, handler in zip(SIGNALS, before, strict=True):
            signal.signal(number, handler)
