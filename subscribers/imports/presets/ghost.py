"""Ghost: the members of a site; who takes no mail stays without it."""

from newsletter.core.errors import InputError
from newsletter.core.sentences import say
from subscribers.imports.imported import Cells, ImportedSubscriber, ImportedSubscription, Preset
from subscribers.imports.presets import cells as of
from subscribers.models import SubscriptionStatus

_BOOKKEEPING = ("id", "stripe_customer_id", "complimentary_plan")
_USED = frozenset(
    (*_BOOKKEEPING, "email", "name", "subscribed_to_emails", "created_at", "deleted_at", "labels")
)


def _read(row: Cells) -> ImportedSubscriber:
    shown_name, address = of.mailbox(row, "email")
    wants_mail = of.yes_or_no(row, "subscribed_to_emails")
    if row.get("deleted_at"):
        raise InputError(
            "deleted_at", say("expected a member who is still there; leave this row out")
        )
    return ImportedSubscriber(
        address=address,
        subscription=ImportedSubscription(
            status=SubscriptionStatus.ACTIVE if wants_mail else SubscriptionStatus.UNSUBSCRIBED,
            subscribed_at=of.time(row, "created_at"),
        ),
        name=of.shortened(row.get("name") or shown_name),
        attributes=of.attributes(row, _USED, "labels"),
    )


GHOST = Preset("ghost", (frozenset(("email", "subscribed_to_emails")),), ("email",), _read, _USED)
