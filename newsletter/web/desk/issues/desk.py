"""What the pages of one issue have in common: the issue opened, and the page that edits it."""

from dataclasses import dataclass
from datetime import date
from typing import Any

from fastapi import Request, Response
from sqlalchemy.orm import Session, joinedload

from newsletter.accounts.models import MAX_NAME_CHARACTERS
from newsletter.accounts.permissions import Permission
from newsletter.broadcasts import checking, issue_states, planning
from newsletter.broadcasts.checking import CLIPPED_BYTES, Checked
from newsletter.broadcasts.issue_states import IssueState, Sending
from newsletter.core.clock import now
from newsletter.core.runtime import Runtime
from newsletter.issues import arranging, images
from newsletter.issues.models import Issue
from newsletter.issues.revisions import Writer
from newsletter.issues.source import SourceForm
from newsletter.rendering.preflight import MAX_BYTES, WARN_BYTES
from newsletter.web.desk.editor import Editor
from newsletter.web.desk.issues import words
from newsletter.web.desk.issues.unseen_pictures import outside, with_unseen
from newsletter.web.desk.pages import page

MOST_BYTES = 4_000_000
"""Of a form with an issue's text: a million bytes, each of which may be sent as three."""


@dataclass(frozen=True, slots=True)
class Opened:
    """An issue and what became of it; `is_fixed`: somebody has it, so it does not change."""

    issue: Issue
    sending: Sending
    is_fixed: bool


def opened(session: Session, issue_id: int) -> Opened:
    """The issue; the guard has seen to it that it is there, and whose it is."""
    issue = session.get_one(Issue, issue_id, options=[joinedload(Issue.newsletter)])
    sending = issue_states.sendings(session, [issue_id]).get(issue_id, Sending())
    return Opened(issue, sending, planning.was_sent(session, issue))


def today(editor: Editor) -> date:
    """Where the editor is."""
    return now().astimezone(editor.zone).date()


def writer(editor: Editor) -> Writer:
    """An address may be longer than a name that is kept beside a text."""
    return Writer(editor.user_id, (editor.name or editor.email)[:MAX_NAME_CHARACTERS])


def edit_page(  # noqa: PLR0913 - named one by one
    request: Request,
    runtime: Runtime,
    editor: Editor,
    issue_id: int,
    *,
    text: str | None = None,
    revision: int | None = None,
    problem: str = "",
    status: int = 200,
) -> Response:
    """The page that edits an issue; with `text` one that is not stored, and why."""
    with runtime.sessions.reading() as session:
        found = opened(session, issue_id)
        pictures = images.latest(session, found.issue.newsletter_id)
    issue = found.issue
    shown = issue.source if text is None else text
    checked = looked_at(request, shown, issue, editor)
    return page(
        request,
        "issues/edit.html",
        status=status,
        issue=issue,
        text=shown,
        revision=issue.revision if revision is None else revision,
        is_stored=text is None,
        problem=problem,
        sending=found.sending,
        state=words.states()[state_of(found.sending, checked)],
        read_only=found.is_fixed or not editor.may(Permission.WRITE),
        is_fixed=found.is_fixed,
        pictures=[(each, images.path(each)) for each in pictures],
        base_url=runtime.settings.site.public_url,
        markdown_of=images.markdown,
        preview=preview_choices(request),
        words=words,
        **about(checked),
    )


def looked_at(request: Request, text: str, issue: Issue, editor: Editor) -> Checked:
    """The text checked, with what the preview found out about its pictures."""
    runtime: Runtime = request.app.state.runtime
    checked = checking.check(text, issue, runtime.settings, today=today(editor))
    with runtime.sessions.reading() as session:
        gone = images.gone(session, text, runtime.settings.site.public_url)
    return with_unseen(checked, text, request.app.state.outside_pictures, gone)


def state_of(sending: Sending, checked: Checked) -> IssueState:
    """Where it stands: by its broadcasts, else by its text."""
    return sending.state or (IssueState.READY if checked.is_ready else IssueState.DRAFT)


def about(checked: Checked) -> dict[str, Any]:
    """What the part `issues/checked.html` shows."""
    source = checked.source
    can_arrange = source is not None and source.form is SourceForm.MARKDOWN
    return {
        "checked": checked,
        "has_outside_pictures": bool(outside(checked)),
        "is_digest": source is not None and source.form is SourceForm.DIGEST,
        "places": arranging.places(source) if source and can_arrange else [],
        "sections": [section.title for section in source.sections] if source else [],
        "clipped_bytes": CLIPPED_BYTES,
        "warn_bytes": WARN_BYTES,
        "most_bytes": MAX_BYTES,
    }


def preview_choices(request: Request) -> dict[str, str]:
    """What the page's address asks the preview to show; whatever is unknown is the first choice."""
    offered = {
        "shape": words.shapes(),
        "width": words.widths(),
        "scheme": words.schemes(),
        "reader": words.readers(),
    }
    return {
        name: _one_of(request.query_params.get(name, ""), [key for key, _ in choices])
        for name, choices in offered.items()
    }


def _one_of(asked: str, keys: list[str]) -> str:
    return asked if asked in keys else keys[0]
