"""Pictures of issues: what a mail shows years later too, so a name's bytes never change."""

from fastapi import APIRouter, HTTPException, Response

from newsletter.core.errors import NotFoundError
from newsletter.issues import images
from newsletter.web.deps import Running

router = APIRouter()

_FOR_EVER = {"Cache-Control": "public, max-age=31536000, immutable"}


@router.api_route("/i/{name}", methods=["GET", "HEAD"])
def image(name: str, runtime: Running) -> Response:
    """A picture by its number and a part of its hash: nobody guesses those of an issue to come."""
    with runtime.sessions.reading() as session:
        try:
            found = images.served(session, name)
        except NotFoundError:
            raise HTTPException(404) from None
        return Response(found.data, media_type=found.mime, headers=_FOR_EVER)
