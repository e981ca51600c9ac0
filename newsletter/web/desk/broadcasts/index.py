"""The list of broadcasts, the newest first."""

from fastapi import Request, Response
from sqlalchemy import select
from sqlalchemy.orm import joinedload, selectinload

from newsletter.accounts.permissions import Permission
from newsletter.broadcasts.models import Broadcast, BroadcastList
from newsletter.issues.models import Issue
from newsletter.web.deps import Running
from newsletter.web.desk.broadcasts import words
from newsletter.web.desk.guard import Seated, desk_router, needs
from newsletter.web.desk.pages import page

router = desk_router()
PAGE_ROWS = 50


@router.get("/broadcasts")
@needs(Permission.READ)
def index(request: Request, runtime: Running, editor: Seated) -> Response:
    """A page of them; nothing is counted here."""
    before = request.query_params.get("before", "")
    found = (
        select(Broadcast)
        .join(Issue, Issue.id == Broadcast.issue_id)
        .where(Issue.newsletter_id == editor.newsletter_id)
        .options(
            joinedload(Broadcast.issue),
            selectinload(Broadcast.lists).joinedload(BroadcastList.list),
        )
        .order_by(Broadcast.id.desc())
        .limit(PAGE_ROWS + 1)
    )
    if before.isascii() and before.isdecimal():
        found = found.where(Broadcast.id < int(before[:9]))
    with runtime.sessions.reading() as session:
        rows = session.scalars(found).all()
    after = f"/broadcasts?before={rows[PAGE_ROWS - 1].id}" if len(rows) > PAGE_ROWS else ""
    return page(
        request,
        "broadcasts/index.html",
        broadcasts=rows[:PAGE_ROWS],
        before="/broadcasts" if before else "",
        after=after,
        words=words,
    )
