"""The header fields that name one message: the same on every attempt."""

from hashlib import sha256

from newsletter.core.tokens import TokenKeys
from newsletter.rendering.compiled import Frozen
from newsletter.rendering.mail_tokens import Door, mint_by_mail, mint_leave
from subscribers.recipient import Recipient


def id_headers(
    frozen: Frozen, sender: str, recipient: Recipient, delivery_id: int, keys: TokenKeys
) -> bytes:
    """Message-ID, List-Unsubscribe and the delivery; `sender` is whose domain the id is of."""
    domain = sender.rpartition("@")[2]
    unique = short_hash(f"{frozen.broadcast_id} {recipient.address_key}")
    leave = _ways_to_leave(frozen, recipient.subscriber_id, delivery_id, keys)
    return (
        f"Message-ID: <b{frozen.broadcast_id}.{unique}@{domain}>\r\n"
        f"List-Unsubscribe: {leave}\r\n"
        f"X-Delivery-Id: {delivery_id}\r\n"
    ).encode()


def short_hash(text: str) -> str:
    """80 bits in hex: enough to be unique within a broadcast."""
    return sha256(text.encode()).hexdigest()[:20]


def _ways_to_leave(frozen: Frozen, subscriber_id: int, delivery_id: int, keys: TokenKeys) -> str:
    """The page for one click (RFC 8058), then the address, for programs that can only write."""
    identity = frozen.identity
    ids = (identity.newsletter_id, subscriber_id, frozen.broadcast_id, delivery_id)
    page = f"<{identity.base_url}/u/{mint_leave(keys, Door.HEADER, *ids)}>"
    if identity.leave_mailbox is None:
        return page
    before, behind = identity.leave_mailbox
    token = mint_by_mail(keys, identity.newsletter_id, subscriber_id, delivery_id)
    return f"{page},\r\n <mailto:{before}{token}{behind}?subject=unsubscribe>"
