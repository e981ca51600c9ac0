"""Buttondown: the type of a subscriber says what they may be sent."""

from subscribers.imports.imported import Cells, ImportedSubscriber, ImportedSubscription, Preset
from subscribers.imports.presets import cells as of

_TYPE = {
    **dict.fromkeys(("regular", "premium", "gifted", "trialed", "churning", "past_due"), of.ACTIVE),
    **dict.fromkeys(("churned", "unpaid", "paused"), of.ACTIVE),
    "unactivated": of.PENDING,
    "blocked": of.BLOCKED,
    **dict.fromkeys(("unsubscribed", "removed", "spammy"), of.UNSUBSCRIBED),
    "undeliverable": of.GONE,
    "complained": of.COMPLAINED,
}
_USED = frozenset(
    (
        *("id", "email_address", "type", "tags", "metadata", "creation_date", "last_open_date"),
        *("last_click_date", "unsubscription_date", "ip_address", "secondary_id"),
    )
)


def _read(row: Cells) -> ImportedSubscriber:
    shown_name, address = of.mailbox(row, "email_address")
    status, suppressions = of.standing(row, "type", _TYPE)
    created_at = of.time(row, "creation_date")
    metadata = of.json_object("metadata", row.get("metadata", ""))
    name = metadata.get("name")
    return ImportedSubscriber(
        address=address,
        subscription=ImportedSubscription(
            status=status,
            subscribed_at=created_at,
            unsubscribed_at=of.time(row, "unsubscription_date"),
            opt_in_at=created_at,
            opt_in_ip=row.get("ip_address", ""),
        ),
        name=of.shortened(name if isinstance(name, str) else shown_name),
        attributes=of.attributes(row, _USED, "tags") | metadata,
        suppressions=suppressions,
    )


BUTTONDOWN = Preset(
    "buttondown",
    (frozenset(("email_address", "type", "creation_date")),),
    ("email_address",),
    _read,
    _USED | {"unsubscription_reason"},
)
