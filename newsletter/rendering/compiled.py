"""What compiling an issue yields: values that are frozen with a broadcast."""

import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import IntEnum
from hashlib import sha256
from typing import Any

from newsletter.core.sections import TrackingMode
from newsletter.rendering.palette import DEFAULT_LOOK, Look


class WireForm(IntEnum):
    """How much a recipient's copy may tell: decided at freezing from consent and mode.

    Who refuses later, before theirs is on its way, gets NONE.
    """

    NONE = 0
    """No pixel, links lead straight to their destinations."""
    AGGREGATE = 1
    """Pixel and links name the broadcast, not the recipient."""
    INDIVIDUAL = 2
    """Pixel and links name the delivery."""


@dataclass(frozen=True, slots=True)
class SenderIdentity:
    """Who a mail says it comes from, and where its links lead.

    Attributes:
        list_id: RFC 2919, without brackets, such as `engineering-reads.example.org`.
        base_url: where this installation is reached, without a trailing slash.
        archive_url: the web version of the issue.
        leave_mailbox: what stands before and behind a token in the address to leave by, such as
            `news+` and `@example.org`; None where no mailbox is kept.
        look: what compiling goes by; it is frozen in the compiled mail, not here.
    """

    newsletter_id: int
    newsletter_slug: str
    newsletter_name: str
    sender_name: str
    sender_address: str
    postal_address: str
    list_id: str
    base_url: str
    archive_url: str
    reply_to: str = ""
    tracking_mode: TrackingMode = TrackingMode.INDIVIDUAL
    leave_mailbox: tuple[str, str] | None = None
    look: Look = DEFAULT_LOOK

    def to_json(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if name != "look"}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "SenderIdentity":
        mailbox = data.get("leave_mailbox")
        typed = {
            "tracking_mode": TrackingMode(data["tracking_mode"]),
            "leave_mailbox": tuple(mailbox) if mailbox else None,
        }
        return cls(**{**data, **typed})


@dataclass(frozen=True, slots=True)
class Link:
    """The n-th frozen link of a mail, counted from 1; the destination is never in a click's URL."""

    number: int
    url: str
    title: str


@dataclass(frozen=True, slots=True)
class MergeField:
    """One use of `{{ subscriber.… }}`: which value, and what stands there when it is empty."""

    path: str
    default: str


@dataclass(frozen=True, slots=True)
class CompiledEmail:
    """An issue compiled once; no recipient data, only placeholders.

    A placeholder is `{nonce}-{name}-`, where name is one of

    - `link7`: the destination of link 7, in an href or in the text part
    - `field2`: merge field 2 (subject, HTML and text)
    - `email`: the recipient's address
    - `unsubscribe`: the URL of the recipient's unsubscribe page
    - `preferences`: the URL of the recipient's preferences page
    - `pixel`: in the HTML only, on its own before `</body>`: becomes an `<img>` or nothing

    The web page has no placeholder: fields show their defaults, links their destinations.
    """

    subject: str
    preheader: str
    lang: str
    html: str
    text: str
    webpage: str
    nonce: str
    links: tuple[Link, ...] = ()
    fields: tuple[MergeField, ...] = field(default=())
    """`field2` is `fields[1]`."""

    def public_subject(self) -> str:
        """The subject as anybody may read it: fields show their defaults."""
        defaults = {f"field{number}": merge.default for number, merge in enumerate(self.fields, 1)}
        pattern = placeholder_pattern(self.nonce)
        return pattern.sub(lambda found: defaults.get(found[1], ""), self.subject)

    def content_hash(self) -> str:
        """SHA-256 in hex, equal for equal content: the random nonce does not count."""
        data = json.dumps(self.to_json(), ensure_ascii=False, sort_keys=True)
        return sha256(data.replace(self.nonce, "").encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "CompiledEmail":
        links = tuple(Link(**link) for link in data["links"])
        fields = tuple(MergeField(**merge) for merge in data["fields"])
        return cls(**{**data, "links": links, "fields": fields})


@dataclass(frozen=True, slots=True)
class Frozen:
    """All that one broadcast sends, the recipient apart."""

    broadcast_id: int
    date: datetime
    email: CompiledEmail
    identity: SenderIdentity


NONCE_BYTES = 10
ANY_PLACEHOLDER = re.compile(rf"(n[0-9a-f]{{{2 * NONCE_BYTES}}}-[a-z]+[0-9]*-)")
"""A placeholder of whatever compilation, for those who do not know its nonce."""


def new_nonce() -> str:
    """What no text holds by chance."""
    return "n" + secrets.token_hex(NONCE_BYTES)


def is_damaged(nonce: str, text: str) -> bool:
    """Whether text without whole placeholders has a trace of one, however it is spelt."""
    return nonce.casefold() in text.casefold()


def placeholder(nonce: str, name: str) -> str:
    """The text that stands for `name` until a message is made."""
    return f"{nonce}-{name}-"


def placeholder_pattern(nonce: str) -> re.Pattern[str]:
    """Finds every placeholder; group 1 is its name."""
    return re.compile(re.escape(nonce) + r"-([a-z]+[0-9]*)-")
