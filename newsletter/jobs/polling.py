"""The mailbox is looked through every few minutes, in both modes."""

from contextlib import AbstractContextManager, nullcontext

from newsletter.bounces import leaving_by_mail
from newsletter.core import logs
from newsletter.core.errors import NewsletterError
from newsletter.core.runtime import Runtime
from newsletter.jobs.repeating import repeating

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


def polling(runtime: Runtime) -> AbstractContextManager[None]:
    """Poll in the background while the block runs, if a mailbox is configured.

    Two processes that do so get in nobody's way: each mail is one process's.
    """
    if runtime.settings.bounces.around_a_token is None:
        return nullcontext()
    return repeating(
        "mailbox",
        lambda _: poll(runtime),
        failed_event="mailbox.failed",
        seconds=PERIOD_SECONDS,
        first_seconds=0,
        patience_seconds=1,  # a server that does not answer keeps nobody from ending
    )
