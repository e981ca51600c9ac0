"""Mailchimp: three files in a ZIP; which of them a row stands in is its status."""

from subscribers.imports.imported import Cells, ImportedSubscriber, ImportedSubscription, Preset
from subscribers.imports.presets import cells as of
from subscribers.imports.presets.file_names import status_in

_STATUS = {
    "subscribed": of.ACTIVE,
    "unsubscribed": of.UNSUBSCRIBED,
    "cleaned": of.GONE,
    "nonsubscribed": of.UNSUBSCRIBED,
}
_BOOKKEEPING = (
    *("member_rating", "latitude", "longitude", "gmtoff", "dstoff", "cc", "region"),
    *("last_changed", "leid", "euid", "clean_time", "clean_campaign_title", "clean_campaign_id"),
    *("unsub_campaign_title", "unsub_campaign_id"),
)
_USED = frozenset(
    (
        *_BOOKKEEPING,
        *("email_address", "first_name", "last_name", "status", "tags", "timezone"),
        *("optin_time", "optin_ip", "confirm_time", "confirm_ip", "unsub_time"),
    )
)


def _read(row: Cells) -> ImportedSubscriber:
    shown_name, address = of.mailbox(row, "email_address")
    status, suppressions = of.standing(row, "status", _STATUS)
    opt_in_at, confirmed_at = of.time(row, "optin_time"), of.time(row, "confirm_time")
    return ImportedSubscriber(
        address=address,
        subscription=ImportedSubscription(
            status=status,
            subscribed_at=opt_in_at or confirmed_at,
            confirmed_at=confirmed_at,
            unsubscribed_at=of.time(row, "unsub_time"),
            opt_in_at=opt_in_at,
            opt_in_ip=row.get("optin_ip", ""),
            confirm_ip=row.get("confirm_ip", ""),
        ),
        name=of.full_name(row, "first_name", "last_name") or of.shortened(shown_name),
        time_zone=of.ZONES.get(row.get("timezone", "").lower(), ""),
        attributes=of.attributes(row, _USED, "tags"),
        suppressions=suppressions,
    )


def _status_in(file_name: str) -> Cells:
    status = status_in(file_name)
    return {"status": status} if status else {}


MAILCHIMP = Preset(
    "mailchimp",
    (frozenset(("email_address", "optin_time", "confirm_time")),),
    ("email_address",),
    _read,
    _USED | {"unsub_reason", "unsub_reason_other"},
    needs=frozenset({"status"}),
    from_name=_status_in,
)
