"""Leaving by a mail's link: the person's subscriptions end, the delivery remembers it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from sqlalchemy.orm import Session

from newsletter.broadcasts.models import Delivery
from newsletter.issues.models import Newsletter
from newsletter.rendering.mail_tokens import Door, LeaveToken, UndoToken
from newsletter.tracking.models import EventKind
from newsletter.tracking.recording import Visit, record_event
from subscribers import preferences, reasons, subscriptions
from subscribers.evidence import Evidence
from subscribers.models import ConsentMethod, LeaveReason, Subscriber, Subscription

_METHODS = {
    Door.HEADER: ConsentMethod.ONE_CLICK,
    Door.BODY: ConsentMethod.PAGE,
    Door.MAIL: ConsentMethod.MAIL,
}


class WayOut(StrEnum):
    """Which of a mail's it was, as evidence names it."""

    HEADER = "leave: header"
    BODY = "leave: body"
    MAIL = "leave: mail"


class WayBack(StrEnum):
    """By which link leaving was undone; no form of a list called `undo` is named so."""

    ANSWER = "undo: answer"
    """On the page that answers who left."""
    LETTER = "undo: letter"


_FORMS = {Door.HEADER: WayOut.HEADER, Door.BODY: WayOut.BODY, Door.MAIL: WayOut.MAIL}


@dataclass(frozen=True, slots=True)
class Leaver:
    """Whose link it is, for the page: the address only in masked form; their language, or none."""

    newsletter_name: str
    masked_address: str
    locale: str


def who(session: Session, token: LeaveToken | UndoToken) -> Leaver | None:
    """Who would leave what; None when the person or the newsletter is gone."""
    person = session.get(Subscriber, token.subscriber_id)
    newsletter = session.get(Newsletter, token.newsletter_id)
    if person is None or newsletter is None:
        return None
    return Leaver(newsletter.name, masked(person.email), person.locale)


def leave(session: Session, token: LeaveToken, visit: Visit) -> Sequence[Subscription]:
    """End the person's subscriptions to the newsletter; returns those that ended now."""
    ended = subscriptions.leave(
        session, token.subscriber_id, token.newsletter_id, _evidence(token, visit)
    )
    _record(session, EventKind.UNSUBSCRIBE, token, visit)
    return ended


def taking_back(token: LeaveToken, ended: Sequence[Subscription]) -> UndoToken | None:
    """What takes this `leave` back; None when it ended nothing."""
    moments = [found.unsubscribed_at for found in ended if found.unsubscribed_at]
    if not moments:
        return None
    return UndoToken(
        token.newsletter_id,
        token.subscriber_id,
        token.broadcast_id,
        token.delivery_id,
        moments[0],
    )


def undo(session: Session, token: UndoToken, visit: Visit) -> bool:
    """Take that leaving back; False when there is none that can be, or any more."""
    form = WayBack.LETTER if token.is_owners else WayBack.ANSWER
    back = subscriptions.undo_leave(
        session,
        token.subscriber_id,
        token.newsletter_id,
        token.left_at,
        _by_link(ConsentMethod.PAGE, form, token, visit),
        by_owner=token.is_owners,
    )
    if back:
        _record(session, EventKind.RESUBSCRIBE, token, visit)
    return bool(back)


def pause(session: Session, token: LeaveToken, visit: Visit) -> date:
    """Instead of leaving: no issue for a month; returns the day from which they come again."""
    person = session.get_one(Subscriber, token.subscriber_id)
    evidence = _evidence(token, visit)
    return preferences.pause_for_a_month(session, person, token.newsletter_id, evidence)


def say_why(session: Session, token: LeaveToken, reason: LeaveReason | None, remark: str) -> bool:
    """Keep why they left; False when they have not, or too long ago."""
    return reasons.say_why(session, token.subscriber_id, token.newsletter_id, reason, remark)


def masked(address: str) -> str:
    """Enough for its owner to know it, too little for the reader of a forwarded copy."""
    local, _, domain = address.rpartition("@")
    last = local[-1:] if len(local) > 2 else ""  # noqa: PLR2004 - of two letters one is enough
    return f"{local[:1]}•••{last}@{domain}"


def _evidence(token: LeaveToken, visit: Visit) -> Evidence:
    return _by_link(_METHODS[token.door], _FORMS[token.door], token, visit)


def _by_link(
    method: ConsentMethod, form: str, token: LeaveToken | UndoToken, visit: Visit
) -> Evidence:
    """With the mail whose link it was, if it was an issue's."""
    source = f"delivery {token.delivery_id}" if token.delivery_id else ""
    return Evidence(method, source, form=form, ip=visit.ip, user_agent=visit.user_agent)


def _record(session: Session, kind: EventKind, token: LeaveToken | UndoToken, visit: Visit) -> None:
    delivery = session.get(Delivery, token.delivery_id)
    if delivery and delivery.address and delivery.subscriber_id == token.subscriber_id:
        record_event(session, kind, token.broadcast_id, token.delivery_id, visit)
