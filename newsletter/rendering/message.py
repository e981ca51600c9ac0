"""From a compiled mail to bytes: prepared once per wire form, spliced once per recipient."""

import html
import re
from base64 import b32encode
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from newsletter.core.errors import NewsletterError
from newsletter.core.tokens import TokenKeys
from newsletter.mail import headers
from newsletter.mail.address import Address
from newsletter.mail.mime import Context, Part, PreparedMessage, Slot, alternative, encoded
from newsletter.rendering import merge
from newsletter.rendering.compiled import (
    CompiledEmail,
    Frozen,
    MergeField,
    SenderIdentity,
    WireForm,
    placeholder_pattern,
)
from newsletter.rendering.mail_tokens import Door, LeaveToken, TrackingToken
from subscribers.recipient import Recipient

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")

_TO = Slot("to", Context.HEADER)
_SUBJECT = Slot("subject", Context.HEADER)
_IDS = Slot("ids", Context.HEADER)


class LeftoverError(NewsletterError):
    """A placeholder that nothing fills: such a mail is never sent."""


@dataclass(frozen=True, slots=True)
class PreparedMail:
    """One wire form of one broadcast, all but the recipient.

    Attributes:
        envelope_sender: MAIL FROM; the sender's address as long as no bounce mailbox is kept.
    """

    message: PreparedMessage
    envelope_sender: str
    frozen: Frozen
    form: WireForm


def prepare(frozen: Frozen, form: WireForm) -> PreparedMail:
    """Everything that is the same for all recipients of this wire form, as bytes.

    Raises:
        LeftoverError: the compiled mail has a placeholder that nobody knows.
    """
    email, identity = frozen.email, frozen.identity
    sender = Address.parse(identity.sender_address, place="sender.address")
    fill = _Fill(frozen, form)
    message = alternative(
        [*_fixed_headers(frozen, sender), _SUBJECT, _TO, _IDS],
        [
            Part("plain", _cut(email, email.text, fill, Context.TEXT)),
            Part("html", _cut(email, email.html, fill, Context.HTML)),
        ],
    )
    return PreparedMail(message, sender.envelope, frozen, form)


def personalise(
    mail: PreparedMail, recipient: Recipient, delivery_id: int, keys: TokenKeys
) -> bytes:
    """One recipient's message: CRLF only, nothing to dot-stuff, ends with CRLF.

    Raises:
        AddressError, HeaderError: the recipient's address or name cannot stand in a header.
    """
    identity = mail.frozen.identity
    broadcast_id = mail.frozen.broadcast_id
    address = Address.stored(recipient.address, recipient.address_key)

    def leave(door: Door) -> str:
        return LeaveToken(
            door, identity.newsletter_id, recipient.subscriber_id, broadcast_id, delivery_id
        ).mint(keys)

    makers: dict[str, Callable[[], str]] = {
        "tracking": lambda: TrackingToken(broadcast_id, _named(mail.form, delivery_id)).mint(keys),
        "unsubscribe": lambda: leave(Door.BODY),
        "email": lambda: address.typed,
    }
    values = {
        _TO: headers.mailbox("To", address, _one_line(recipient.name)),
        _SUBJECT: headers.unstructured("Subject", _subject(mail.frozen.email, recipient)),
        _IDS: _id_headers(mail, recipient, delivery_id, leave(Door.HEADER)),
    }
    made: dict[str, str] = {}
    for slot in mail.message.slots:
        if slot.context is Context.HEADER:
            continue
        if slot.name not in made:
            maker = makers.get(slot.name)
            made[slot.name] = (
                maker() if maker else merge.value(_field(mail.frozen.email, slot.name), recipient)
            )
        values[slot] = encoded(made[slot.name], slot.context)
    return mail.message.splice(values)


