"""`/pictures/{token}`: a picture from elsewhere in a mail that the desk shows in a frame.

A frame without an origin sends no cookie, so the address itself says that we made it.
"""

from pathlib import Path

from fastapi import HTTPException, Request, Response

from newsletter.web.desk.guard import desk_router, for_strangers
from newsletter.web.outside_pictures import NOT_SHOWN, OutsidePictures

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
    found = await outside.picture(of)
    if found.problem:
        return Response(_STAND_IN, media_type="image/svg+xml", headers=_HEADERS)
    return Response(found.data, media_type=found.mime, headers=_HEADERS)
