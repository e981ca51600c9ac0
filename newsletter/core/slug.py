"""Short names for URLs and the command line."""

import re
import unicodedata

from newsletter.core.errors import InputError
from newsletter.core.sentences import say

MAX_CHARACTERS = 80


def slugify(name: str, *, place: str = "name") -> str:
    """The name as lower-case ASCII words joined by hyphens.

    Raises:
        InputError: nothing is left of it.
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    slug = re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")[:MAX_CHARACTERS].strip("-")
    if not slug:
        raise InputError(
            place, say("%(name)r has no letter or digit to make a short name of", name=name)
        )
    return slug
