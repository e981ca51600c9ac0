"""What the pages about people call what the database has one word for."""

from collections.abc import Mapping

from newsletter.broadcasts.models import DeliveryState
from newsletter.tracking.classification import Reader
from newsletter.tracking.models import EventKind
from newsletter.web.desk.text import _
from subscribers.models import ConsentChange, ConsentMethod, SubscriptionStatus, TrackingConsent

TONES = {
    SubscriptionStatus.ACTIVE: "good",
    SubscriptionStatus.PENDING: "busy",
    SubscriptionStatus.UNSUBSCRIBED: "quiet",
}
"""Of a state's label, see `parts.state`."""

DELIVERY_TONES = {
    DeliveryState.ACCEPTED: "good",
    DeliveryState.FAILED: "wrong",
    DeliveryState.IN_DOUBT: "busy",
}


def statuses() -> dict[SubscriptionStatus, str]:
    """Where a subscription stands, in the order people ask for it."""
    return {
        SubscriptionStatus.ACTIVE: _("Active"),
        SubscriptionStatus.PENDING: _("Unconfirmed"),
        SubscriptionStatus.UNSUBSCRIBED: _("Left"),
    }


def consents() -> dict[TrackingConsent, str]:
    """What a person said about being tracked."""
    return {
        TrackingConsent.GRANTED: _("agreed"),
        TrackingConsent.DENIED: _("refused"),
        TrackingConsent.UNKNOWN: _("not asked"),
    }


def changes() -> dict[ConsentChange, str]:
    """Lines of the consent history."""
    return {
        ConsentChange.REQUESTED: _("Asked to confirm"),
        ConsentChange.SUBSCRIBED: _("Subscribed"),
        ConsentChange.CONFIRMED: _("Confirmed"),
        ConsentChange.UNSUBSCRIBED: _("Left"),
        ConsentChange.LEFT_AGAIN: _("Left once more"),
        ConsentChange.RESUMED: _("Leaving taken back"),
        ConsentChange.PAUSED: _("Paused"),
        ConsentChange.UNPAUSED: _("Pause ended"),
        ConsentChange.TRACKING_GRANTED: _("Agreed to be tracked"),
        ConsentChange.TRACKING_DENIED: _("Refused to be tracked"),
    }


def methods() -> Mapping[str, str]:
    """How a change came about; any other is shown as it is."""
    return {
        ConsentMethod.IMPORT: _("by an import"),
        ConsentMethod.COMMAND: _("by a command"),
        ConsentMethod.DESK: _("at the desk"),
        ConsentMethod.FORM: _("by the sign-up form"),
        ConsentMethod.CONFIRMATION: _("by the link in the confirmation mail"),
        ConsentMethod.ONE_CLICK: _("by the mail program's unsubscribe button"),
        ConsentMethod.PAGE: _("on the page behind a mail's link"),
        ConsentMethod.MAIL: _("by a mail to the unsubscribe address"),
        ConsentMethod.RETENTION: _("by itself, after a time"),
    }


def delivery_states() -> dict[DeliveryState, str]:
    """Where one person's mail stands; nobody can know more than that a relay took it."""
    return {
        DeliveryState.PENDING: _("waiting"),
        DeliveryState.CLAIMED: _("on its way"),
        DeliveryState.SENDING: _("on its way"),
        DeliveryState.ACCEPTED: _("accepted"),
        DeliveryState.FAILED: _("failed"),
        DeliveryState.SKIPPED: _("skipped"),
        DeliveryState.IN_DOUBT: _("in doubt"),
    }


def events() -> dict[EventKind, str]:
    """What happened to a mail."""
    return {
        EventKind.OPEN: _("Opened"),
        EventKind.CLICK: _("Clicked"),
        EventKind.UNSUBSCRIBE: _("Left"),
        EventKind.RESUBSCRIBE: _("Leaving taken back"),
    }


def readers() -> dict[Reader, str]:
    """Who was behind an open or a click, as far as can be told."""
    return {
        Reader.HUMAN: _("a person"),
        Reader.MACHINE: _("a machine"),
        Reader.UNKNOWN: _("unknown who"),
    }
