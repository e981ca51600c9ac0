"""The web versions of issues that were sent."""

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.responses import HTMLResponse
from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from newsletter.broadcasts.models import Broadcast, Content
from newsletter.broadcasts.sent_issues import reached_somebody
from newsletter.issues.models import Issue, Newsletter
from newsletter.rendering.compiled import CompiledEmail
from newsletter.rendering.palette import Palette, as_style_sheet
from newsletter.web.deps import Running
from newsletter.web.pages import render

router = APIRouter()


def _named(slug: str) -> str:
    """What PostgreSQL cannot even be asked for is nobody's name."""
    if "\0" in slug:
        raise HTTPException(404)
    return slug


Named = Annotated[str, Depends(_named)]
"""The newsletter in the address of a page."""


@router.api_route("/archive/{slug}", methods=["GET", "HEAD"])
def index(slug: Named, request: Request, runtime: Running) -> Response:
    """Every issue of a newsletter that somebody got, the newest first."""
    with runtime.sessions.reading() as session:
        newsletter = session.scalar(select(Newsletter).where(Newsletter.slug == slug))
        if newsletter is None:
            raise HTTPException(404)
        issues = _sent(session, newsletter.id)
    return render(request, "archive.html", newsletter=newsletter, issues=issues)


@router.api_route("/archive/{slug}/colours.css", methods=["GET", "HEAD"])
def colours(slug: Named, runtime: Running) -> Response:
    """The newsletter's colours of today, for the web versions of its issues."""
    with runtime.sessions.reading() as session:
        own = session.scalar(select(Newsletter.palette).where(Newsletter.slug == slug))
    if own is None:
        raise HTTPException(404)
    return Response(as_style_sheet(Palette.of(own)), media_type="text/css")


@router.api_route("/archive/{slug}/{day}", methods=["GET", "HEAD"])
def issue(slug: Named, day: date, runtime: Running) -> Response:
    """One issue as it was frozen when somebody got it last; no pixel, nobody's data."""
    with runtime.sessions.reading() as session:
        compiled = session.scalars(
            select(Content.compiled)
            .join(Broadcast, Broadcast.id == Content.broadcast_id)
            .join(Issue)
            .join(Newsletter)
            .where(Newsletter.slug == slug, Issue.date == day, reached_somebody())
            .order_by(Broadcast.id.desc())
        ).first()
    if compiled is None:
        raise HTTPException(404)
    return HTMLResponse(CompiledEmail.from_json(compiled).webpage)


def _sent(session: Session, newsletter_id: int) -> list[Row[date, str]]:
    """(date, subject) of the issues that somebody got."""
    rows = session.execute(
        select(Issue.date, Issue.subject)
        .join(Broadcast)
        .where(
            Issue.newsletter_id == newsletter_id,
            reached_somebody(),
        )
        .distinct()
        .order_by(Issue.date.desc())
    )
    return list(rows)
