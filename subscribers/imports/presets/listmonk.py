"""listmonk: a list's export of subscribers, attributes as JSON."""

from subscribers.imports.imported import Cells, ImportedSubscriber, ImportedSubscription, Preset
from subscribers.imports.presets import cells as of

_STATUS = {"enabled": of.ACTIVE, "disabled": of.UNSUBSCRIBED, "blocklisted": of.BLOCKED}
_USED = frozenset(("uuid", "email", "name", "attributes", "status", "created_at", "updated_at"))


def _read(row: Cells) -> ImportedSubscriber:
    shown_name, address = of.mailbox(row, "email")
    status, suppressions = of.standing(row, "status", _STATUS)
    named = of.json_object("attributes", row.get("attributes", ""))
    return ImportedSubscriber(
        address=address,
        subscription=ImportedSubscription(status=status, subscribed_at=of.time(row, "created_at")),
        name=of.shortened(row.get("name") or shown_name),
        attributes=of.attributes(row, _USED) | named,
        suppressions=suppressions,
    )


LISTMONK = Preset(
    "listmonk", (frozenset(("uuid", "email", "attributes", "status")),), ("email",), _read, _USED
)
