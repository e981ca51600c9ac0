"""`/subscribers/…`: one person as far as the newsletter concerned knows them."""

import json
from collections.abc import Sequence
from typing import Any

from fastapi import HTTPException, Request, Response
from sqlalchemy.orm import Session

from newsletter.accounts import audit
from newsletter.accounts.models import AuditEvent
from newsletter.accounts.permissions import Permission
from newsletter.broadcasts.models import OPEN_STATES
from newsletter.core.errors import InputError, RefusedError
from newsletter.core.numbers import MOST_BIG
from newsletter.core.runtime import Runtime
from newsletter.core.sentences import say
from newsletter.mail.address import Address
from newsletter.privacy import history
from newsletter.privacy import person as personal_data
from newsletter.web.deps import Running
from newsletter.web.desk import audit_words
from newsletter.web.desk.broadcasts import words as sending_words
from newsletter.web.desk.editor import Editor
from newsletter.web.desk.forms import Sent
from newsletter.web.desk.guard import Seated, desk_router, needs
from newsletter.web.desk.pages import go, page
from newsletter.web.desk.people import words
from newsletter.web.desk.people.addresses import as_file
from newsletter.web.desk.people.apart import private, told_to
from newsletter.web.desk.people.asked import here, number, our_list
from newsletter.web.desk.problems import capitalised
from newsletter.web.desk.reports.words import leave_reasons
from newsletter.web.desk.text import _
from subscribers import by_hand, details
from subscribers.lists import slugs_of_lists
from subscribers.models import Subscriber, SubscriberList, Subscription, SubscriptionStatus

router = desk_router()

_LINES = 20
"""Of mails and of consent on one page."""


@router.get("/subscribers/{subscriber_id}")
@needs(Permission.PEOPLE)
def show(subscriber_id: int, request: Request, runtime: Running, editor: Seated) -> Response:
    """Who they are, where they stand, what happened; nothing of other newsletters."""
    return _shown(request, runtime, editor, subscriber_id)


@router.post("/subscribers/{subscriber_id}/details")
@needs(Permission.PEOPLE)
def describe(
    subscriber_id: int, request: Request, runtime: Running, editor: Seated, sent: Sent
) -> Response:
    """Mend what is kept: name, language, time zone, attributes."""
    if not all(name in sent for name in ("name", "locale", "time_zone", "attributes")):
        raise HTTPException(422)  # a part of the form would empty the rest
    kept = by_hand.Kept(
        sent.one("name"), sent.one("locale"), sent.one("time_zone"), sent.text("attributes")
    )
    try:
        with runtime.sessions.writing() as session:
            person = _found(session, subscriber_id, lock=True)
            _check_ours(session, editor, subscriber_id)
            _check_edition(person, sent.one("edition"))
            different = by_hand.describe(person, kept)
            if different:
                _note(session, editor, "subscriber.changed", subscriber_id, changes=different)
    except InputError as error:
        problems = {error.place: capitalised(error.problem)}
        return _shown(request, runtime, editor, subscriber_id, kept=kept, problems=problems)
    return go(request, f"/subscribers/{subscriber_id}", said=_("Saved.") if different else "")


@router.post("/subscribers/{subscriber_id}/take-off")
@needs(Permission.PEOPLE)
def take_off(
    subscriber_id: int, request: Request, runtime: Running, editor: Seated, sent: Sent
) -> Response:
    """End one subscription; it can be taken back for a day."""
    with runtime.sessions.writing() as session:
        on = our_list(session, editor, sent.number("list"))
        ended = by_hand.take_off(session, subscriber_id, on.id)
        if ended:
            _note(session, editor, "subscriber.taken_off", subscriber_id, list=on.slug)
    said = _("They are off %(list)s. You can take this back for a day.", list=on.name)
    return go(
        request,
        f"/subscribers/{subscriber_id}#lists",
        said=said if ended else _("They had left %(list)s already.", list=on.name),
    )


@router.post("/subscribers/{subscriber_id}/put-back")
@needs(Permission.PEOPLE)
def put_back(
    subscriber_id: int, request: Request, runtime: Running, editor: Seated, sent: Sent
) -> Response:
    """Take that back; nobody who left by themselves is brought back."""
    with runtime.sessions.writing() as session:
        on = our_list(session, editor, sent.number("list"))
        is_back = by_hand.put_back(session, subscriber_id, on)
        if is_back:
            _note(session, editor, "subscriber.put_back", subscriber_id, list=on.slug)
    said = _("They are on %(list)s as before.", list=on.name)
    late = _(
        "This cannot be taken back any more. They come back to %(list)s by signing up.",
        list=on.name,
    )
    return go(request, f"/subscribers/{subscriber_id}#lists", said=said if is_back else late)


@router.post("/subscribers/{subscriber_id}/export")
@needs(Permission.PEOPLE)
def export(subscriber_id: int, runtime: Running, editor: Seated) -> Response:
    """All that is kept about them as JSON; of other newsletters only for who runs them all."""
    with runtime.sessions.writing() as session:
        _found(session, subscriber_id)
        _note(session, editor, "subscriber.exported", subscriber_id)
        session.flush()
        document = personal_data.export(session, subscriber_id, told_to(editor))
    return as_file(document, f"subscriber-{subscriber_id}.json")


