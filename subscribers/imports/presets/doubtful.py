"""Columns that may say who left, in words that nobody knows here."""

import re
from collections.abc import Iterable
from functools import lru_cache

from newsletter.core.sentences import Sentence, say

_WHOLE = frozenset(
    (
        *("state", "blocked", "is_active", "active_subscription", "email_disabled", "deleted_at"),
        *("subscribed_to_emails", "email_marketing", "clean_time"),
        *("active", "inactive", "is_inactive", "enabled", "disabled", "cancelled", "canceled"),
        *("deleted", "is_deleted", "removed", "is_removed", "removed_at"),
        *("newsletter", "newsletters", "newsletter_subscription", "newsletter_subscriber"),
        *("subscriber", "is_subscriber", "mailing", "mailings", "marketing", "marketing_emails"),
        *("permission", "email_permission", "email_enabled", "emails_enabled"),
        *("gesperrt", "dado_de_baja", "fecha_de_baja", "abonniert", "abonné", "inscrit"),
    )
)
"""Names that are common as parts of harmless ones; shops export `newsletter` as 0 and 1."""

_PART = re.compile(
    r"unsub|subscribed$|(?:subscri\w*|mail)_?(?:status|state)"
    r"|(?:contact|list|opt|permission)_?status|(?<![a-z])no_?e?_?mail|(?<![a-z])dn[cm](?![a-z])"
    r"|(?<![a-z])(?:allow(?:s|ed)?|can|may|receives?|wants?)_?e?_?mail|mailable"
    r"|opt_?(?:ed_?)?(?:in|out)(?!g)|consent|accepts?_?\w*marketing"
    r"|bounce|complain|spam|suppress|b(?:lack|lock)_?list|blocked|do_?not|^stop(?:_|$)"
    r"|abmeld|abgemeld|abbestell|widerruf|einwillig|d[ée]sabonn|d[ée]sinscri|disiscri"
)
"""Whatever stands around it: `HasOptedOutOfEmail`, `Unsubscribed from all email`, `Opt-in?`."""

STATUSES = say("of pending, active and unsubscribed")


@lru_cache(1_000)
def is_doubtful(column: str) -> bool:
    """Of a normalised column: it may say who left."""
    return column in _WHOLE or _PART.search(column) is not None


def in_doubt(column: str, understood: Iterable[str]) -> Sentence:
    """Why such a column is refused: as an attribute nobody would read it, and mail would go out."""
    page = say(
        "column `%(column)s` may say who left: make it a column `status` %(statuses)s, "
        "or leave it out",
        column=column,
        statuses=STATUSES,
    )
    refused = say("%(page)s by --map '%(column)s=-'", page=page, column=column)
    return with_known(refused, column, understood)


def with_known(refused: Sentence, column: str, understood: Iterable[str]) -> Sentence:
    """The sentence, and the columns that may have been meant: they begin with the same word.

    None that is only alike: `opt_out_at` is not to become `opt_in_at`.
    """
    word = _PART.search(column)
    near = [known for known in understood if word and known.startswith(column[: word.end()])]
    if not near:
        return refused
    return say(
        "%(refused)s; known columns that begin so: %(known)s",
        refused=refused,
        known=", ".join(sorted(near)),
    )
