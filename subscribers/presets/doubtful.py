"""Columns that may say who left, in words that nobody knows here."""

from newsletter.core.sentences import Sentence, say

DOUBTFUL = frozenset(
    (
        *("subscribed", "unsubscribed", "subscription_status", "email_status", "state"),
        *("opt_in", "optin", "opt_out", "optout", "opted_in", "opted_out", "email_disabled"),
        *("bounced", "complained", "blocked", "blocklist", "blocklisted", "blacklisted"),
        *("subscribed_to_emails", "is_subscribed", "is_active", "active_subscription"),
        *("email_marketing", "accepts_marketing", "unsub_time", "unsub_reason", "clean_time"),
        *("abgemeldet", "abgemeldet_am", "abmeldedatum", "gesperrt", "désabonné", "desabonne"),
        *("désinscrit", "desinscrit", "dado_de_baja", "fecha_de_baja", "disiscritto"),
        *("unsubscription_date", "unsubscribe_date", "unsubscribed_on", "deleted_at"),
    )
)

STATUSES = say("of pending, active and unsubscribed")


def in_doubt(column: str) -> Sentence:
    """Why such a column is refused: as an attribute nobody would read it, and mail would go out."""
    page = say(
        "column `%(column)s` may say who left: make it a column `status` %(statuses)s, "
        "or leave it out",
        column=column,
        statuses=STATUSES,
    )
    return say("%(page)s by --map '%(column)s=-'", page=page, column=column)