def system_message(
    identity: SenderIdentity, to: Address, subject: str, bodies: tuple[str, str], *, date: datetime
) -> bytes:
    """A mail caused by one person's act, such as a confirmation; `bodies` are text and HTML."""
    sender = Address.parse(identity.sender_address, place="sender.address")
    text, page = bodies
    unique = f"{to.key} {date.isoformat()} {subject}"
    return alternative(
        [
            headers.mailbox("From", sender, identity.sender_name),
            headers.mailbox("To", to),
            headers.unstructured("Subject", subject),
            headers.date("Date", date),
            headers.structured("Message-ID", f"<s{_short_hash(unique)}@{sender.domain}>"),
            headers.structured("Auto-Submitted", "auto-generated"),
        ],
        [Part("plain", [text]), Part("html", [page])],
    ).splice({})


def _fixed_headers(frozen: Frozen, sender: Address) -> Iterator[bytes]:
    identity = frozen.identity
    archive = f"{identity.base_url}/archive/{identity.newsletter_slug}"
    yield headers.mailbox("From", sender, identity.sender_name)
    if identity.reply_to:
        yield headers.mailbox("Reply-To", Address.parse(identity.reply_to, place="reply-to"))
    yield headers.date("Date", frozen.date)
    yield headers.structured("List-Id", f"<{identity.list_id}>")
    yield headers.structured("List-Archive", f"<{archive}>")
    yield headers.structured("List-Unsubscribe-Post", "List-Unsubscribe=One-Click")
    yield headers.structured("Precedence", "bulk")
    feedback = f"{frozen.broadcast_id}:{identity.newsletter_slug}:issue:{sender.domain}"
    yield headers.structured("Feedback-ID", feedback)


def _id_headers(
    mail: PreparedMail, recipient: Recipient, delivery_id: int, leave_token: str
) -> bytes:
    """What names this one message: the same on every attempt."""
    base_url = mail.frozen.identity.base_url
    domain = mail.envelope_sender.rpartition("@")[2]
    unique = _short_hash(f"{mail.frozen.broadcast_id} {recipient.address_key}")
    return (
        f"Message-ID: <b{mail.frozen.broadcast_id}.{unique}@{domain}>\r\n"
        f"List-Unsubscribe: <{base_url}/u/{leave_token}>\r\n"
        f"X-Delivery-Id: {delivery_id}\r\n"
    ).encode()


class _Fill:
    """What each placeholder becomes in one wire form: fixed text and slots."""

    def __init__(self, frozen: Frozen, form: WireForm) -> None:
        self._base_url = frozen.identity.base_url
        self._form = form
        self._links = {f"link{link.number}": link for link in frozen.email.links}
        self._fields = {f"field{number + 1}" for number in range(len(frozen.email.fields))}

    def __call__(self, name: str, context: Context) -> Sequence[str | Slot]:
        if name in self._links:
            return self._link(name, context)
        if name == "pixel":
            return self._pixel(context)
        if name == "unsubscribe":
            return [f"{self._base_url}/u/", Slot("unsubscribe", context)]
        if name == "email" or name in self._fields:
            return [Slot(name, context)]
        raise LeftoverError(f"nothing fills the placeholder {name!r}")

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
    if any(email.nonce in piece for piece in pieces if isinstance(piece, str)):
        raise LeftoverError("a placeholder is damaged: the mail would show it")
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


def _subject(email: CompiledEmail, recipient: Recipient) -> str:
    """The subject with this recipient's values; line breaks in values become spaces."""
    if email.nonce not in email.subject:
        return email.subject
    return placeholder_pattern(email.nonce).sub(
        lambda found: _one_line(merge.value(_field(email, found[1]), recipient)), email.subject
    )


def _field(email: CompiledEmail, name: str) -> MergeField:
    return email.fields[int(name.removeprefix("field")) - 1]


def _named(form: WireForm, delivery_id: int) -> int | None:
    return delivery_id if form is WireForm.INDIVIDUAL else None


def _one_line(text: str) -> str:
    return _CONTROL.sub(" ", text).strip()


def _short_hash(text: str) -> str:
    """80 bits in lower-case base32: enough to be unique within a broadcast."""
    return b32encode(sha256(text.encode()).digest()[:10]).decode().lower()
