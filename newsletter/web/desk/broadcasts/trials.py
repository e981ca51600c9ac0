"""What became of the last test mails of an issue, as the send page lists them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from newsletter.accounts.permissions import Permission
from newsletter.broadcasts.models import OPEN_STATES, DeliveryState
from newsletter.mail.address import Address
from newsletter.sending import trial_copies
from newsletter.sending.models import SystemMail
from newsletter.web.desk.broadcasts.words import DELIVERY_TONES, delivery_states, reason_text
from newsletter.web.desk.editor import Editor


@dataclass(frozen=True, slots=True)
class Trial:
    """One test, and what came of it in words.

    Attributes:
        why: of a failure and of what is put off, with what the relay said.
    """

    to: str
    at: datetime
    said: str
    tone: str
    why: str
    waits: bool


def latest(session: Session, editor: Editor, issue_id: int) -> list[Trial]:
    """The last tests; who may test to themselves alone sees these alone."""
    own = None if editor.may(Permission.SEND) else Address.parse(editor.email).typed
    return [_told(mail) for mail in trial_copies.latest(session, issue_id, to=own)]


def any_waits(tests: Sequence[Trial]) -> bool:
    """Worth asking again soon."""
    return any(test.waits for test in tests)


def _told(mail: SystemMail) -> Trial:
    return Trial(
        to=mail.address,
        at=mail.created_at,
        said=delivery_states()[mail.state],
        tone=DELIVERY_TONES.get(mail.state, "busy"),
        why="" if mail.state is DeliveryState.ACCEPTED else _why(mail),
        waits=mail.state in OPEN_STATES,
    )


def _why(mail: SystemMail) -> str:
    if not mail.reason:
        return ""
    reason = reason_text(mail.reason, is_over=mail.state not in OPEN_STATES)
    reply = f"{mail.reply_code} {mail.reply_text}".strip() if mail.reply_code else ""
    return f"{reason}: {reply}" if reply else reason
