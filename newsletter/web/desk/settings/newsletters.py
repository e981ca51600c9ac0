"""Newsletters: which there are, and the identity of each."""

from collections.abc import Mapping

from fastapi import Request, Response
from sqlalchemy import select

from newsletter.accounts import audit, seats
from newsletter.accounts.permissions import Permission
from newsletter.core.errors import InputError, RefusedError
from newsletter.core.sections import TrackingMode
from newsletter.issues import identity
from newsletter.issues.models import Newsletter
from newsletter.web.deps import Running
from newsletter.web.desk.forms import Form, Sent
from newsletter.web.desk.guard import Seated, desk_router, needs
from newsletter.web.desk.pages import go, page
from newsletter.web.desk.problems import capitalised
from newsletter.web.desk.text import _

router = desk_router()


@router.get("/settings/newsletters")
@needs(Permission.INSTALLATION)
def index(request: Request, runtime: Running) -> Response:
    """All newsletters."""
    with runtime.sessions.reading() as session:
        found = session.scalars(select(Newsletter).order_by(Newsletter.name)).all()
    return page(request, "settings/newsletters.html", newsletters=found)


@router.get("/settings/newsletters/new")
@needs(Permission.INSTALLATION)
def begin(request: Request, runtime: Running) -> Response:
    """The form of a new one, filled in with the settings' sender."""
    sender = runtime.settings.sender
    typed = {
        "name": "",
        "sender_name": "",
        "sender_address": sender.address,
        "reply_to": "",
        "postal_address": sender.postal_address,
        "tracking_mode": runtime.settings.tracking.default_mode.value,
    }
    return _form(request, None, typed)


@router.post("/settings/newsletters/new")
@needs(Permission.INSTALLATION)
def create(request: Request, runtime: Running, editor: Seated, sent: Sent) -> Response:
    """Make it; the pages are about it from then on."""
    typed = _typed(sent)
    problems = _problems(typed)
    if problems:
        return _form(request, None, typed, problems)
    try:
        with runtime.sessions.writing() as session:
            made = identity.create(session, typed, runtime.settings)
            audit.record(session, editor.actor, "newsletter.added", newsletter=made.slug)
            seats.choose(session, editor.seat_key, made.id)
    except InputError as error:
        return _form(request, None, typed, {error.place: capitalised(error.problem)})
    return go(
        request, f"/settings/newsletters/{made.id}", said=_("%(name)s is there.", name=made.name)
    )


@router.get("/settings/newsletters/{newsletter_id}")
@needs(Permission.SETTINGS)
def show(request: Request, runtime: Running, newsletter_id: int) -> Response:
    """Its identity, to be changed."""
    with runtime.sessions.reading() as session:
        found = session.get_one(Newsletter, newsletter_id)
    return _form(request, found, _standing(found))


@router.post("/settings/newsletters/{newsletter_id}")
@needs(Permission.SETTINGS)
def change(
    request: Request, runtime: Running, editor: Seated, newsletter_id: int, sent: Sent
) -> Response:
    """Change its identity; what is being sent keeps the one it was frozen with."""
    typed = _typed(sent)
    problems = _problems(typed)
    try:
        with runtime.sessions.writing() as session:
            found = session.get_one(Newsletter, newsletter_id)
            changed = {} if problems else identity.change(found, typed)
            if changed:
                names = sorted(changed)
                audit.record(
                    session,
                    editor.actor,
                    "newsletter.changed",
                    newsletter=found.slug,
                    changed=names,
                )
    except RefusedError as error:
        problems = {"sender_address": capitalised(error.sentence)}
    if problems:
        return _form(request, found, typed, problems)
    said = _("Saved.") if changed else _("Nothing was changed.")
    return go(request, f"/settings/newsletters/{newsletter_id}", said=said)


def _typed(sent: Form) -> dict[str, str]:
    """What was sent of the identity; a box that is not ticked sends nothing."""
    typed = {name: sent.text(name).strip() for name in _TEXTS if name in sent}
    typed |= {name: sent.one(name) for name in _BOXES if f"has_{name}" in sent}
    return typed


_BOXES = tuple(name for name in ("wants_approval",) if hasattr(Newsletter, name))
_TEXTS = tuple(name for name in identity.FIELDS if name not in _BOXES and hasattr(Newsletter, name))


def _standing(found: Newsletter) -> dict[str, str]:
    shown = {name: getattr(found, name) for name in (*_TEXTS, *_BOXES)}
    return {
        name: ("1" if value else "") if isinstance(value, bool) else str(value)
        for name, value in shown.items()
    }


def _problems(typed: Mapping[str, str]) -> dict[str, str]:
    """At the field, as sentences; no name at all is a mistake too."""
    wrong = identity.problems({"name": "", **typed})
    return {name: capitalised(problem) for name, problem in wrong.items()}


def _form(
    request: Request,
    newsletter: Newsletter | None,
    typed: Mapping[str, str],
    problems: Mapping[str, str] | None = None,
) -> Response:
    modes = {
        TrackingMode.OFF: _("Nothing: no pixel, links lead straight on"),
        TrackingMode.AGGREGATE: _("How many, not who: pixel and links name the issue alone"),
        TrackingMode.INDIVIDUAL: _("Who, of readers who agreed; of others how many"),
    }
    return page(
        request,
        "settings/newsletter.html",
        status=422 if problems else 200,
        newsletter=newsletter,
        typed={name: typed.get(name, "") for name in identity.FIELDS},
        problems=problems or {},
        modes=[(mode.value, text) for mode, text in modes.items()],
        has_hold=hasattr(Newsletter, "hold_minutes"),
        most_hold_minutes=identity.MOST_HOLD_MINUTES,
    )
