"""`/subscribers`: people found by a part of their address or name, list, status and segment."""

from collections.abc import Collection, Iterator
from typing import Any

from fastapi import HTTPException, Request, Response
from fastapi.responses import StreamingResponse
from sqlalchemy.orm import Session

from newsletter.accounts import audit
from newsletter.accounts.permissions import Permission
from newsletter.core.clock import now
from newsletter.core.runtime import Runtime
from newsletter.web.deps import Running
from newsletter.web.desk.editor import Editor
from newsletter.web.desk.forms import Form, Sent
from newsletter.web.desk.guard import Seated, desk_router, needs
from newsletter.web.desk.pages import page, part
from newsletter.web.desk.people import words
from newsletter.web.desk.people.addresses import Kept, said_of
from newsletter.web.desk.people.apart import private, told_to
from newsletter.web.desk.people.asked import Asked, Understood, asked, place, read, understood
from subscribers import browsing, directory, exporting
from subscribers.directory import Search
from subscribers.exporting import Selection

router = desk_router()

PAGE_PEOPLE = 50
PAGE_MILLISECONDS = 100
"""For one statement: the whole page is to be there within 200."""
_MEDIA_TYPES = {
    exporting.Form.CSV: "text/csv; charset=utf-8",
    exporting.Form.JSONL: "application/x-ndjson",
}


@router.get("/subscribers")
@needs(Permission.PEOPLE)
def index(request: Request, runtime: Running, editor: Seated) -> Response:
    """The newest first, a page at a time; how many they are is asked for by itself.

    So is a search that has to read everybody: the page is there first, and then who was found.
    """
    if editor.newsletter_id is None:
        return page(request, "people/no_newsletter.html")
    wanted = asked(request)
    with runtime.sessions.reading() as session:
        meant = understood(session, editor, wanted)
        found, hidden = None, set[int]()
        if meant.search:
            found = _found(request, session, meant.search)
        if found:
            hidden = private(session, editor, [person.id for person in found.people])
        counts = "counted" in request.query_params and meant.search
        total = directory.count(session, meant.search) if counts and meant.search else None
        asks = "kept" in request.query_params
        people = found.people if found else ()
        kept = said_of(session, editor, wanted.part, people, is_asked=asks)
    return _shown(request, wanted, meant, found=found, total=total, hidden=hidden, kept=kept)


def _found(request: Request, session: Session, search: Search) -> browsing.Sheet | None:
    """None: that takes longer, and was not asked for patiently."""
    where = place(request)
    if "patiently" in request.query_params:
        return browsing.sheet(session, search, where, limit=PAGE_PEOPLE)
    return browsing.sheet_in_time(
        session, search, where, limit=PAGE_PEOPLE, within_ms=PAGE_MILLISECONDS
    )


@router.get("/subscribers/count")
@needs(Permission.PEOPLE)
def count(request: Request, runtime: Running, editor: Seated) -> Response:
    """How many people the page is about: a part of it, since it may take longer than the page."""
    with runtime.sessions.reading() as session:
        meant = understood(session, editor, asked(request))
        total = directory.count(session, meant.search) if meant.search else None
    return part(request, "people/total.html", total=total)


@router.post("/subscribers/export")
@needs(Permission.PEOPLE)
def export(request: Request, runtime: Running, editor: Seated, sent: Sent) -> Response:
    """Everybody the page is about, as a file that imports again."""
    wanted = read(*(sent.one(name) for name in ("q", "list", "status", "segment")))
    with runtime.sessions.writing() as session:
        meant = understood(session, editor, wanted)
        if meant.search is None:
            return _shown(request, wanted, meant, found=None, total=None)
        form = _form(sent)
        _note(session, editor, wanted, meant, form)
    name = f"{editor.newsletter_slug}-{now():%Y-%m-%d}.{form.value}"
    return StreamingResponse(
        _lines(runtime, _selection(editor, meant.search), form),
        media_type=_MEDIA_TYPES[form],
        headers={
            "Content-Disposition": f'attachment; filename="{name}"',
            "Cache-Control": "no-store, private",
        },
    )


def _shown(
    request: Request,
    wanted: Asked,
    meant: Understood,
    *,
    found: browsing.Sheet | None,
    total: int | None,
    hidden: Collection[int] = (),
    kept: Kept = Kept.UNSAID,
) -> Response:
    older = found and found.older and wanted.query(older=found.older.older_than)
    newer = found and found.newer and wanted.query(newer=found.newer.newer_than)
    return page(
        request,
        "people/index.html",
        status=422 if meant.problems else 200,
        asked=wanted,
        meant=meant,
        found=found,
        patiently=_patiently(request, wanted),
        hidden=hidden,
        kept=kept,
        total=total,
        older=f"/subscribers?{older}" if older else "",
        newer=f"/subscribers?{newer}" if newer else "",
        statuses=words.statuses(),
        tones=words.TONES,
        list_names={each.id: each.name for each in meant.lists},
    )


def _patiently(request: Request, wanted: Asked) -> str:
    """The same page, however long it takes."""
    known = request.query_params
    where = {name: known[name] for name in ("older", "newer", "counted") if name in known}
    return f"/subscribers?{wanted.query(**where, patiently=1)}"


def _form(sent: Form) -> exporting.Form:
    if sent.one("form") not in set(exporting.Form):
        raise HTTPException(422)
    return exporting.Form(sent.one("form"))


def _note(
    session: Session, editor: Editor, wanted: Asked, meant: Understood, form: exporting.Form
) -> None:
    """Which list and how narrow; not what was typed, that may be somebody's address."""
    search = meant.search
    on = next((each.slug for each in meant.lists if search and each.id == search.list_id), "")
    details: dict[str, Any] = {"newsletter": editor.newsletter_slug, "form": form.value}
    if on:
        details["list"] = on
    if wanted.is_narrow:
        details["narrowed_by"] = [
            name for name in ("part", "list_id", "status", "segment") if getattr(wanted, name)
        ]
    audit.record(session, editor.actor, "subscribers.exported", None, **details)


def _selection(editor: Editor, search: Search) -> Selection:
    if search.on_none:
        return Selection(where=directory.conditions(search) & directory.is_on_none())
    where = directory.conditions(search)
    return Selection(search.list_id, where, among=search.among, told_to=told_to(editor))


def _lines(runtime: Runtime, chosen: Selection, form: exporting.Form) -> Iterator[str]:
    """Read while it is sent: a million people are never in memory."""
    with runtime.sessions.reading() as session:
        yield from exporting.stream(session, chosen, form)
