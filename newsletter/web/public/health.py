"""For load balancers and container health checks."""

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse
from sqlalchemy.exc import SQLAlchemyError

from newsletter.migrations import schema
from newsletter.web.deps import Running

router = APIRouter()


@router.api_route("/healthz", methods=["GET", "HEAD"])
def healthz() -> PlainTextResponse:
    """The process answers."""
    return PlainTextResponse("ok\n")


@router.api_route("/readyz", methods=["GET", "HEAD"])
def readyz(runtime: Running) -> PlainTextResponse:
    """The database is there and has this version's tables."""
    try:
        current = schema.is_current(runtime.sessions)
    except SQLAlchemyError:
        return PlainTextResponse("the database does not answer\n", status_code=503)
    if not current:
        return PlainTextResponse("run `newsletter db upgrade`\n", status_code=503)
    return PlainTextResponse("ready\n")
