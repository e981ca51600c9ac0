"""Parts of addresses as people write them: a domain of another alphabet is kept as its A-label."""

import unicodedata
from typing import Any

from sqlalchemy import func

from newsletter.core.tables import position
from subscribers.filters.folding import folded
from subscribers.models import Subscriber


def is_kept_otherwise(part: str) -> bool:
    """A part with such letters may be of a domain; then it is found in the address as typed."""
    return not part.isascii()


def as_typed(part: str) -> str:
    """The part as it stands in `typed_address`: domains are kept composed, in small letters."""
    return unicodedata.normalize("NFC", part).lower()


def typed_address() -> Any:
    return folded(Subscriber.email)


def typed_domain() -> Any:
    """The part behind the `@`, of which an address has one."""
    return func.substr(typed_address(), position(Subscriber.email, "@") + 1)
