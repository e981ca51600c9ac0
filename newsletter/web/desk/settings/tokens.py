"""API tokens of the newsletter: made here, shown once, revoked."""

from collections.abc import Mapping
from datetime import timedelta

from fastapi import Request, Response

from newsletter.accounts import api_tokens, audit
from newsletter.accounts.models import User
from newsletter.accounts.permissions import Permission
from newsletter.core.clock import now
from newsletter.core.errors import InputError
from newsletter.core.runtime import Runtime
from newsletter.web.deps import Running
from newsletter.web.desk.editor import Editor
from newsletter.web.desk.forms import Sent
from newsletter.web.desk.guard import Seated, desk_router, needs
from newsletter.web.desk.pages import go, page
from newsletter.web.desk.problems import capitalised
from newsletter.web.desk.text import _

router = desk_router()

_DEFAULT_DAYS = 365


@router.get("/settings/tokens")
@needs(Permission.SETTINGS)
def index(request: Request, runtime: Running, editor: Seated) -> Response:
    """The newsletter's tokens, and a form that makes one."""
    if editor.newsletter_id is None:
        return go(request, "/settings")
    return _index(request, runtime, editor)


@router.post("/settings/tokens")
@needs(Permission.SETTINGS)
def make(request: Request, runtime: Running, editor: Seated, sent: Sent) -> Response:
    """Make one and show it, this once."""
    if editor.newsletter_id is None:
        return go(request, "/settings")
    name, scopes = sent.one("name"), sent.all("scope")
    try:
        days = sent.number("days")
        wanted = [Permission(scope) for scope in scopes if scope in api_tokens.SCOPES]
        until = now() + timedelta(days=min(days, api_tokens.LONGEST_DAYS + 1)) if days else None
        with runtime.sessions.writing() as session:
            made, text = api_tokens.make(
                session,
                session.get_one(User, editor.user_id),
                editor.newsletter_id,
                name=name,
                scopes=wanted,
                expires_at=until,
            )
            audit.record(
                session,
                editor.actor,
                "token.made",
                token=made.id,
                newsletter=editor.newsletter_slug,
                scopes=made.scopes,
            )
    except InputError as error:
        typed = {"name": name, "scopes": scopes, "days": sent.one("days")}
        return _index(request, runtime, editor, typed, {error.place: capitalised(error.problem)})
    return page(request, "settings/token_made.html", token=made, text=text)


@router.post("/settings/tokens/{token_id}/revoke")
@needs(Permission.SETTINGS)
def revoke(request: Request, runtime: Running, editor: Seated, token_id: int) -> Response:
    """End one for good."""
    with runtime.sessions.writing() as session:
        token = api_tokens.revoke(session, token_id)
        audit.record(
            session,
            editor.actor,
            "token.revoked",
            token=token_id,
            newsletter=editor.newsletter_slug,
        )
    return go(
        request, "/settings/tokens", said=_("%(name)s lets nobody in any more.", name=token.name)
    )


def _index(
    request: Request,
    runtime: Runtime,
    editor: Editor,
    typed: Mapping[str, object] | None = None,
    problems: Mapping[str, str] | None = None,
) -> Response:
    with runtime.sessions.reading() as session:
        found = api_tokens.of_newsletter(session, editor.newsletter)
        rows = [(token, maker, api_tokens.standing(token, maker)) for token, maker in found]
    return page(
        request,
        "settings/tokens.html",
        status=422 if problems else 200,
        rows=rows,
        scopes=_scopes(editor),
        words=_words(),
        states={
            "active": (_("active"), "good"),
            "revoked": (_("revoked"), "quiet"),
            "expired": (_("expired"), "quiet"),
            "without its maker": (_("worth nothing: its maker may not do this"), "wrong"),
        },
        typed=typed or {"name": "", "scopes": [Permission.READ], "days": _DEFAULT_DAYS},
        problems=problems or {},
    )


def _scopes(editor: Editor) -> list[tuple[Permission, str]]:
    """What a token can be for: what its maker may do."""
    said = _words()
    return [(scope, said[scope]) for scope in api_tokens.SCOPES if editor.may(scope)]


def _words() -> dict[Permission, str]:
    return {
        Permission.READ: _("Read issues and reports"),
        Permission.WRITE: _("Write issues, send test mails"),
        Permission.SEND: _("Send, approve, steer"),
        Permission.PEOPLE: _("People, lists, segments, suppressions"),
        Permission.SETTINGS: _("Settings of the newsletter"),
    }
