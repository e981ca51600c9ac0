"""The mailbox is looked through every few minutes, in both modes."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from newsletter.bounces import leaving_by_mail
from newsletter.core import logs
from newsletter.core.errors import NewsletterError
from newsletter.core.runtime import Runtime

PERIOD_SECONDS = 300

log = logs.get(__name__)


def poll(runtime: Runtime) -> None:
    """One round; a mailbox that is away is looked at again the next time."""
    try:
        found = leaving_by_mail.poll(runtime)
    except NewsletterError as error:
        log.warning("mailbox.away", error=str(error))
        return
    if found.understood:
        log.info("mailbox.unsubscribed", mails=found.understood)


@contextmanager
def polling(runtime: Runtime) -> Iterator[None]:
    """Poll in the background while the block runs, if a mailbox is configured.

    Two processes that do so get in nobody's way: each mail is one process's.
    """
    if runtime.settings.bounces.around_a_token is None:
        yield
        return
    ending = threading.Event()
    thread = threading.Thread(target=_run, args=(runtime, ending), name="mailbox", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join(timeout=1)  # a server that does not answer keeps nobody from ending


def _run(runtime: Runtime, ending: threading.Event) -> None:
    while not ending.is_set():
        try:
            poll(runtime)
        except Exception:
            # The edge of the thread: whatever went wrong once, the mails are still there.
            log.exception("mailbox.failed")
        ending.wait(PERIOD_SECONDS)
