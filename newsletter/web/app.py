"""The web application: public pages and the desk; every answer carries strict headers."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI, Request, Response
from fastapi.staticfiles import StaticFiles

from newsletter.core.fetch import Fetcher
from newsletter.core.runtime import Runtime
from newsletter.tracking.links import Links
from newsletter.tracking.recorder import Recorder
from newsletter.web import headers, problems
from newsletter.web.bodies import MAX_BODY_BYTES
from newsletter.web.desk.broadcasts.watching import Publishers
from newsletter.web.desk.routers import ROOMS, ROUTERS
from newsletter.web.mail_domains import MailDomains
from newsletter.web.outside_pictures import OutsidePictures
from newsletter.web.public import (
    archive,
    confirmation,
    health,
    images,
    leaving,
    personal_data,
    preferences,
    sign_up,
    tracking,
)

_PUBLIC = (
    *(health, tracking, leaving, preferences, personal_data, confirmation, sign_up, archive),
    images,
)


def create_app(runtime: Runtime, fetcher: Fetcher | None = None) -> FastAPI:
    """The ASGI application for this runtime; nothing of it comes from elsewhere.

    `fetcher` goes to what people typed; without one, to the public internet alone.
    """
    app = FastAPI(title="Newsletter", openapi_url=None, lifespan=_until_recorded)
    app.state.runtime = runtime
    app.state.links = Links(runtime.sessions)
    app.state.recorder = Recorder(runtime.sessions)
    app.state.mail_domains = MailDomains(runtime.settings.signup)
    app.state.fetcher = fetcher or Fetcher()
    app.state.outside_pictures = OutsidePictures(
        runtime.settings.site.public_url, runtime.keys, app.state.fetcher
    )
    app.state.publishers = Publishers(runtime)
    app.state.is_ending = lambda: False
    app.middleware("http")(_with_headers)
    problems.install(app)
    for part in _PUBLIC:
        app.include_router(part.router)
    for room in ROUTERS:
        app.include_router(room)
    static = Path(__file__).parent / "static"
    app.mount("/static", StaticFiles(directory=static), name="static")
    return app


@asynccontextmanager
async def _until_recorded(app: FastAPI) -> AsyncIterator[None]:
    """The application ends when the last hit is written."""
    yield
    app.state.recorder.close()


async def _with_headers(
    request: Request, answer: Callable[[Request], Awaitable[Response]]
) -> Response:
    if _is_too_long(request):
        response: Response = problems.page(request, 413)
    else:
        response = await answer(request)
    for name, value in headers.STRICT.items():
        response.headers.setdefault(name, value)
    return response


def _is_too_long(request: Request) -> bool:
    """Of public pages; those of the desk have limits of their own."""
    if request.url.path.split("/")[1] in ROOMS:
        return False
    return int(request.headers.get("content-length") or 0) > MAX_BODY_BYTES
