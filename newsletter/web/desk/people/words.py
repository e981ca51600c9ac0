"""What the pages about people call what the database has one word for."""

import re
from collections.abc import Mapping

from newsletter.tracking.classification import Reader
from newsletter.tracking.leaving import WayBack, WayOut
from newsletter.tracking.models import EventKind
from newsletter.web.desk.text import _
from newsletter.web.public.sign_up_form import Door
from newsletter.web.public.visitors import Link
from subscribers.models import (
    ConsentChange,
    ConsentMethod,
    SubscriptionStatus,
    SuppressionReason,
    TrackingConsent,
)

TONES = {
    SubscriptionStatus.ACTIVE: "good",
    SubscriptionStatus.PENDING: "busy",
    SubscriptionStatus.UNSUBSCRIBED: "quiet",
}
"""Of a state's label, see `parts.state`."""

_FORM = re.compile(rf"(?P<list>.+): (?P<door>{'|'.join(Door)})")
_DELIVERY = re.compile(r"delivery ([0-9]+)")
_IMPORT = re.compile(r"import (.+)", re.DOTALL)


def statuses() -> dict[SubscriptionStatus, str]:
    """Where a subscription stands, in the order people ask for it."""
    return {
        SubscriptionStatus.ACTIVE: _("Active"),
        SubscriptionStatus.PENDING: _("Unconfirmed"),
        SubscriptionStatus.UNSUBSCRIBED: _("Unsubscribed"),
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
        ConsentChange.UNSUBSCRIBED: _("Unsubscribed"),
        ConsentChange.LEFT_AGAIN: _("Unsubscribed once more"),
        ConsentChange.RESUMED: _("Unsubscribing taken back"),
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


def form_words(form: str) -> str:
    """By which form a change came; one of another system is shown as it is."""
    links: Mapping[str, str] = {
        Link.OWNER: _("by the owner’s own link to the preferences"),
        Link.MAIL: _("by the link to the preferences in a mail"),
        WayOut.HEADER: _("by the link in a mail’s header"),
        WayOut.BODY: _("by the link in a mail’s text"),
        WayOut.MAIL: _("by the address in a mail’s header"),
        WayBack.ANSWER: _("on the page that said they had left"),
        WayBack.LETTER: _("by the link in the letter about it"),
    }
    if form not in links and (filled_in := _FORM.fullmatch(form)):
        return _doors(filled_in["list"])[filled_in["door"]]
    return links.get(form, form)


def _doors(slug: str) -> Mapping[str, str]:
    return {
        Door.PAGE: _("on the sign-up page of %(list)s", list=slug),
        Door.EMBED: _("on another site, by a form of %(list)s", list=slug),
        Door.API: _("by a program, for %(list)s", list=slug),
        Door.CONFIRMATION: _("on the confirmation page of %(list)s", list=slug),
    }


def change_source(source: str) -> str:
    """Where a change came from; a file's row or a page's address is shown as it is."""
    delivery = _DELIVERY.fullmatch(source)
    return _("mail %(number)s", number=delivery[1]) if delivery else source


def suppression_source(source: str) -> str:
    """Where a suppression came from; what a file says of it is shown as it is."""
    if delivery := _DELIVERY.fullmatch(source):
        return _("a server's answer to mail %(number)s", number=delivery[1])
    if imported := _IMPORT.fullmatch(source):
        return _("the file %(name)s", name=imported[1])
    known = {"command": _("a command"), "desk": _("the desk"), "erasure": _("their erasure")}
    return known.get(source, source)


def suppression_reasons() -> dict[SuppressionReason, str]:
    """Why somebody must not be mailed."""
    return {
        SuppressionReason.MANUAL: _("By hand"),
        SuppressionReason.GONE: _("No such mailbox"),
        SuppressionReason.COMPLAINT: _("Complained"),
        SuppressionReason.ERASED: _("Erased"),
    }


def events() -> dict[EventKind, str]:
    """What happened to a mail."""
    return {
        EventKind.OPEN: _("Opened"),
        EventKind.CLICK: _("Clicked"),
        EventKind.UNSUBSCRIBE: _("Unsubscribed"),
        EventKind.RESUBSCRIBE: _("Unsubscribing taken back"),
    }


def readers() -> dict[Reader, str]:
    """Who was behind an open or a click, as far as can be told."""
    return {
        Reader.HUMAN: _("a person"),
        Reader.MACHINE: _("a machine"),
        Reader.UNKNOWN: _("unknown who"),
    }
