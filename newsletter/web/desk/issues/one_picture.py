"""`/issues/{id}/images/{number}`: one picture, what it shows, who shows it, and deleting it."""

from collections.abc import Mapping

from fastapi import Request, Response

from newsletter.accounts.permissions import Permission
from newsletter.broadcasts import issue_states, picture_use
from newsletter.broadcasts.issue_states import Sending
from newsletter.core.errors import RefusedError
from newsletter.core.runtime import Runtime
from newsletter.issues import images
from newsletter.rendering.templates import TemplateFolders
from newsletter.web.deps import Running
from newsletter.web.desk.forms import Sent
from newsletter.web.desk.guard import Seated, desk_router, needs
from newsletter.web.desk.issues import words
from newsletter.web.desk.issues.desk import opened
from newsletter.web.desk.pages import go, page
from newsletter.web.desk.text import _

router = desk_router()
_PATH = "/issues/{issue_id}/images/{number}"


@router.get(_PATH)
@needs(Permission.WRITE)
def show(
    request: Request, issue_id: int, number: int, runtime: Running, editor: Seated
) -> Response:
    """The picture by itself."""
    del editor
    return _page(request, runtime, issue_id, number)


@router.post(_PATH)
@needs(Permission.WRITE)
def describe(
    request: Request, issue_id: int, number: int, runtime: Running, editor: Seated, sent: Sent
) -> Response:
    """Say anew what it shows, or that it is decoration."""
    alt = "" if sent.one("decorative") else sent.one("alt")
    if not alt and not sent.one("decorative"):
        problems = {"alt": _("Say what the picture shows, or that it is decoration.")}
        return _page(request, runtime, issue_id, number, problems)
    with runtime.sessions.writing() as session:
        images.describe(images.of_newsletter(session, editor.newsletter, number), alt)
    said = _("Saved. Texts that show it already keep what they say.")
    return go(request, f"/issues/{issue_id}/images", said=said)


@router.post(f"{_PATH}/delete")
@needs(Permission.WRITE)
def delete(
    request: Request, issue_id: int, number: int, runtime: Running, editor: Seated
) -> Response:
    """For good, unless an issue shows it."""
    try:
        templates = _templates(runtime)
        with runtime.sessions.writing() as session:
            picture = images.of_newsletter(session, editor.newsletter, number)
            picture_use.delete(session, picture, templates)
    except RefusedError:
        return _page(request, runtime, issue_id, number, is_refused=True)
    return go(request, f"/issues/{issue_id}/images", said=_("The picture is deleted."))


def _page(
    request: Request,
    runtime: Runtime,
    issue_id: int,
    number: int,
    problems: Mapping[str, str] | None = None,
    *,
    is_refused: bool = False,
) -> Response:
    with runtime.sessions.reading() as session:
        issue = opened(session, issue_id).issue
        picture = images.of_newsletter(session, issue.newsletter_id, number)
        shown = picture_use.shown_in(session, picture)
        ours = [each for each in shown if each.newsletter_id == issue.newsletter_id]
        sendings = issue_states.sendings(session, [each.id for each in ours])
        is_sign = picture_use.is_sign(session, picture)
    return page(
        request,
        "issues/picture.html",
        status=422 if problems else 409 if is_refused else 200,
        issue=issue,
        picture=picture,
        path=images.path(picture),
        shown=[(each, _state(sendings.get(each.id))) for each in ours],
        is_elsewhere=len(ours) < len(shown),
        is_sign=is_sign,
        templates=picture_use.in_templates(_templates(runtime), picture),
        is_refused=is_refused,
        problems=problems or {},
    )


def _templates(runtime: Runtime) -> TemplateFolders:
    return TemplateFolders.of(runtime.settings.templates.dir)


def _state(sending: Sending | None) -> tuple[str, str]:
    return words.states()[sending.state] if sending and sending.state else (_("Not sent"), "quiet")
