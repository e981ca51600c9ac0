"""From a compiled mail to bytes: prepared once per wire form, spliced once per recipient."""

import html
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from urllib.parse import quote

from newsletter.core.errors import NewsletterError
from newsletter.core.sentences import say
from newsletter.core.tokens import TokenKeys
from newsletter.mail import headers
from newsletter.mail.address import Address
from newsletter.mail.dkim import SignedMessage, Signer
from newsletter.mail.mime import (
    Context,
    Part,
    PreparedMessage,
    Slot,
    alternative,
    encoded_for_both,
)
from newsletter.rendering import merge
from newsletter.rendering.compiled import (
    CompiledEmail,
    Frozen,
    SenderIdentity,
    WireForm,
    is_damaged,
    placeholder_pattern,
)
from newsletter.rendering.identifiers import id_headers, short_hash
from newsletter.rendering.mail_tokens import Door, mint_leave, mint_preferences, mint_tracking
from subscribers.recipient import Recipient

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")

_HEADER = Context.HEADER
_TO = Slot("to", _HEADER)
_SUBJECT = Slot("subject", _HEADER)
_IDS = Slot("ids", _HEADER)
_PREFERENCES = "preferences"


class LeftoverError(NewsletterError):
    """A placeholder that nothing fills: such a mail is never sent."""


@dataclass(frozen=True, slots=True)
class PreparedMail:
    """One wire form of one broadcast, all but the recipient.

    Attributes:
        envelope_sender: MAIL FROM; the sender's address as long as no bounce mailbox is kept.
        subject: cut at its merge fields; empty when it is the same for all.
    """

    message: PreparedMessage | SignedMessage
    envelope_sender: str
    subject: Sequence[str | Slot]
    frozen: Frozen
    form: WireForm
    places: Sequence[tuple[str, int]]
    """The message's slots by name and kind: its bytes in the text or a header (0), in HTML (1)."""
    has_preferences: bool
    """An operator's own template may do without the link."""


def prepare(frozen: Frozen, form: WireForm, signers: Sequence[Signer] = ()) -> PreparedMail:
    """Everything that is the same for all recipients of this wire form, as bytes.

    With `signers` each message is signed by all of them, as of the broadcast's date, so that
    another attempt is the same bytes.

    Raises:
        LeftoverError: the compiled mail has a placeholder that nothing fills.
        AddressError, HeaderError: the sender or the subject cannot stand in a header.
    """
    email = frozen.email
    sender = Address.parse(frozen.identity.sender_address, place="sender.address")
    fill = _Fill(frozen, form)
    subject = _cut(email, email.subject, fill, _HEADER)
    differs = any(isinstance(piece, Slot) for piece in subject)
    message = alternative(
        [
            *_fixed_headers(frozen, sender),
            _SUBJECT if differs else _subject(subject, {}),
            _TO,
            _IDS,
        ],
        [
            Part("plain", _cut(email, email.text, fill, Context.TEXT)),
            Part("html", _cut(email, email.html, fill, Context.HTML)),
        ],
    )
    mail = _signed(message, signers, frozen.date)
    places = [(slot.name, int(slot.context is Context.HTML)) for slot in mail.slots]
    return PreparedMail(
        mail,
        sender.envelope,
        subject if differs else (),
        frozen,
        form,
        places,
        has_preferences=any(name == _PREFERENCES for name, _ in places),
    )


def personalise(
    mail: PreparedMail, recipient: Recipient, delivery_id: int, keys: TokenKeys
) -> bytes:
    """One recipient's message: CRLF only, nothing to dot-stuff, ends with CRLF.

    Raises:
        HeaderError: the recipient's address cannot stand in a header.
    """
    frozen = mail.frozen
    broadcast_id, fields = frozen.broadcast_id, frozen.email.fields
    ids = (frozen.identity.newsletter_id, recipient.subscriber_id, broadcast_id, delivery_id)
    values = {f"field{n}": merge.value(field, recipient) for n, field in enumerate(fields, 1)}
    address = Address.stored(recipient.address, recipient.address_key)
    leave = mint_leave(keys, Door.BODY, *ids).encode()
    # Tokens and whole header fields mean themselves: nothing to escape, nothing to encode.
    filled = {
        "to": (headers.mailbox("To", address, _one_line(recipient.name)),),
        "ids": (id_headers(frozen, mail.envelope_sender, recipient, delivery_id, keys),),
        "unsubscribe": (leave, leave),
        "email": encoded_for_both(recipient.address),
        **{name: encoded_for_both(value) for name, value in values.items()},
    }
    if mail.has_preferences:
        preferences = mint_preferences(keys, *ids[:2]).encode()
        filled[_PREFERENCES] = (preferences, preferences)
    if mail.form is not WireForm.NONE:
        tracking = _tracking(mail, delivery_id, keys)
        filled["tracking"] = (tracking, tracking)
    if mail.subject:
        filled["subject"] = (_subject(mail.subject, values),)
    return mail.message.splice([filled[name][kind] for name, kind in mail.places])


def system_message(
    identity: SenderIdentity,
    to: Address,
    subject: str,
    bodies: tuple[str, str],
    *,
    date: datetime,
    signers: Sequence[Signer] = (),
) -> bytes:
    """A mail caused by one person's act, such as a confirmation; `bodies` are text and HTML."""
    sender = Address.parse(identity.sender_address, place="sender.address")
    text, page = bodies
    unique = f"{to.key} {date.isoformat()} {subject}"
    message = alternative(
        [
            *_sender_fields(identity, sender),
            headers.mailbox("To", to),
            headers.unstructured("Subject", subject),
            headers.date("Date", date),
            headers.structured("Message-ID", f"<s{short_hash(unique)}@{sender.domain}>"),
            headers.structured("Auto-Submitted", "auto-generated"),
        ],
        [Part("plain", [text]), Part("html", [page])],
    )
    return _signed(message, signers, date).splice([])


