"""Save what the editor sent, perhaps changed on the way; nothing typed is ever lost.

A script asks for JSON and goes on; a form gets a page.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import Depends, Request, Response
from fastapi.responses import JSONResponse
from sqlalchemy.orm import Session

from newsletter.accounts.permissions import Permission
from newsletter.broadcasts import sent_issues
from newsletter.core.errors import NewsletterError, NotFoundError
from newsletter.core.runtime import Runtime
from newsletter.issues import comparing, revising, revisions
from newsletter.issues.revising import Saved, StaleError
from newsletter.issues.source import SourceError
from newsletter.web.deps import Running
from newsletter.web.desk.editor import Editor
from newsletter.web.desk.forms import Form, Sent
from newsletter.web.desk.guard import Seated, desk_router, needs
from newsletter.web.desk.issues.desk import MOST_BYTES, edit_page, opened, writer
from newsletter.web.desk.pages import go, page
from newsletter.web.desk.problems import capitalised
from newsletter.web.desk.text import _

router = desk_router()
_CONFLICT, _UNPROCESSABLE = 409, 422


@dataclass(frozen=True, slots=True)
class Asked:
    """A text that was sent to be kept: by whom, for which issue, over which revision."""

    request: Request
    runtime: Runtime
    editor: Editor
    issue_id: int
    sent: Form

    @property
    def text(self) -> str:
        return self.sent.text("text")

    @property
    def revision(self) -> int:
        return self.sent.number("revision") or 0

    @property
    def wants_json(self) -> bool:
        return "application/json" in self.request.headers.get("accept", "")


async def _asked(
    request: Request, issue_id: int, runtime: Running, editor: Seated, sent: Sent
) -> Asked:
    return Asked(request, runtime, editor, issue_id, sent)


Asking = Annotated[Asked, Depends(_asked)]


@router.post("/issues/{issue_id}/save")
@needs(Permission.WRITE, most_bytes=MOST_BYTES)
def save(asked: Asking) -> Response:
    """Keep the text as it is."""
    return keep(asked)


@router.post("/issues/{issue_id}/theirs")
@needs(Permission.WRITE, most_bytes=MOST_BYTES)
def take_theirs(asked: Asking) -> Response:
    """Go on with the other's text; one's own stands in the history, one step back."""
    try:
        with asked.runtime.sessions.writing() as session:
            theirs = revisions.text_of(session, asked.issue_id, asked.revision)
            mine = _save(session, asked, asked.text, asked.revision)
            _save(session, asked, theirs, mine.revision)
    except NotFoundError:
        return keep(asked)  # changed again meanwhile: another page with two texts says so
    except StaleError as error:
        return _conflict(asked, asked.text, error)
    said = _("You go on with the other text. Yours is in the history.")
    return go(asked.request, f"/issues/{asked.issue_id}", said=said)


def keep(asked: Asked, change: Callable[[str], str] | None = None, said: str = "") -> Response:
    """Save the text that was sent; if anything is to be changed, the changed one after it.

    Where it cannot be changed it comes back as it was sent, with the reason.
    """
    text = asked.text
    try:
        text = change(text) if change else text
        with asked.runtime.sessions.writing() as session:
            saved = _save(session, asked, asked.text, asked.revision)
            if change:
                saved = _save(session, asked, text, saved.revision, beside=True)
    except StaleError as error:
        return _conflict(asked, text, error)
    except NewsletterError as error:
        return _refused(asked, sentence(error))
    if asked.wants_json:
        return _as_json(asked, saved, said, text if change else None)
    return go(asked.request, f"/issues/{asked.issue_id}", said=said or _("Saved."))


def sentence(error: NewsletterError) -> str:
    """What is wrong; of a text, in which line."""
    problem = capitalised(getattr(error, "problem", "") or error.sentence)
    line = error.place.rpartition(":")[2] if isinstance(error, SourceError) else ""
    return _("Line %(line)s: %(problem)s", line=line, problem=problem) if line else problem


def _save(
    session: Session, asked: Asked, text: str, revision: int, *, beside: bool = False
) -> Saved:
    return revising.save(
        session,
        asked.issue_id,
        text,
        writer=writer(asked.editor),
        expected=revision,
        is_sent=lambda issue: sent_issues.was_sent(session, issue),
        autosave=asked.sent.one("autosave") == "1",
        beside=beside or asked.sent.one("beside") == "1",
    )


def _refused(asked: Asked, problem: str) -> Response:
    if asked.wants_json:
        return JSONResponse({"problem": problem}, _UNPROCESSABLE)
    return edit_page(
        asked.request,
        asked.runtime,
        asked.editor,
        asked.issue_id,
        text=asked.text,
        revision=asked.revision,
        problem=problem,
        status=_UNPROCESSABLE,
    )


def _as_json(asked: Asked, saved: Saved, said: str, text: str | None) -> Response:
    clock = _clock(saved.at, asked.editor)
    return JSONResponse(
        {
            "revision": saved.revision,
            "saved": _("Saved %(clock)s", clock=clock),
            "said": said,
            "problem": sentence(saved.problem) if saved.problem else "",
            "text": text,
        }
    )


def _conflict(asked: Asked, text: str, error: StaleError) -> Response:
    """Somebody was quicker: both texts, and what differs between them."""
    is_own = error.user_id == asked.editor.user_id
    who = _("another window of yours") if is_own else error.who or _("somebody")
    if asked.wants_json:
        clock = _clock(error.at, asked.editor)
        problem = _("%(who)s changed this issue at %(clock)s.", who=who, clock=clock)
        return JSONResponse({"problem": problem}, _CONFLICT)
    with asked.runtime.sessions.reading() as session:
        issue = opened(session, asked.issue_id).issue
    return page(
        asked.request,
        "issues/conflict.html",
        status=_CONFLICT,
        issue=issue,
        who=who,
        theirs=error,
        text=text,
        stretches=comparing.compare(error.text, text),
    )


def _clock(at: datetime, editor: Editor) -> str:
    return f"{at.astimezone(editor.zone):%H:%M}"
