"""A compiled mail as one reader would get it, with links that lead nowhere: for looking at."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from email import message_from_bytes, policy

from newsletter.core.tokens import TokenKeys
from newsletter.rendering.compiled import CompiledEmail, Frozen, SenderIdentity, WireForm
from newsletter.rendering.message import personalise, prepare
from subscribers.recipient import Recipient

SAMPLES: Mapping[str, Recipient] = {
    "named": Recipient(0, "ada@example.org", "ada@example.org", name="Ada Reader", locale="en"),
    "nameless": Recipient(0, "reader@example.org", "reader@example.org"),
    "long": Recipient(
        0,
        "wolfeschlegelsteinhausenbergerdorff.the.elder@department-of-long-names.example.org",
        "wolfeschlegelsteinhausenbergerdorff.the.elder@department-of-long-names.example.org",
        name="Hubert Blaine Wolfeschlegelsteinhausenbergerdorff the Elder",
        locale="de",
    ),
}
"""Readers that nobody is."""


@dataclass(frozen=True, slots=True)
class SampleMail:
    """What a mail program shows of it."""

    subject: str
    html: str
    text: str


def sample_message(
    email: CompiledEmail, identity: SenderIdentity, recipient: Recipient, at: datetime
) -> bytes:
    """The message, signed for by a key that opens nothing, for a person with no number.

    So its links to unsubscribe are refused, whoever the recipient is, and it tells no open and no
    click.
    """
    mail = prepare(Frozen(0, at, email, identity), WireForm.NONE)
    nobody = replace(recipient, subscriber_id=0)
    return personalise(mail, nobody, 0, TokenKeys.from_secrets("sample"))


def as_shown(message: bytes) -> SampleMail:
    """Subject and bodies as the recipient's mail program decodes them."""
    parsed = message_from_bytes(message, policy=policy.default)
    bodies = {part.get_content_subtype(): part.get_content() for part in parsed.iter_parts()}
    return SampleMail(str(parsed["Subject"]), bodies["html"], bodies["plain"])
