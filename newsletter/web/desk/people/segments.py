"""`/segments`: saved filters over the newsletter's lists, built of rows or written as text."""

from dataclasses import replace
from typing import Any

from fastapi import HTTPException, Request, Response
from sqlalchemy.orm import Session

from newsletter.accounts import audit
from newsletter.accounts.permissions import Permission
from newsletter.core.errors import InputError, NewsletterError, NotFoundError, RefusedError
from newsletter.core.runtime import Runtime
from newsletter.core.sentences import say
from newsletter.web.deps import Running
from newsletter.web.desk.editor import Editor
from newsletter.web.desk.forms import Form, Sent
from newsletter.web.desk.guard import Seated, desk_router, needs
from newsletter.web.desk.pages import go, page, part
from newsletter.web.desk.people import segment_form, segment_words, words
from newsletter.web.desk.people.apart import private
from newsletter.web.desk.people.asked import here, number, our_list
from newsletter.web.desk.people.segment_form import Sides
from newsletter.web.desk.problems import without_place
from newsletter.web.desk.text import _
from subscribers import lists, segments
from subscribers.filters import rows as segment_rows
from subscribers.filters.writing import written
from subscribers.models import Segment, SubscriberList

router = desk_router()

SAMPLE_PEOPLE = 10


@router.get("/segments")
@needs(Permission.PEOPLE)
def index(request: Request, runtime: Running, editor: Seated) -> Response:
    """All saved ones, by list."""
    if editor.newsletter_id is None:
        return page(request, "people/no_newsletter.html")
    with runtime.sessions.reading() as session:
        found = segments.of_newsletter(session, here(editor))
        ours = lists.of_newsletter(session, here(editor))
    return page(request, "people/segments.html", segments=found, lists=ours)


@router.get("/segments/new")
@needs(Permission.PEOPLE)
def new(request: Request, runtime: Running, editor: Seated) -> Response:
    """The form, about the list that was chosen."""
    if editor.newsletter_id is None:
        return page(request, "people/no_newsletter.html")
    with runtime.sessions.reading() as session:
        ours = lists.of_newsletter(session, here(editor))
        wanted = number(request, "list")
        on = next((each for each in ours if each.id == wanted), ours[0] if ours else None)
        if on is None or (wanted is None and len(ours) > 1):
            return page(request, "people/segment_list.html", lists=ours)
        return _form(request, session, on, None, "", Sides.beginning())


@router.post("/segments/new")
@needs(Permission.PEOPLE)
def create(request: Request, runtime: Running, editor: Seated, sent: Sent) -> Response:
    """Save a new one, or change its rows without saving."""
    with runtime.sessions.reading() as session:
        on = our_list(session, editor, sent.number("list"))
    return _take(request, runtime, editor, sent, on, None)


@router.post("/segments/inside")
@needs(Permission.PEOPLE)
def inside(request: Request, runtime: Running, editor: Seated, sent: Sent) -> Response:
    """How many people are inside, and ten of them; a part that may take longer than the page."""
    sides = segment_form.sent(sent)
    with runtime.sessions.reading() as session:
        on = our_list(session, editor, sent.number("list"))
        try:
            if sides.tree is None:
                raise InputError("segment", say("it cannot be counted before it can be read"))
            counted = segments.count(session, on, sides.tree)
            some = segments.sample(session, on, sides.tree, SAMPLE_PEOPLE)
            hidden = private(session, editor, [person.id for person, _subscription in some])
        except NewsletterError as error:
            return part(request, "people/inside.html", problem=without_place(error), counted=None)
    return part(
        request,
        "people/inside.html",
        problem="",
        counted=counted,
        some=some,
        hidden=hidden,
        on=on,
        text=written(sides.tree),
        statuses=words.statuses(),
        tones=words.TONES,
    )


@router.get("/segments/{segment_id}")
@needs(Permission.PEOPLE)
def show(segment_id: int, request: Request, runtime: Running, editor: Seated) -> Response:
    """One of them, to look at and to change."""
    del editor
    with runtime.sessions.reading() as session:
        saved, on = _found(session, segment_id)
        return _form(request, session, on, saved, saved.name, Sides.of_text(saved.text))


