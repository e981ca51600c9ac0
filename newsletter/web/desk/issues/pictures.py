"""`/issues/{id}/images`: pictures come, each with what it shows or as decoration."""

from collections.abc import Mapping

from fastapi import Request, Response
from starlette.datastructures import UploadFile

from newsletter.accounts.permissions import Permission
from newsletter.core.errors import InputError
from newsletter.core.runtime import Runtime
from newsletter.core.sentences import say
from newsletter.issues import images
from newsletter.web.deps import Running
from newsletter.web.desk.forms import Form, Sent
from newsletter.web.desk.guard import Seated, desk_router, needs
from newsletter.web.desk.issues.desk import opened
from newsletter.web.desk.pages import page
from newsletter.web.desk.problems import capitalised
from newsletter.web.desk.text import _

router = desk_router()
_ROOM_FOR_FIELDS = 100_000


@router.get("/issues/{issue_id}/images")
@needs(Permission.WRITE)
def index(request: Request, issue_id: int, runtime: Running, editor: Seated) -> Response:
    """The newsletter's pictures, and what to write to show them."""
    del editor
    return _page(request, runtime, issue_id)


@router.post("/issues/{issue_id}/images")
@needs(Permission.WRITE, most_bytes=images.MAX_UPLOAD_BYTES + _ROOM_FOR_FIELDS)
def upload(
    request: Request, issue_id: int, runtime: Running, editor: Seated, sent: Sent
) -> Response:
    """Make a picture small and clean, and keep it."""
    try:
        file, alt = _asked(sent)
        made = images.make(file.file.read(images.MAX_UPLOAD_BYTES + 1))
    except InputError as error:
        return _page(request, runtime, issue_id, sent, {error.place: capitalised(error.problem)})
    with runtime.sessions.writing() as session:
        images.add(
            session,
            editor.newsletter,
            made,
            alt=alt,
            name=file.filename or "",
            uploaded_by=editor.user_id,
        )
    return _page(request, runtime, issue_id, said=_("The picture is here. Now insert it."))


def _asked(sent: Form) -> tuple[UploadFile, str]:
    """The file, and what it shows; nothing where it is decoration."""
    file, alt = sent.file("image"), sent.one("alt")
    if sent.one("decorative"):
        alt = ""
    elif not alt:
        raise InputError("alt", say("say what the picture shows, or that it is decoration"))
    if file is None:
        raise InputError("image", say("choose a picture first"))
    return file, alt


def _page(
    request: Request,
    runtime: Runtime,
    issue_id: int,
    sent: Form | None = None,
    problems: Mapping[str, str] | None = None,
    said: str = "",
) -> Response:
    """The list; the part of it alone for a script, which has the rest of the page already."""
    with runtime.sessions.reading() as session:
        issue = opened(session, issue_id).issue
        found = images.latest(session, issue.newsletter_id)
    is_part = bool(request.headers.get("hx-request"))
    return page(
        request,
        "issues/pictures_part.html" if is_part else "issues/pictures.html",
        status=422 if problems else 200,
        issue=issue,
        pictures=[(each, images.path(each)) for each in found],
        markdown_of=images.markdown,
        base_url=runtime.settings.site.public_url,
        alt=sent.one("alt") if sent else "",
        decorative=bool(sent and sent.one("decorative")),
        problems=problems or {},
        done=said,
    )