def _signed(
    message: PreparedMessage, signers: Sequence[Signer], at: datetime
) -> PreparedMessage | SignedMessage:
    return SignedMessage(message, signers, at) if signers else message


def _sender_fields(identity: SenderIdentity, sender: Address) -> Iterator[bytes]:
    yield headers.mailbox("From", sender, identity.sender_name)
    if identity.reply_to:
        yield headers.mailbox("Reply-To", Address.parse(identity.reply_to, place="reply-to"))


def _fixed_headers(frozen: Frozen, sender: Address) -> Iterator[bytes]:
    identity = frozen.identity
    archive = f"{identity.base_url}/archive/{identity.newsletter_slug}"
    feedback = f"{frozen.broadcast_id}:{identity.newsletter_slug}:issue:{sender.domain}"
    yield from _sender_fields(identity, sender)
    yield headers.date("Date", frozen.date)
    yield headers.structured("List-Id", f"<{identity.list_id}>")
    yield headers.structured("List-Archive", f"<{archive}>")
    yield headers.structured("List-Help", f"<mailto:{_reachable(identity, sender)}?subject=Help>")
    yield headers.structured("List-Unsubscribe-Post", "List-Unsubscribe=One-Click")
    yield headers.structured("Precedence", "bulk")
    yield headers.structured("Feedback-ID", feedback)


def _reachable(identity: SenderIdentity, sender: Address) -> str:
    """Where a reader's question is read by a person, as a part of a URL (RFC 6068)."""
    address = Address.parse(identity.reply_to, place="reply-to") if identity.reply_to else sender
    return quote(address.envelope, safe="@")


def _tracking(mail: PreparedMail, delivery_id: int, keys: TokenKeys) -> bytes:
    broadcast_id = mail.frozen.broadcast_id
    if mail.form is WireForm.INDIVIDUAL:
        return mint_tracking(keys, broadcast_id, delivery_id).encode()
    return _shared_tracking(keys, broadcast_id)


@lru_cache(maxsize=16)
def _shared_tracking(keys: TokenKeys, broadcast_id: int) -> bytes:
    """What names the broadcast alone is the same in every copy."""
    return mint_tracking(keys, broadcast_id, None).encode()


def _subject(pieces: Sequence[str | Slot], values: Mapping[str, str]) -> bytes:
    """Line breaks in values become spaces; in the issue's own subject they are an error."""
    shown = [_one_line(values[p.name]) if isinstance(p, Slot) else p for p in pieces]
    return headers.unstructured("Subject", "".join(shown))


class _Fill:
    """What each placeholder becomes in one wire form: fixed text and slots."""

    def __init__(self, frozen: Frozen, form: WireForm) -> None:
        self._base_url = frozen.identity.base_url
        self._form = form
        self._links = {f"link{link.number}": link for link in frozen.email.links}
        self._fields = {f"field{number}" for number, _ in enumerate(frozen.email.fields, 1)}

    def __call__(self, name: str, context: Context) -> Sequence[str | Slot]:
        if name in self._fields:
            return [Slot(name, context)]
        if context is not _HEADER:
            return self._in_body(name, context)
        raise LeftoverError(say("a subject cannot hold the placeholder %(name)r", name=name))

    def _in_body(self, name: str, context: Context) -> Sequence[str | Slot]:
        if name in self._links:
            return self._link(name, context)
        if name == "pixel":
            return self._pixel(context)
        if name == "unsubscribe":
            return [f"{self._base_url}/u/", Slot("unsubscribe", context)]
        if name == _PREFERENCES:
            return [f"{self._base_url}/p/", Slot(name, context)]
        if name == "email":
            return [Slot(name, context)]
        raise LeftoverError(say("nothing fills the placeholder %(name)r", name=name))

    def _link(self, name: str, context: Context) -> Sequence[str | Slot]:
        link = self._links[name]
        if self._form is WireForm.NONE:
            return [html.escape(link.url) if context is Context.HTML else link.url]
        return [f"{self._base_url}/c/", Slot("tracking", context), f"/{link.number}"]

    def _pixel(self, context: Context) -> Sequence[str | Slot]:
        if self._form is WireForm.NONE:
            return []
        return [
            f'<img src="{self._base_url}/o/',
            Slot("tracking", context),
            '.gif" width="1" height="1" alt="" style="display:block;border:0">',
        ]


def _cut(email: CompiledEmail, text: str, fill: _Fill, context: Context) -> Sequence[str | Slot]:
    """The text cut at its placeholders, each replaced by what fills it."""
    pieces: list[str | Slot] = []
    for number, piece in enumerate(placeholder_pattern(email.nonce).split(text)):
        # `split` puts what group 1 matched, the placeholders' names, at the odd places.
        pieces += fill(piece, context) if number % 2 else [piece]
    if any(is_damaged(email.nonce, piece) for piece in pieces if isinstance(piece, str)):
        raise LeftoverError(say("a placeholder is damaged: the mail would show it"))
    return _joined(pieces)


def _joined(pieces: list[str | Slot]) -> Sequence[str | Slot]:
    """Neighbouring texts as one: a slot costs two line breaks, a text none."""
    joined: list[str | Slot] = []
    for piece in pieces:
        if isinstance(piece, str) and joined and isinstance(joined[-1], str):
            joined[-1] += piece
        elif piece != "":
            joined.append(piece)
    return joined


def _one_line(text: str) -> str:
    return (text if text.isprintable() else _CONTROL.sub(" ", text)).strip()
