"""Unsubscribing: a GET shows, a POST acts, at once and without questions (RFC 8058)."""

from typing import Any

from fastapi import APIRouter, HTTPException, Request, Response
from sqlalchemy.orm import Session

from newsletter.core.runtime import Runtime
from newsletter.rendering.mail_tokens import Door, LeaveToken, PreferencesToken, UndoToken
from newsletter.sending import owner_letters
from newsletter.tracking import leaving
from newsletter.tracking.leaving import Leaver
from newsletter.web.deps import Running, Visiting
from newsletter.web.forms import Sent
from newsletter.web.pages import language_of, render
from subscribers import subscriptions
from subscribers.models import MAX_REMARK_CHARACTERS, LeaveReason
from subscribers.reasons import SENTENCES

router = APIRouter()


@router.api_route("/u/{token}", methods=["GET", "HEAD"])
def ask(token: str, request: Request, runtime: Running) -> Response:
    """Whose subscription it is, and one button."""
    with runtime.sessions.reading() as session:
        read, leaver = _who(token, runtime, session)
    return _page(
        request, "leave.html", leaver, token=token, preferences=_preferences(read, runtime)
    )


@router.post("/u/{token}")
def leave(token: str, request: Request, runtime: Running, visit: Visiting) -> Response:
    """Act, whoever asks: a person by the button, a mail program by `List-Unsubscribe=One-Click`."""
    with runtime.sessions.writing() as session:
        read, leaver = _who(token, runtime, session)
        undo = leaving.taking_back(read, leaving.leave(session, read, visit))
        if undo and read.door is Door.BODY:  # it may have been a forwarded copy's reader
            asked_in = language_of(request)
            owner_letters.tell_of_leaving(session, runtime, undo, asked_in=asked_in)
    return _left(request, runtime, read, leaver, undo)


@router.post("/u/{token}/pause")
def pause(token: str, request: Request, runtime: Running, visit: Visiting) -> Response:
    """Instead of leaving: no issue for a month."""
    with runtime.sessions.writing() as session:
        read, leaver = _who(token, runtime, session)
        until = leaving.pause(session, read, visit)
    return _page(
        request,
        "paused.html",
        leaver,
        until=until,
        preferences=_preferences(read, runtime),
    )


@router.post("/u/{token}/reason")
def say_why(token: str, request: Request, runtime: Running, form: Sent) -> Response:
    """Why, if they like to say; nothing depends on it."""
    reason = form.one("reason")
    with runtime.sessions.writing() as session:
        read, leaver = _who(token, runtime, session)
        leaving.say_why(
            session,
            read,
            LeaveReason(reason) if reason in list(LeaveReason) else None,
            form.one("remark"),
        )
    undo = UndoToken.read(runtime.keys, form.one("undo"))
    return _left(request, runtime, read, leaver, undo, has_said=True)


@router.api_route("/undo/{token}", methods=["GET", "HEAD"])
def ask_to_undo(token: str, request: Request, runtime: Running) -> Response:
    """Where the letter to the owner leads: one button."""
    with runtime.sessions.reading() as session:
        _, leaver = _who_left(token, runtime, session)
    return _page(request, "undo.html", leaver, token=token)


@router.post("/undo/{token}")
def undo(token: str, request: Request, runtime: Running, visit: Visiting) -> Response:
    """It was a mistake: everything as it was, within a day."""
    with runtime.sessions.writing() as session:
        read, leaver = _who_left(token, runtime, session)
        came_back = leaving.undo(session, read, visit)
        has_any = subscriptions.has_any(session, read.subscriber_id, read.newsletter_id)
    if not came_back:
        page, status = ("nothing_to_undo.html", 200) if has_any else ("too_late.html", 409)
        return _page(request, page, leaver, status=status)
    return _page(
        request,
        "back.html",
        leaver,
        token=_leaving_anew(read).mint(runtime.keys),
        preferences=_preferences(read, runtime),
    )


def _who(token: str, runtime: Runtime, session: Session) -> tuple[LeaveToken, Leaver]:
    read = LeaveToken.read(runtime.keys, token)
    leaver = leaving.who(session, read) if read else None
    if read is None or leaver is None:
        raise HTTPException(404)
    return read, leaver


def _who_left(token: str, runtime: Runtime, session: Session) -> tuple[UndoToken, Leaver]:
    read = UndoToken.read(runtime.keys, token)
    leaver = leaving.who(session, read) if read else None
    if read is None or leaver is None:
        raise HTTPException(404)
    return read, leaver


def _leaving_anew(read: UndoToken) -> LeaveToken:
    return LeaveToken(
        Door.BODY, read.newsletter_id, read.subscriber_id, read.broadcast_id, read.delivery_id
    )


def _left(
    request: Request,
    runtime: Runtime,
    read: LeaveToken,
    leaver: Leaver,
    undo: UndoToken | None,
    *,
    has_said: bool = False,
) -> Response:
    return _page(
        request,
        "left.html",
        leaver,
        token=read.mint(runtime.keys),
        undo=undo.mint(runtime.keys) if undo else "",
        preferences=_preferences(read, runtime),
        reasons=SENTENCES,
        longest_remark=MAX_REMARK_CHARACTERS,
        has_said=has_said,
    )


def _page(
    request: Request, name: str, leaver: Leaver, *, status: int = 200, **variables: Any
) -> Response:
    return render(request, name, status=status, locale=leaver.locale, leaver=leaver, **variables)


def _preferences(read: LeaveToken | UndoToken, runtime: Runtime) -> str:
    """The path of the page with everything else."""
    token = PreferencesToken(read.newsletter_id, read.subscriber_id)
    return f"/p/{token.mint(runtime.keys)}"
