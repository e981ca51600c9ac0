"""Pixel and click: a GET records an event, a HEAD a machine's; nothing else changes."""

from base64 import b64decode

from fastapi import APIRouter, HTTPException, Response
from fastapi.responses import RedirectResponse

from newsletter.rendering.mail_tokens import TrackingToken
from newsletter.tracking.links import destination
from newsletter.tracking.models import EventKind
from newsletter.tracking.recording import record
from newsletter.web.deps import Running, Visiting, Writing

router = APIRouter()

PIXEL = b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
_NEVER_STORED = {"Cache-Control": "no-store, private"}


@router.api_route("/o/{token}.gif", methods=["GET", "HEAD"])
def opened(token: str, runtime: Running, session: Writing, visit: Visiting) -> Response:
    """A mail was shown, by somebody or something."""
    read = _read(runtime, token)
    record(session, EventKind.OPEN, read, visit)
    return Response(PIXEL, media_type="image/gif", headers=_NEVER_STORED)


@router.api_route("/c/{token}/{number}", methods=["GET", "HEAD"])
def clicked(
    token: str, number: int, runtime: Running, session: Writing, visit: Visiting
) -> Response:
    """A link was followed: on to the destination that was frozen with the broadcast."""
    read = _read(runtime, token)
    url = destination(runtime.sessions, read.broadcast_id, number)
    if url is None:
        raise HTTPException(404)
    record(session, EventKind.CLICK, read, visit, link=number)
    return RedirectResponse(url, status_code=302, headers=_NEVER_STORED)


def _read(runtime: Running, token: str) -> TrackingToken:
    read = TrackingToken.read(runtime.keys, token)
    if read is None:
        raise HTTPException(404)
    return read
