"""Unsubscribing: a GET shows, a POST acts, at once and without questions (RFC 8058)."""

from fastapi import APIRouter, HTTPException, Request, Response
from sqlalchemy.orm import Session

from newsletter.rendering.mail_tokens import LeaveToken
from newsletter.tracking import leaving
from newsletter.tracking.leaving import Leaver
from newsletter.web.deps import Running, Visiting
from newsletter.web.pages import render

router = APIRouter()


@router.api_route("/u/{token}", methods=["GET", "HEAD"])
def ask(token: str, request: Request, runtime: Running) -> Response:
    """Whose subscription it is, and one button."""
    with runtime.sessions.reading() as session:
        _, leaver = _who(token, runtime, session)
    return render(request, "leave.html", leaver=leaver, token=token)


@router.post("/u/{token}")
def leave(token: str, request: Request, runtime: Running, visit: Visiting) -> Response:
    """Act, whoever asks: a person by the button, a mail program by `List-Unsubscribe=One-Click`."""
    with runtime.sessions.writing() as session:
        read, leaver = _who(token, runtime, session)
        leaving.leave(session, read, visit)
    return render(request, "left.html", leaver=leaver, token=token)


@router.post("/u/{token}/undo")
def undo(token: str, request: Request, runtime: Running, visit: Visiting) -> Response:
    """It was a mistake: everything as it was, within a day."""
    with runtime.sessions.writing() as session:
        read, leaver = _who(token, runtime, session)
        came_back = leaving.undo(session, read, visit)
    if not came_back:
        return render(request, "too_late.html", status=409, leaver=leaver)
    return render(request, "back.html", leaver=leaver, token=token)


def _who(token: str, runtime: Running, session: Session) -> tuple[LeaveToken, Leaver]:
    read = LeaveToken.read(runtime.keys, token)
    leaver = leaving.who(session, read) if read else None
    if read is None or leaver is None:
        raise HTTPException(404)
    return read, leaver
