"""Keila: a project's contacts, the custom data as JSON."""

from subscribers.imports.imported import Cells, ImportedSubscriber, ImportedSubscription, Preset
from subscribers.imports.presets import cells as of

_STATUS = {"active": of.ACTIVE, "unsubscribed": of.UNSUBSCRIBED, "unreachable": of.GONE}
_USED = frozenset(("email", "first_name", "last_name", "data", "status"))


def _read(row: Cells) -> ImportedSubscriber:
    shown_name, address = of.mailbox(row, "email")
    status, suppressions = of.standing(row, "status", _STATUS)
    return ImportedSubscriber(
        address=address,
        subscription=ImportedSubscription(status=status),
        name=of.full_name(row, "first_name", "last_name") or of.shortened(shown_name),
        attributes=of.attributes(row, _USED) | of.json_object("data", row.get("data", "")),
        suppressions=suppressions,
    )


KEILA = Preset(
    "keila",
    (frozenset(("email", "first_name", "last_name", "data", "status")),),
    ("email",),
    _read,
    _USED,
)
