"""`/issues/new`: an issue from a skeleton, or from a text that is there already."""

from datetime import date

from fastapi import Request, Response

from newsletter.accounts.permissions import Permission
from newsletter.core.errors import InputError
from newsletter.core.sentences import say
from newsletter.issues import beginning
from newsletter.issues.placing import next_free_day
from newsletter.web.deps import Running
from newsletter.web.desk.forms import Form, Sent
from newsletter.web.desk.guard import Seated, desk_router, needs
from newsletter.web.desk.issues.desk import MOST_BYTES, today, writer
from newsletter.web.desk.pages import go, page
from newsletter.web.desk.problems import capitalised
from newsletter.web.desk.text import _

router = desk_router()


@router.get("/issues/new")
@needs(Permission.WRITE)
def form(request: Request, runtime: Running, editor: Seated) -> Response:
    """Asks for a date, at first the next one without an issue, and for a text, which may wait."""
    with runtime.sessions.reading() as session:
        day = next_free_day(session, editor.newsletter_id or 0, today(editor))
    return page(request, "issues/new.html", date=day.isoformat(), text="", problems={})


@router.post("/issues/new")
@needs(Permission.WRITE, most_bytes=MOST_BYTES)
def begin(request: Request, runtime: Running, editor: Seated, sent: Sent) -> Response:
    """The editor opens with it; what cannot be read comes back with what is wrong."""
    text = sent.text("text")
    try:
        begun = _text(sent)
        with runtime.sessions.writing() as session:
            issue = beginning.begin(session, editor.newsletter, begun, writer(editor))
    except InputError as error:
        field = "date" if error.place == "date" else "text"
        return page(
            request,
            "issues/new.html",
            status=422,
            date=sent.one("date"),
            text=text,
            problems={field: _sentence(error, is_pasted=bool(text.strip()))},
        )
    pasted = _("The text is taken over. What preflight finds stands beside its lines.")
    said = pasted if text.strip() else _("The issue is there. Now write it.")
    return go(request, f"/issues/{issue.id}", said=said)


def _text(sent: Form) -> str:
    try:
        day = date.fromisoformat(sent.one("date"))
    except ValueError:
        raise InputError("date", say("expected a day such as 2026-06-17")) from None
    text = sent.text("text")
    return beginning.dated(text, day) if text.strip() else beginning.skeleton(day)


def _sentence(error: InputError, *, is_pasted: bool) -> str:
    line = error.place.rpartition(":")[2]
    if is_pasted and line.isdigit():
        return _("Line %(line)s: %(problem)s", line=line, problem=capitalised(error.problem))
    return capitalised(error.problem)
