"""`/lists`: the lists of the newsletter, and each one's sign-up form."""

from fastapi import HTTPException, Request, Response
from fastapi.responses import HTMLResponse
from sqlalchemy.orm import Session

from newsletter.accounts import audit
from newsletter.accounts.permissions import Permission
from newsletter.core.errors import InputError, RefusedError
from newsletter.core.runtime import Runtime
from newsletter.issues.models import Newsletter
from newsletter.web.deps import Running
from newsletter.web.desk.editor import Editor
from newsletter.web.desk.forms import Sent
from newsletter.web.desk.guard import Seated, desk_router, needs
from newsletter.web.desk.pages import go, page, part
from newsletter.web.desk.people import words
from newsletter.web.desk.people.asked import here
from newsletter.web.desk.people.list_form import ListForm, said
from newsletter.web.desk.problems import capitalised
from newsletter.web.desk.text import _
from newsletter.web.pages import fragment, language_of
from newsletter.web.public.embedding import snippet
from newsletter.web.public.sign_up_form import TRAP, Submission
from newsletter.web.public.sign_up_form import Form as SignUpForm
from subscribers import lists, segments
from subscribers.models import SubscriberList
from subscribers.sign_up import usual_wording
from subscribers.sign_up_fields import MAX_FIELDS

router = desk_router()

PREVIEW_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'none'; base-uri 'none'; "
    "frame-ancestors 'self'; sandbox"
)
"""For the sign-up form in a frame of our page: it is looked at, not filled in."""


@router.get("/lists")
@needs(Permission.PEOPLE)
def index(request: Request, runtime: Running, editor: Seated) -> Response:
    """All of them; how many are on them comes a moment later."""
    if editor.newsletter_id is None:
        return page(request, "people/no_newsletter.html")
    counted = "counted" in request.query_params
    with runtime.sessions.reading() as session:
        ours = lists.of_newsletter(session, here(editor))
        sizes = lists.sizes_of(session, here(editor)) if counted else None
    return page(request, "people/lists.html", lists=ours, sizes=sizes, statuses=words.statuses())


@router.get("/lists/sizes")
@needs(Permission.PEOPLE)
def sizes(request: Request, runtime: Running, editor: Seated) -> Response:
    """The table with the people of every list counted, all at once."""
    with runtime.sessions.reading() as session:
        ours = lists.of_newsletter(session, here(editor))
        found = lists.sizes_of(session, here(editor))
    return part(
        request, "people/lists_table.html", lists=ours, sizes=found, statuses=words.statuses()
    )


@router.get("/lists/new")
@needs(Permission.PEOPLE)
def new(request: Request, editor: Seated) -> Response:
    """The form."""
    if editor.newsletter_id is None:
        return page(request, "people/no_newsletter.html")
    return page(request, "people/list_new.html", typed="", problem="")


@router.post("/lists/new")
@needs(Permission.PEOPLE)
def create(request: Request, runtime: Running, editor: Seated, sent: Sent) -> Response:
    """Make a list; what its form says comes next."""
    name = sent.one("name")
    try:
        with runtime.sessions.writing() as session:
            made = lists.create_list(session, name, here(editor))
            audit.record(
                session,
                editor.actor,
                "list.created",
                None,
                newsletter=editor.newsletter_slug,
                list=made.slug,
            )
    except RefusedError:
        # Whose it is is nobody's business: short names are unique over all newsletters.
        problem = _("This name is taken. Choose another one.")
        return page(request, "people/list_new.html", status=422, typed=name, problem=problem)
    except InputError as error:
        problem = capitalised(error.problem)
        return page(request, "people/list_new.html", status=422, typed=name, problem=problem)
    return go(
        request,
        f"/lists/{made.id}",
        said=_("Made %(list)s. This is what its sign-up form will do.", list=made.name),
    )


@router.get("/lists/{list_id}")
@needs(Permission.PEOPLE)
def show(list_id: int, request: Request, runtime: Running, editor: Seated) -> Response:
    """Its settings, the form as it looks, and how to put it on another site."""
    with runtime.sessions.reading() as session:
        shown = _found(session, list_id)
        return _settings(request, runtime, editor, session, shown, ListForm.of(shown), {})


@router.post("/lists/{list_id}")
@needs(Permission.PEOPLE)
def change(
    list_id: int, request: Request, runtime: Running, editor: Seated, sent: Sent
) -> Response:
    """Save, or move the fields about: those are not saved before somebody says so."""
    typed = ListForm.sent(sent)
    deed = sent.one("do")
    if deed:
        with runtime.sessions.reading() as session:
            shown = _found(session, list_id)
            return _settings(request, runtime, editor, session, shown, typed.moved(deed), {})
    wanted, problems = typed.read()
    with runtime.sessions.writing() as session:
        shown = _found(session, list_id)
        if wanted is None:
            return _settings(request, runtime, editor, session, shown, typed, problems)
        different = lists.change_list(session, shown, wanted)
        if different:
            audit.record(
                session,
                editor.actor,
                "list.changed",
                None,
                newsletter=editor.newsletter_slug,
                list=shown.slug,
                changes=different,
            )
    return go(request, f"/lists/{list_id}", said=said(list(different)))


@router.get("/lists/{list_id}/preview")
@needs(Permission.PEOPLE)
def preview(list_id: int, request: Request, runtime: Running, editor: Seated) -> Response:
    """The sign-up page as visitors see it, in a frame that does nothing."""
    with runtime.sessions.reading() as session:
        form = _form(session, editor, _found(session, list_id))
    language = language_of(request)
    html = fragment(
        "sign_up.html",
        language,
        form=form,
        edition=form.edition_in(language),
        sent=Submission(""),
        stamp="",
        challenge="",
        notice="",
        problems={},
        trap=TRAP,
    )
    headers = {"Content-Security-Policy": PREVIEW_POLICY, "Cache-Control": "no-store"}
    return HTMLResponse(html, headers=headers)


def _found(session: Session, list_id: int) -> SubscriberList:
    found = session.get(SubscriberList, list_id)
    if found is None:
        raise HTTPException(404)
    return found


def _form(session: Session, editor: Editor, shown: SubscriberList) -> SignUpForm:
    return SignUpForm.of(shown, session.get_one(Newsletter, here(editor)))


def _settings(
    request: Request,
    runtime: Runtime,
    editor: Editor,
    session: Session,
    shown: SubscriberList,
    typed: ListForm,
    problems: dict[str, str],
) -> Response:
    public_url = runtime.settings.site.public_url
    return page(
        request,
        "people/list.html",
        status=422 if problems else 200,
        shown=shown,
        typed=typed,
        problems=problems,
        most_fields=MAX_FIELDS,
        usual_wording=usual_wording(shown, editor.newsletter_name),
        form_url=f"{public_url}/s/{shown.slug}",
        snippet=snippet(_form(session, editor, shown), public_url, language_of(request)),
        segments=segments.list_segments(session, shown),
    )
