"""How a newsletter's mail looks: template and colours, seen before they are saved."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from fastapi import Request, Response
from sqlalchemy import select
from sqlalchemy.orm import Session

from newsletter.accounts import audit
from newsletter.accounts.permissions import Permission
from newsletter.broadcasts.planning import sender_identity
from newsletter.core.clock import now
from newsletter.core.errors import ConfigurationError, InputError
from newsletter.core.runtime import Runtime
from newsletter.core.sentences import quoted
from newsletter.issues import images
from newsletter.issues.models import Issue, Newsletter
from newsletter.issues.parsing import parse
from newsletter.issues.source import IssueSource, SourceError
from newsletter.rendering import palette
from newsletter.rendering.compiled import SenderIdentity
from newsletter.rendering.compiler import compile_issue
from newsletter.rendering.palette import (
    CHOSEN,
    DEFAULT_TEMPLATE,
    LEAST_CONTRAST,
    SCHEMES,
    Look,
    Palette,
)
from newsletter.rendering.schemes import Scheme, nobodys, shown_in
from newsletter.rendering.templates import TemplateFolders
from newsletter.web.deps import Running
from newsletter.web.desk.editor import Editor
from newsletter.web.desk.forms import Sent
from newsletter.web.desk.guard import Seated, desk_router, needs
from newsletter.web.desk.pages import framed, go, page, part
from newsletter.web.desk.problems import capitalised
from newsletter.web.desk.settings.sample_issue import SAMPLE_ISSUE
from newsletter.web.desk.text import _

router = desk_router()

_ROOM_FOR_FIELDS = 10_000
_PATH = "/settings/newsletters/{newsletter_id}/look"


@dataclass(frozen=True, slots=True)
class Draft:
    """A look as it was typed, saved or not.

    Attributes:
        colours: by scheme and name, `#rrggbb` or whatever somebody typed.
        problems: by field, such as `light.accent`.
    """

    template: str
    colours: Mapping[str, Mapping[str, str]]
    problems: Mapping[str, str]

    @property
    def look(self) -> Look:
        return Look(self.template, Palette.of(palette.checked(self.colours)))

    @property
    def query(self) -> str:
        """The draft in an address, for a frame to show it."""
        colours = {
            f"{scheme}.{name}": colour
            for scheme, chosen in self.colours.items()
            for name, colour in chosen.items()
        }
        return urlencode({"template": self.template, **colours})


@router.get(_PATH)
@needs(Permission.SETTINGS)
def show(request: Request, runtime: Running, newsletter_id: int) -> Response:
    """The form beside the mail in every shape; with colours in the address, in these."""
    found, draft = _asked(request, runtime, newsletter_id)
    return _form(request, runtime, found, draft)


@router.get(f"{_PATH}/frames")
@needs(Permission.SETTINGS)
def frames(request: Request, runtime: Running, newsletter_id: int) -> Response:
    """The frames and what is hard to read, for a page that is there already."""
    draft = _asked(request, runtime, newsletter_id)[1]
    return part(request, "settings/look_frames.html", newsletter_id=newsletter_id, **_seen(draft))


@router.get(f"{_PATH}/mail")
@needs(Permission.SETTINGS)
def mail(
    request: Request, runtime: Running, newsletter_id: int, scheme: str = Scheme.LIGHT.value
) -> Response:
    """The mail itself, for a frame."""
    draft = _asked(request, runtime, newsletter_id)[1]
    if draft.problems:
        raise InputError("look", quoted(next(iter(draft.problems.values()))))
    identity, source = _subject(runtime, newsletter_id)
    wanted = Scheme.DARK if scheme == Scheme.DARK else Scheme.LIGHT
    folders = TemplateFolders.of(runtime.settings.templates.dir)
    compiled = compile_issue(
        source, replace(identity, look=replace(draft.look, logo=identity.look.logo)), folders
    )
    return framed(request, shown_in(nobodys(compiled.email), wanted))


@router.post(_PATH)
@needs(Permission.SETTINGS)
def save(
    request: Request, runtime: Running, editor: Seated, newsletter_id: int, sent: Sent
) -> Response:
    """Keep it; mended first, if that was asked for."""
    draft = _draft(runtime, {name: sent.one(name) for name in sent.fields})
    with runtime.sessions.reading() as session:
        found = session.get_one(Newsletter, newsletter_id)
    if draft.problems:
        return _form(request, runtime, found, draft)
    look = draft.look
    colours = look.palette.mended() if "mend" in sent else palette.checked(draft.colours)
    if "default" in sent:
        colours = {}
    with runtime.sessions.writing() as session:
        found = session.get_one(Newsletter, newsletter_id)
        found.template, found.palette = draft.template, colours
        audit.record(
            session,
            editor.actor,
            "newsletter.look_changed",
            newsletter=found.slug,
            template=draft.template,
            colours=colours,
        )
    return go(request, request.url.path, said=_("Saved. The next issue looks like this."))


@router.post(f"{_PATH}/logo")
@needs(Permission.SETTINGS, most_bytes=images.MAX_UPLOAD_BYTES + _ROOM_FOR_FIELDS)
def change_logo(
    request: Request, runtime: Running, editor: Seated, newsletter_id: int, sent: Sent
) -> Response:
    """Another sign above the newsletter's name; without a file, none."""
    file, here = sent.file("logo"), request.url.path.removesuffix("/logo")
    try:
        made = images.make(file.file.read(images.MAX_UPLOAD_BYTES + 1)) if file else None
    except InputError as error:
        found, draft = _asked(request, runtime, newsletter_id)
        return _form(request, runtime, found, draft, capitalised(error.problem))
    if made is None and "remove" not in sent:
        return go(request, here)
    with runtime.sessions.writing() as session:
        found = session.get_one(Newsletter, newsletter_id)
        found.logo = (
            _kept_logo(session, found, made, file.filename or "", editor) if file and made else {}
        )
        audit.record(session, editor.actor, "newsletter.logo_changed", newsletter=found.slug)
    return go(request, here, said=_("Saved. The next issue looks like this."))


