"""`/pictures/{token}`: a picture from elsewhere in a mail that the desk shows in a frame.

A frame without an origin sends no cookie, so the address itself says that we made it.
"""

import asyncio
from pathlib import Path

from fastapi import HTTPException, Request, Response

from newsletter.web.desk.guard import desk_router, for_strangers
from newsletter.web.outside_pictures import LATE, NOT_SHOWN, OutsidePicture, OutsidePictures

router = desk_router()
_STAND_IN = (Path(__file__).parents[1] / NOT_SHOWN.strip("/")).read_bytes()
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
    "Cache-Control": "private, max-age=60",
}


@router.get("/pictures/{token}")
@for_strangers
async def picture(request: Request, token: str, of: str = "") -> Response:
    """What is at the address `of`, or a picture of ours that says there is none."""
    outside: OutsidePictures = request.app.state.outside_pictures
    if not outside.is_ours(token, of):
        raise HTTPException(404)
    found = await _while_there(request, asyncio.create_task(outside.picture(of)))
    headers = _HEADERS | ({"Cache-Control": "no-store"} if found.is_late else {})
    if found.problem:
        return Response(_STAND_IN, media_type="image/svg+xml", headers=headers)
    return Response(found.data, media_type=found.mime, headers=headers)


async def _while_there(
    request: Request, fetching: "asyncio.Task[OutsidePicture]"
) -> OutsidePicture:
    """What is fetched; it is let go when the browser has left, whatever is then answered."""
    leaving = asyncio.create_task(_left(request))
    try:
        await asyncio.wait({fetching, leaving}, return_when=asyncio.FIRST_COMPLETED)
        return fetching.result() if fetching.done() else LATE
    finally:
        fetching.cancel()
        leaving.cancel()


async def _left(request: Request) -> None:
    """Until the browser has left: `is_disconnected` hears of it from no request in a middleware."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
