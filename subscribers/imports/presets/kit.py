"""Kit, once ConvertKit: two headers are about."""

from subscribers.imports.imported import Cells, ImportedSubscriber, ImportedSubscription, Preset
from subscribers.imports.presets import cells as of

_STATUS = {
    "active": of.ACTIVE,
    "confirmed": of.ACTIVE,
    "inactive": of.PENDING,
    "unconfirmed": of.PENDING,
    "cancelled": of.UNSUBSCRIBED,
    "unsubscribed": of.UNSUBSCRIBED,
    "bounced": of.GONE,
    "complained": of.COMPLAINED,
}
_USED = frozenset(
    ("id", "first_name", "last_name", "email", "email_address", "status", "state", "created_at")
) | {"tags"}


_OWN_FIELD = {"status": _USED - {"state"}, "state": _USED - {"status"}}
"""By the column that says it: the other one is a field of the operator's, such as Texas."""


def _read(row: Cells) -> ImportedSubscriber:
    shown_name, address = of.mailbox(row, "email" if "email" in row else "email_address")
    said_by = "status" if {"email", "status"} <= row.keys() else "state"
    status, suppressions = of.standing(row, said_by, _STATUS)
    return ImportedSubscriber(
        address=address,
        subscription=ImportedSubscription(status=status, subscribed_at=of.time(row, "created_at")),
        name=of.full_name(row, "first_name", "last_name") or of.shortened(shown_name),
        attributes=of.attributes(row, _OWN_FIELD[said_by], "tags"),
        suppressions=suppressions,
    )


KIT = Preset(
    "kit",
    (
        frozenset(("first_name", "email", "created_at", "status")),
        frozenset(("first_name", "email_address", "created_at", "state")),
    ),
    ("email", "email_address"),
    _read,
    _USED,
)
