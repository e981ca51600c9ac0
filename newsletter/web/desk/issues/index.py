"""`/issues`: the newsletter's issues and where they stand."""

from datetime import date

from fastapi import Request, Response
from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from newsletter.accounts.permissions import Permission
from newsletter.broadcasts import checking, issue_states
from newsletter.broadcasts.issue_states import IssueState
from newsletter.issues.models import Issue
from newsletter.web.deps import Running
from newsletter.web.desk.guard import Seated, desk_router, needs
from newsletter.web.desk.issues import words
from newsletter.web.desk.pages import page

router = desk_router()
PAGE_ROWS = 25


@router.get("/issues")
@needs(Permission.READ)
def index(request: Request, runtime: Running, editor: Seated) -> Response:
    """The newest first; what was not sent yet is looked at for errors."""
    before = _day(request.query_params.get("before", ""))
    with runtime.sessions.reading() as session:
        found = issue_states.issues_of(
            session, editor.newsletter_id or 0, before=before, most=PAGE_ROWS + 1
        )
        issues = found[:PAGE_ROWS]
        sendings = issue_states.sendings(session, [issue.id for issue in issues])
        unsent = _with_texts(session, [issue.id for issue in issues if issue.id not in sendings])
    states = {issue_id: sending.state for issue_id, sending in sendings.items()}
    for issue in unsent:
        is_ready = checking.is_ready(issue, runtime.settings)
        states[issue.id] = IssueState.READY if is_ready else IssueState.DRAFT
    return page(
        request,
        "issues/index.html",
        issues=issues,
        sendings=sendings,
        states={issue_id: words.states()[state] for issue_id, state in states.items() if state},
        before=before,
        next_before=issues[-1].date if len(found) > PAGE_ROWS else None,
    )


def _with_texts(session: Session, issue_ids: list[int]) -> list[Issue]:
    query = select(Issue).where(Issue.id.in_(issue_ids)).options(joinedload(Issue.newsletter))
    return list(session.scalars(query.execution_options(populate_existing=True)))


def _day(text: str) -> date | None:
    """Whatever is no day asks for the first page."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
