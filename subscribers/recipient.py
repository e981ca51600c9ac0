"""The frozen value handed to rendering and sending."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Recipient:
    """One person as one message sees them.

    Attributes:
        address: the mailbox as typed; the mail goes there.
        address_key: the spelling-independent key of the address.
        attributes: what `{{ subscriber.attributes.… }}` may show.
    """

    subscriber_id: int
    address: str
    address_key: str
    name: str = ""
    locale: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)
