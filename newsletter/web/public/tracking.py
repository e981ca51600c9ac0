"""Pixel and click: a GET records an event, a HEAD a machine's; nothing else changes.

The hot routes: they hold no thread and no transaction while they wait for the common commit.
"""

import asyncio
from base64 import b64decode

from fastapi import APIRouter, HTTPException, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse

from newsletter.rendering.mail_tokens import TrackingToken
from newsletter.tracking.models import EventKind
from newsletter.tracking.recording import Fetch
from newsletter.web.deps import Following, Recording, Running, Visiting

router = APIRouter()

PIXEL = b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
_NEVER_STORED = {"Cache-Control": "no-store, private"}


@router.api_route("/o/{token}.gif", methods=["GET", "HEAD"])
async def opened(token: str, runtime: Running, recorder: Recording, visit: Visiting) -> Response:
    """A mail was shown, by somebody or something."""
    read = _read(runtime, token)
    await asyncio.wrap_future(recorder.record(Fetch(EventKind.OPEN, read, visit)))
    return Response(PIXEL, media_type="image/gif", headers=_NEVER_STORED)


@router.api_route("/c/{token}/{number}", methods=["GET", "HEAD"])
async def clicked(
    token: str,
    number: int,
    runtime: Running,
    links: Following,
    recorder: Recording,
    visit: Visiting,
) -> Response:
    """A link was followed: on to the destination that was frozen with the broadcast."""
    read = _read(runtime, token)
    destinations = links.remembered(read.broadcast_id)
    if destinations is None:
        destinations = await run_in_threadpool(links.read, read.broadcast_id)
    if number not in destinations:
        raise HTTPException(404)
    await asyncio.wrap_future(recorder.record(Fetch(EventKind.CLICK, read, visit, number)))
    return RedirectResponse(destinations[number], status_code=302, headers=_NEVER_STORED)


def _read(runtime: Running, token: str) -> TrackingToken:
    read = TrackingToken.read(runtime.keys, token)
    if read is None:
        raise HTTPException(404)
    return read
