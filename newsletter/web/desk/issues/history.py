"""`/issues/{id}/history`: the texts that an issue had, what changed, and back to one."""

from fastapi import Request, Response

from newsletter.accounts.permissions import Permission
from newsletter.broadcasts import sent_issues
from newsletter.issues import comparing, revising, revisions
from newsletter.web.deps import Running
from newsletter.web.desk.forms import Sent
from newsletter.web.desk.guard import Seated, desk_router, needs
from newsletter.web.desk.issues.desk import opened, writer
from newsletter.web.desk.pages import go, page
from newsletter.web.desk.text import _

router = desk_router()


@router.get("/issues/{issue_id}/history")
@needs(Permission.READ)
def index(request: Request, issue_id: int, runtime: Running, editor: Seated) -> Response:
    """Every text that is kept, the current one first."""
    del editor
    with runtime.sessions.reading() as session:
        found = opened(session, issue_id)
        kept = revisions.revisions(session, issue_id)
    return page(request, "issues/history.html", issue=found.issue, kept=kept)


@router.get("/issues/{issue_id}/history/{number}")
@needs(Permission.READ)
def show(
    request: Request, issue_id: int, number: int, runtime: Running, editor: Seated
) -> Response:
    """What changed from that text to the one after it, or to the current one."""
    to_current = request.query_params.get("to") == "current"
    with runtime.sessions.reading() as session:
        found = opened(session, issue_id)
        kept = revisions.revisions(session, issue_id)
        text = revisions.text_of(session, issue_id, number)
        place = next(n for n, each in enumerate(kept) if each.number == number)
        after = kept[0] if to_current else kept[max(place - 1, 0)]
        later = revisions.text_of(session, issue_id, after.number)
    stretches = comparing.compare(text, later)
    return page(
        request,
        "issues/revision.html",
        issue=found.issue,
        this=kept[place],
        after=after,
        current=kept[0],
        text=text,
        to_current=to_current,
        stretches=stretches,
        counts=comparing.count(stretches),
        can_restore=editor.may(Permission.WRITE) and not found.is_fixed and place > 0,
    )


@router.post("/issues/{issue_id}/history/{number}/restore")
@needs(Permission.WRITE)
def restore(
    request: Request, issue_id: int, number: int, runtime: Running, editor: Seated, sent: Sent
) -> Response:
    """That text becomes the newest; the one before stays in the history."""
    with runtime.sessions.writing() as session:
        revising.restore(
            session,
            issue_id,
            number,
            writer=writer(editor),
            expected=sent.number("revision") or 0,
            is_sent=lambda issue: sent_issues.was_sent(session, issue),
        )
    return go(request, f"/issues/{issue_id}", said=_("The earlier text is back."))
