"""Unsubscribing by mail: the address written to says who leaves, and nothing else in the mail does.

Bounces and automatic replies quote our headers, the address to leave by among them. So the body is
never looked at, and whatever answers by itself has no effect.
"""

import re
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesHeaderParser

from sqlalchemy.orm import Session

from newsletter.bounces.collecting import Collected, collect
from newsletter.bounces.mailbox import HEAD_BYTES, open_mailbox
from newsletter.bounces.mailbox_url import PLACE, MailboxUrl
from newsletter.broadcasts.models import Delivery
from newsletter.core.errors import ConfigurationError
from newsletter.core.runtime import Runtime
from newsletter.core.sentences import say
from newsletter.core.tokens import TokenKeys
from newsletter.rendering.mail_tokens import (
    MAIL_TAG,
    MAIL_TOKEN_CHARACTERS,
    Door,
    LeaveToken,
    MailToken,
)
from newsletter.tracking import leaving
from newsletter.tracking.recording import Visit

_WRITTEN_TO = (
    *("To", "Cc", "Delivered-To", "X-Original-To", "Envelope-To", "X-Envelope-To"),
    *("X-Delivered-To", "Original-Recipient", "Subject"),
)
"""Where the address stands, or the token alone where a mail system rewrites addresses."""

_TOKEN = re.compile(
    rf"(?<![a-z0-9]){MAIL_TAG}[a-z2-7]{{{MAIL_TOKEN_CHARACTERS - 1}}}(?![a-z0-9])", re.IGNORECASE
)
_MOST_TOKENS = 10


@dataclass(frozen=True, slots=True)
class Verdict:
    """Who was unsubscribed by a mail, or why nobody was.

    Attributes:
        subscriber_id: None when nobody was; then `why_not` says why.
        ended: how many subscriptions ended now; 0 when they had left before.
    """

    subscriber_id: int | None = None
    ended: int = 0
    why_not: str = ""


def ingest(session: Session, keys: TokenKeys, mail: bytes) -> Verdict:
    """Do what one raw mail asks for; only its header fields are read."""
    head = BytesHeaderParser().parsebytes(mail[:HEAD_BYTES])
    if _is_automatic(head):
        return Verdict(why_not="an automatic reply or a bounce")
    candidates = _candidates(head)
    if not candidates:
        return Verdict(why_not="it is not written to an address to leave by")
    read = [token for text in candidates if (token := MailToken.read(keys, text))]
    if not read:
        return Verdict(why_not="the address to leave by is not one of ours")
    return _leave(session, read[0])


def poll(runtime: Runtime, *, rehearse: bool = False) -> Collected:
    """Go through the configured mailbox once.

    Raises:
        ConfigurationError: no mailbox is configured, or its URL is wrong.
        MailboxError: it cannot be read now.
    """
    settings = runtime.settings.bounces
    if settings.around_a_token is None:
        raise ConfigurationError(
            say("no mailbox is kept: set %(place)s and bounces.domain", place=PLACE)
        )
    url = MailboxUrl.parse(settings.mailbox.get_secret_value())

    def handle(session: Session, head: bytes) -> bool:
        return ingest(session, runtime.keys, head).subscriber_id is not None

    with open_mailbox(url, read_only=rehearse) as mailbox:
        return collect(runtime.sessions, mailbox, url.key, handle, rehearse=rehearse)


def _is_automatic(head: Message) -> bool:
    """RFC 3834: an answer that nobody wrote; RFC 6522: a report; RFC 5321: the null sender.

    What a mail program makes by itself because its user pressed a button is `auto-generated`.
    """
    return (
        str(head.get("Auto-Submitted", "")).strip().lower().startswith("auto-replied")
        or any(name in head for name in ("X-Autoreply", "X-Autorespond"))
        or head.get_content_type() == "multipart/report"
        or str(head.get("Return-Path", "")).strip() == "<>"
    )


def _candidates(head: Message) -> list[str]:
    values = [str(value) for name in _WRITTEN_TO for value in head.get_all(name, [])]
    found = [text.lower() for value in values for text in _TOKEN.findall(value)]
    return list(dict.fromkeys(found))[:_MOST_TOKENS]


def _leave(session: Session, read: MailToken) -> Verdict:
    delivery = session.get(Delivery, read.delivery_id)
    token = LeaveToken(
        Door.MAIL,
        read.newsletter_id,
        read.subscriber_id,
        delivery.broadcast_id if delivery else 0,
        read.delivery_id,
    )
    if leaving.who(session, token) is None:
        return Verdict(why_not="nobody is kept under this address any more")
    ended = leaving.leave(session, token, Visit(method="MAIL"))
    return Verdict(read.subscriber_id, len(ended))
