"""What the name of a file says of those in it, as Mailchimp calls its files."""

import re
from pathlib import PurePath

from newsletter.core.errors import InputError
from newsletter.core.sentences import say

STATUSES = ("subscribed", "unsubscribed", "cleaned", "nonsubscribed")
THEY_LEFT = frozenset(STATUSES) - {"subscribed"}
_TURNED_ROUND = frozenset(("un", "non", "not", "no", "never", "ex", "former", "formerly"))
_WORD = re.compile(r"[a-z]+")


def status_in(file_name: str) -> str:
    """One of STATUSES; empty when the name has none of these words.

    Raises:
        InputError: the name has two of them, or a `non` beside one.
    """
    words = set(_WORD.findall(PurePath(file_name).name.lower()))
    found = words.intersection(STATUSES)
    if len(found) > 1 or (found and words & _TURNED_ROUND):
        raise InputError(
            file_name,
            say(
                "expected a file name with one of %(statuses)s, and no `non`",
                statuses=", ".join(STATUSES),
            ),
        )
    return found.pop() if found else ""
