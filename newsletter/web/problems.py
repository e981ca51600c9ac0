"""Pages for what goes wrong: a sentence a person understands, never a traceback."""

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse
from sqlalchemy.exc import DataError, OperationalError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from newsletter.core import logs
from newsletter.core.errors import BusyError
from newsletter.core.sentences import Sentence, say
from newsletter.web import headers
from newsletter.web.desk.guard import not_so
from newsletter.web.desk.routers import ROOMS
from newsletter.web.pages import render

log = logs.get(__name__)

_SENTENCES = {
    403: say("That needs the link that we mail to the owner of the address."),
    404: say("This link leads nowhere. It may be incomplete, or what it led to is gone."),
    405: say("That cannot be done here."),
    413: say("That is more than we can take."),
    415: say("That came in a form that we cannot read."),
    422: say("That request was incomplete."),
    503: say("We cannot answer right now. Please try again in a minute."),
}

_ELSE = say("Something is not right with this request.")
_RETRY_AFTER_SECONDS = 30


def install(app: FastAPI) -> None:
    """Answer every error with a page."""

    @app.exception_handler(HTTPException)
    async def _known(request: Request, error: HTTPException) -> Response:
        if _route(request) in ROOMS:
            return await not_so(request, error.status_code)
        return page(request, error.status_code)

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: RequestValidationError) -> HTMLResponse:
        del error
        return page(request, 422)

    @app.exception_handler(DataError)
    async def _unthinkable(request: Request, error: DataError) -> HTMLResponse:
        # A number or a character in the address that the database cannot even compare with.
        log.warning("request.refused", path=_route(request), error=type(error).__name__)
        return page(request, 404)

    @app.exception_handler(BusyError)
    @app.exception_handler(OperationalError)
    async def _busy(request: Request, error: Exception) -> HTMLResponse:
        log.warning("request.refused", path=_route(request), error=type(error).__name__)
        response = page(request, 503)
        response.headers["Retry-After"] = str(_RETRY_AFTER_SECONDS)
        return response

    @app.exception_handler(ClientDisconnect)
    async def _gone(request: Request, error: ClientDisconnect) -> Response:
        del error
        log.info("request.gone", path=_route(request))
        return Response(status_code=400)  # which nobody reads

    @app.exception_handler(Exception)
    async def _unknown(request: Request, error: Exception) -> HTMLResponse:
        log.error("request.failed", path=_route(request), exc_info=error)
        return page(request, 500, say("Something went wrong on our side. Please try again later."))


def _route(request: Request) -> str:
    """The first part of the path: what follows may be somebody's token."""
    return request.url.path.split("/")[1]


def page(request: Request, status: int, sentence: Sentence | None = None) -> HTMLResponse:
    """The page for an HTTP status; complete by itself, since a 500 passes no middleware."""
    response = render(
        request,
        "problem.html",
        status=status,
        sentence=sentence or _SENTENCES.get(status, _ELSE),
    )
    response.headers.update(headers.STRICT)
    return response
