"""Preferences: a GET shows how things stand, a POST changes them and says what is different.

The link in every mail may be in a forwarded copy: it shows whose subscription it is in masked
form, and can only make less mail. The owner gets a link of their own by a letter.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from functools import partial
from typing import Any

from fastapi import APIRouter, Request, Response
from sqlalchemy.orm import Session

from newsletter.core.catalogues import READERS
from newsletter.core.clock import now
from newsletter.core.runtime import Runtime
from newsletter.core.sentences import Sentence
from newsletter.rendering.mail_tokens import UndoToken
from newsletter.sending import owner_letters
from newsletter.web.deps import Running, Visiting
from newsletter.web.forms import Form, Sent
from newsletter.web.pages import language_of, render
from newsletter.web.public.preferences_form import Answers, read
from newsletter.web.public.visitors import Visitor, visitor
from subscribers import days, details, preferences
from subscribers.days import LONGEST_PAUSE
from subscribers.models import Subscriber
from subscribers.preferences import A_MONTH, CADENCES, CONSENTS, Cadence

router = APIRouter()


@router.api_route("/p/{token}", methods=["GET", "HEAD"])
def show(token: str, request: Request, runtime: Running) -> Response:
    """How things stand, and one button."""
    with runtime.sessions.reading() as session:
        found = visitor(token, runtime, session)
        return _page(request, found, _shown(session, found))


@router.post("/p/{token}")
def save(token: str, request: Request, runtime: Running, visit: Visiting, form: Sent) -> Response:
    """All of it or, when a field is wrong, nothing."""
    with runtime.sessions.writing() as session:
        found = visitor(token, runtime, session)
        answers = read(form, found.person.time_zone, _not_before(session, found))
        if answers.problems:
            wrong = _shown(session, found, form, problems=answers.problems)
            return _page(request, found, wrong, status=422)
        language = language_of(request, found.person.locale)
        changes = preferences.change(
            session,
            found.person,
            found.newsletter.id,
            replace(answers.wish, shown=partial(READERS.translated, language)),
            found.evidence(visit),
            by_owner=found.is_owner,
        )
        told = _describe(found, answers)
        if changes.left_at and not found.is_owner:
            _tell(session, runtime, found, changes.left, changes.left_at, language)
        shown = _shown(session, found, changes=changes, told=told, is_saved=True)
    return _page(request, found, shown)


@router.post("/p/{token}/letter")
def send_link(token: str, request: Request, runtime: Running) -> Response:
    """The owner's link goes to the mailbox; the answer is the same when it had enough."""
    with runtime.sessions.writing() as session:
        found = visitor(token, runtime, session)
        asked_in = language_of(request)
        owner_letters.send_owner_link(session, runtime, found.newsletter, found.person, asked_in)
    return render(
        request,
        "letter_sent.html",
        locale=found.person.locale,
        visitor=found,
        hours=owner_letters.OWNER_HOURS,
    )


def _page(
    request: Request, found: Visitor, variables: dict[str, Any], status: int = 200
) -> Response:
    locale = found.person.locale
    return render(request, "preferences.html", status=status, locale=locale, **variables)


def _not_before(session: Session, found: Visitor) -> datetime | None:
    """The end of a pause, for who may not shorten it; None for the owner."""
    if found.is_owner:
        return None
    standing = preferences.preferences(
        session, found.person.id, found.newsletter.id, by_owner=False
    )
    return standing.paused_until or now()


def _describe(found: Visitor, answers: Answers) -> list[str]:
    return details.describe(found.person, answers.details) if answers.details else []


def _tell(
    session: Session,
    runtime: Runtime,
    found: Visitor,
    lists: Sequence[str],
    left_at: datetime,
    language: str,
) -> None:
    """Somebody with a mail of theirs left: by no certain mail, so the token names none."""
    token = UndoToken(found.newsletter.id, found.person.id, 0, 0, left_at)
    owner_letters.tell_of_leaving(session, runtime, token, lists, language)


def _shown(
    session: Session,
    found: Visitor,
    sent: Form | None = None,
    *,
    problems: Mapping[str, Sentence] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """What the page shows: how things stand, or what was sent when something in it is wrong."""
    person = found.person
    standing = preferences.preferences(
        session, person.id, found.newsletter.id, by_owner=found.is_owner
    )
    until = standing.paused_until
    day = days.local_day(until or now() + A_MONTH, person.time_zone)
    values = _values(person, standing, day)
    on = {choice.list_id for choice in standing.lists if choice.is_on}
    if sent is not None:
        values |= {name: sent.one(name) for name in values if name in sent}
        on = sent.numbers("list")
    return {
        "visitor": found,
        "standing": standing,
        "until": day if until else None,
        "values": values,
        "on": on,
        "problems": problems or {},
        "cadences": _cadences(found, standing),
        "consents": CONSENTS,
        "zones": details.time_zones() if found.is_owner else {},
        "last_day": days.local_day(now() + LONGEST_PAUSE, person.time_zone),
        "is_saved": False,
        **more,
    }


def _values(person: Subscriber, standing: preferences.Preferences, until: date) -> dict[str, str]:
    """The fields of the form, as things stand."""
    return {
        "name": person.name,
        "locale": person.locale,
        "time_zone": person.time_zone,
        "cadence": standing.cadence.value,
        "until": until.isoformat(),
        "tracking": standing.consent.value,
    }


def _cadences(found: Visitor, standing: preferences.Preferences) -> dict[Cadence, Sentence]:
    """Who may only make less mail does not end a pause."""
    ends_pause = not found.is_owner and standing.cadence is Cadence.PAUSE
    return {
        cadence: sentence
        for cadence, sentence in CADENCES.items()
        if not (ends_pause and cadence is Cadence.EVERY)
    }
