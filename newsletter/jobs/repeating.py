"""Work that is done every so often in a thread of its own: nobody waits for it."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from newsletter.core import logs

log = logs.get(__name__)


@contextmanager
def repeating(
    name: str,
    work: Callable[[Callable[[], bool]], object],
    *,
    failed_event: str,
    seconds: float,
    first_seconds: float | None = None,
    patience_seconds: float | None = None,
) -> Iterator[None]:
    """Do the work every so many seconds while the block runs, for the first time after the first.

    `work` is told how to ask whether the block has ended. What it raises is logged under
    `failed_event`: what was not done is found the next time. The block's end waits for the work to
    end, at most `patience_seconds` if there are any.
    """
    ending = threading.Event()

    def run() -> None:
        pause = seconds if first_seconds is None else first_seconds
        while not ending.wait(pause):
            pause = seconds
            try:
                work(ending.is_set)
            except Exception:  # the edge of the thread
                log.exception(failed_event)

    thread = threading.Thread(target=run, name=name, daemon=patience_seconds is not None)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join(patience_seconds)