def _kept_logo(
    session: Session, found: Newsletter, made: images.Made, name: str, editor: Editor
) -> dict[str, Any]:
    image = images.add(
        session, found.id, made, alt=found.name, name=name, uploaded_by=editor.user_id
    )
    size = {"width": image.width, "height": image.height}
    return {"path": images.path(image), **size, "alt": found.name}


def _asked(request: Request, runtime: Runtime, newsletter_id: int) -> tuple[Newsletter, Draft]:
    """The look in the address; without one, the newsletter's, if its template is still there."""
    with runtime.sessions.reading() as session:
        found = session.get_one(Newsletter, newsletter_id)
    if "template" in request.query_params:
        return found, _draft(runtime, request.query_params)
    is_there = found.template in _templates_of(runtime)
    template = found.template if is_there else DEFAULT_TEMPLATE
    return found, Draft(template, _filled(found.palette), {})


def _draft(runtime: Runtime, typed: Mapping[str, str]) -> Draft:
    colours = {
        scheme: {name: typed.get(f"{scheme}.{name}", "").strip().lower() for name in CHOSEN}
        for scheme in SCHEMES
    }
    problems = {}
    for scheme, chosen in colours.items():
        for name, colour in chosen.items():
            try:
                palette.checked({scheme: {name: colour}})
            except InputError as error:
                problems[error.place] = capitalised(error.problem)
    template = typed.get("template", "")
    if template not in _templates_of(runtime):
        problems["template"] = _("Please choose one of these.")
    return Draft(template, _filled(colours), problems)


def _filled(colours: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, str]]:
    """Every colour; what nobody chose is the default's."""
    return {
        scheme: {name: colours.get(scheme, {}).get(name) or getattr(tones, name) for name in CHOSEN}
        for scheme, tones in SCHEMES.items()
    }


def _form(
    request: Request, runtime: Runtime, found: Newsletter, draft: Draft, problem: str = ""
) -> Response:
    return page(
        request,
        "settings/look.html",
        status=422 if draft.problems or problem else 200,
        logo_problem=problem,
        newsletter=found,
        newsletter_id=found.id,
        templates=[(name, _templates().get(name, name)) for name in _templates_of(runtime)],
        **_seen(draft),
    )


def _seen(draft: Draft) -> dict[str, Any]:
    weak = () if draft.problems else draft.look.palette.weaknesses()
    return {
        "draft": draft,
        "weaknesses": [
            {"field": f"{one.scheme}.{one.name}", "is_dark": one.scheme == "dark", "weak": one}
            for one in weak
        ],
        "names": _colours(),
        "least": LEAST_CONTRAST,
    }


def _subject(runtime: Runtime, newsletter_id: int) -> tuple[SenderIdentity, IssueSource]:
    """Whose mail is shown, and which: the latest issue, or the sample where there is none."""
    with runtime.sessions.reading() as session:
        found = session.get_one(Newsletter, newsletter_id)
        latest = select(Issue.source).where(Issue.newsletter_id == newsletter_id)
        text = session.scalar(latest.order_by(Issue.date.desc()).limit(1))
        try:
            identity = sender_identity(found, now().date(), runtime.settings)
        except ConfigurationError:
            found.sender_address = "editor@example.org"  # in this transaction, which is not kept
            identity = sender_identity(found, now().date(), runtime.settings)
    try:
        return identity, parse(text or SAMPLE_ISSUE, "issue")
    except SourceError:
        return identity, parse(SAMPLE_ISSUE, "sample")


def _templates_of(runtime: Runtime) -> tuple[str, ...]:
    return TemplateFolders.of(runtime.settings.templates.dir).of_issues()


def _templates() -> dict[str, str]:
    """What the shipped ones are like; an operator's own go by their names."""
    return {
        "digest": _("Digest: cards on a page"),
        "letter": _("Letter: the words on the page itself"),
    }


def _colours() -> dict[str, str]:
    return {
        "accent": _("Links and buttons"),
        "page": _("Page"),
        "card": _("Card"),
        "ink": _("Headings"),
        "text": _("Text"),
        "quiet": _("Small print"),
    }