@router.post("/segments/{segment_id}")
@needs(Permission.PEOPLE)
def change(
    segment_id: int, request: Request, runtime: Running, editor: Seated, sent: Sent
) -> Response:
    """Save it, or change its rows without saving."""
    with runtime.sessions.reading() as session:
        saved, on = _found(session, segment_id)
    return _take(request, runtime, editor, sent, on, saved)


@router.post("/segments/{segment_id}/delete")
@needs(Permission.PEOPLE)
def delete(segment_id: int, request: Request, runtime: Running, editor: Seated) -> Response:
    """Forget it; broadcasts have their own copy of what it said."""
    with runtime.sessions.writing() as session:
        saved, on = _found(session, segment_id)
        segments.forget(session, saved)
        _note(session, editor, "segment.deleted", saved, on)
    return go(request, "/segments", said=_("Deleted %(segment)s.", segment=saved.name))


def _take(
    request: Request,
    runtime: Runtime,
    editor: Editor,
    sent: Form,
    on: SubscriberList,
    saved: Segment | None,
) -> Response:
    """What a form of either page asks for."""
    sides, name, deed = segment_form.sent(sent), sent.one("name"), sent.one("do")
    if deed:
        sides = _done(sent, sides, deed)
    elif sides.tree is not None:
        try:
            kept = _save(runtime, editor, on, saved, name, sides)
        except (InputError, NotFoundError, RefusedError) as error:
            place = "name" if _is_about_name(error) else "text"
            sides = replace(sides, problems={place: without_place(error)})
        else:
            return go(request, f"/segments/{kept.id}", said=_("Saved."))
    with runtime.sessions.reading() as session:
        status = 422 if sides.problems and not deed else 200
        return _form(request, session, on, saved, name, sides, status=status)


def _done(sent: Form, sides: Sides, deed: str) -> Sides:
    """After a button that changes the form only; the text alone when it is to be drawn."""
    if deed == "draw":
        return Sides.of_text(sent.one("text"))
    if deed != "write" and sides.drawing is not None:
        drawing = segment_form.changed(sides.drawing, deed)
        sides = Sides.of_rows(drawing, sides.text)
    return sides.without_haste()


def _save(
    runtime: Runtime,
    editor: Editor,
    on: SubscriberList,
    saved: Segment | None,
    name: str,
    sides: Sides,
) -> Segment:
    assert sides.tree is not None
    text = written(sides.tree)
    with runtime.sessions.writing() as session:
        if saved is None:
            kept = segments.save(session, on, name, text)
            _note(session, editor, "segment.created", kept, on)
        else:
            kept, _on = _found(session, saved.id)
            segments.change(session, kept, name, text)
            _note(session, editor, "segment.changed", kept, on)
    return kept


def _is_about_name(error: NewsletterError) -> bool:
    return isinstance(error, RefusedError) or (
        isinstance(error, InputError) and error.place == "name"
    )


def _found(session: Session, segment_id: int) -> tuple[Segment, SubscriberList]:
    saved = session.get(Segment, segment_id)
    if saved is None:
        raise HTTPException(404)
    return saved, session.get_one(SubscriberList, saved.list_id)


def _note(
    session: Session, editor: Editor, action: str, saved: Segment, on: SubscriberList
) -> None:
    """By its number: a name or a filter may name somebody."""
    about = {"newsletter": editor.newsletter_slug, "list": on.slug, "segment": saved.id}
    audit.record(session, editor.actor, action, None, **about)


def _form(
    request: Request,
    session: Session,
    on: SubscriberList,
    saved: Segment | None,
    name: str,
    sides: Sides,
    *,
    status: int = 200,
) -> Response:
    assert on.newsletter_id is not None
    return page(
        request,
        "people/segment.html",
        status=status,
        on=on,
        saved=saved,
        typed=name,
        sides=sides,
        action=f"/segments/{saved.id}" if saved else "/segments/new",
        lists=[each for each in lists.of_newsletter(session, on.newsletter_id) if each != on],
        **_words(),
    )


def _words() -> dict[str, Any]:
    return {
        "subjects": segment_words.subjects(),
        "comparison": segment_words.comparison,
        "comparisons_of": segment_rows.comparisons,
        "choices": segment_words.choices(),
        "kinds": segment_words.kinds(),
        "units": segment_words.units(),
    }
