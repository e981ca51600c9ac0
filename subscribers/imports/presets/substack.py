"""Substack: the list of a publication; paying and being subscribed are two things."""

from subscribers.imports.imported import Cells, ImportedSubscriber, ImportedSubscription, Preset
from subscribers.imports.presets import cells as of
from subscribers.models import SubscriptionStatus

_USED = frozenset(
    ("email", "name", "active_subscription", "expiry", "email_disabled", "created_at", "plan")
) | {"first_payment_at"}


def _read(row: Cells) -> ImportedSubscriber:
    shown_name, address = of.mailbox(row, "email")
    gone = of.yes_or_no(row, "email_disabled")
    paid = {"paid": True} if of.yes_or_no(row, "active_subscription") else {}
    plan = {"plan": row["plan"]} if row.get("plan") else {}
    return ImportedSubscriber(
        address=address,
        subscription=ImportedSubscription(
            status=SubscriptionStatus.UNSUBSCRIBED if gone else SubscriptionStatus.ACTIVE,
            subscribed_at=of.time(row, "created_at"),
        ),
        name=of.shortened(row.get("name") or shown_name),
        attributes=of.attributes(row, _USED) | paid | plan,
    )


SUBSTACK = Preset(
    "substack",
    (frozenset(("email", "active_subscription")),),
    ("email",),
    _read,
    _USED,
    needs=frozenset({"email_disabled"}),
)
