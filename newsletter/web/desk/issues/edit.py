"""`/issues/{id}`: the text on one side, what becomes of it on the other."""

from fastapi import Request, Response

from newsletter.accounts.permissions import Permission
from newsletter.web.deps import Running
from newsletter.web.desk.forms import Sent
from newsletter.web.desk.guard import Seated, desk_router, needs
from newsletter.web.desk.issues import words
from newsletter.web.desk.issues.desk import (
    MOST_BYTES,
    about,
    edit_page,
    looked_at,
    opened,
    state_of,
)
from newsletter.web.desk.pages import part

router = desk_router()


@router.get("/issues/{issue_id}")
@needs(Permission.READ)
def show(request: Request, issue_id: int, runtime: Running, editor: Seated) -> Response:
    """The editor; for who may not write, and of what was sent, only to read."""
    return edit_page(request, runtime, editor, issue_id)


@router.post("/issues/{issue_id}/check")
@needs(Permission.READ, most_bytes=MOST_BYTES)
def check(
    request: Request, issue_id: int, runtime: Running, editor: Seated, sent: Sent
) -> Response:
    """What is found in a text that is being written; nothing is kept."""
    with runtime.sessions.reading() as session:
        found = opened(session, issue_id)
    checked = looked_at(request, sent.text("text"), found.issue, editor)
    read_only = found.is_fixed or not editor.may(Permission.WRITE)
    return part(
        request,
        "issues/checked.html",
        read_only=read_only,
        issue_id=issue_id,
        state=words.states()[state_of(found.sending, checked)],
        **about(checked),
    )