def _found(session: Session, subscriber_id: int, *, lock: bool = False) -> Subscriber:
    """Raises HTTPException 404 for somebody who was erased meanwhile."""
    # Not the key: evidence of who leaves meanwhile refers to it.
    locked = {"key_share": True} if lock else None
    person = session.get(Subscriber, subscriber_id, with_for_update=locked)
    if person is None:
        raise HTTPException(404)
    return person


def _check_ours(session: Session, editor: Editor, subscriber_id: int) -> None:
    """Raises RefusedError when another newsletter knows them too: it may be its word."""
    if private(session, editor, [subscriber_id]):
        raise RefusedError(say("another newsletter knows this person too, so this is not changed"))


def _check_edition(person: Subscriber, seen: str) -> None:
    """Raises InputError when the form shows what is not kept any more."""
    if seen != by_hand.edition(person):
        raise InputError("", say("somebody else changed this meanwhile: look at it again"))


def _note(
    session: Session, editor: Editor, action: str, subscriber_id: int, **more: object
) -> None:
    more["newsletter"] = editor.newsletter_slug
    audit.record(session, editor.actor, action, subscriber_id, **more)


def _shown(
    request: Request,
    runtime: Runtime,
    editor: Editor,
    subscriber_id: int,
    *,
    kept: by_hand.Kept | None = None,
    problems: dict[str, str] | None = None,
) -> Response:
    consent_before = number(request, "consent", MOST_BIG)
    mails_before = number(request, "mails")
    with runtime.sessions.reading() as session:
        person = _found(session, subscriber_id)
        standing = history.subscriptions_of(session, person.id, here(editor))
        return page(
            request,
            "people/person.html",
            status=422 if problems else 200,
            person=person,
            kept=kept or _kept(person),
            known=_kept(person),
            edition=by_hand.edition(person),
            problems=problems or {},
            is_private=bool(private(session, editor, [person.id])),
            zones=_zones(kept.time_zone if kept else person.time_zone),
            standing=standing,
            undoable=_undoable(session, standing),
            suppressed=_suppressions(session, editor, person),
            **_past(session, editor, person, consent_before, mails_before),
            **_words(),
        )


def _past(
    session: Session,
    editor: Editor,
    person: Subscriber,
    consent_before: int | None,
    mails_before: int | None,
) -> dict[str, Any]:
    ours = here(editor)
    more = _LINES + 1
    consent = history.consent_of(session, person.id, ours, before=consent_before, limit=more)
    mails = history.mails_of(session, person, ours, before=mails_before, limit=more)
    return {
        "consent": consent[:_LINES],
        "earlier_consent": consent[_LINES - 1][0].id if len(consent) > _LINES else None,
        "mails": mails[:_LINES],
        "earlier_mails": mails[_LINES - 1].broadcast.id if len(mails) > _LINES else None,
        "consent_before": consent_before,
        "mails_before": mails_before,
        "audit": _done_to(session, editor, person),
    }


def _done_to(
    session: Session, editor: Editor, person: Subscriber
) -> list[tuple[AuditEvent, str, audit_words.Named]]:
    """Each act, what it is called, and by whom."""
    said = audit_words.sentences()
    found = history.audit_of(session, person.id, told_to(editor), editor.newsletter_slug)
    return [(act, said.get(act.action, ""), audit_words.who(act.actor)) for act in found]


def _undoable(
    session: Session, standing: Sequence[tuple[Subscription, SubscriberList]]
) -> set[int]:
    """Lists to which they can be put back."""
    return {
        on.id
        for subscription, on in standing
        if subscription.status is SubscriptionStatus.UNSUBSCRIBED
        and by_hand.may_be_put_back(session, subscription)
    }


def _suppressions(session: Session, editor: Editor, person: Subscriber) -> list[dict[str, Any]]:
    address = Address.stored(person.email, person.address_key)
    ours = slugs_of_lists(session, here(editor))
    return personal_data.suppressions_of(session, address, ours, None)


def _kept(person: Subscriber) -> by_hand.Kept:
    attributes = json.dumps(person.attributes, ensure_ascii=False, indent=2, sort_keys=True)
    return by_hand.Kept(
        person.name, person.locale, person.time_zone, attributes if person.attributes else ""
    )


def _zones(known: str) -> list[tuple[str, list[str]]]:
    """What to choose from, by part of the world; what is kept is never lost by saving."""
    zones = [(part, list(names)) for part, names in details.time_zones().items()]
    is_there = any(known in names for _part, names in zones)
    return zones if is_there or not known else [("", [known]), *zones]


def _words() -> dict[str, Any]:
    return {
        "statuses": words.statuses(),
        "tones": words.TONES,
        "consents": words.consents(),
        "changes": words.changes(),
        "methods": words.methods(),
        "form_words": words.form_words,
        "change_source": words.change_source,
        "suppression_reasons": words.suppression_reasons(),
        "leave_reasons": leave_reasons(),
        "reason_text": sending_words.reason_text,
        "open_states": OPEN_STATES,
        "delivery_states": sending_words.delivery_states(),
        "delivery_tones": sending_words.DELIVERY_TONES,
        "events": words.events(),
        "readers": words.readers(),
    }
