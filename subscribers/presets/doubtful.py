"""Columns that may say who left, in words that nobody knows here."""

DOUBTFUL = frozenset(
    (
        *("subscribed", "unsubscribed", "subscription_status", "email_status", "state"),
        *("opt_in", "optin", "opt_out", "optout", "opted_in", "opted_out", "email_disabled"),
        *("bounced", "complained", "blocked", "blocklisted", "blacklisted"),
    )
)

STATUSES = "of pending, active and unsubscribed"


def in_doubt(column: str) -> str:
    """Why such a column is refused: as an attribute nobody would read it, and mail would go out."""
    return (
        f"column `{column}` may say who left: make it a column `status` {STATUSES}, "
        f"or leave it out by --map '{column}=-'"
    )
