"""The web application: public pages now; every answer carries the same strict headers."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI, Request, Response
from fastapi.staticfiles import StaticFiles

from newsletter.core.runtime import Runtime
from newsletter.tracking.links import Links
from newsletter.tracking.recorder import Recorder
from newsletter.web import headers, problems
from newsletter.web.bodies import MAX_BODY_BYTES
from newsletter.web.mail_domains import MailDomains
from newsletter.web.public import (
    archive,
    confirmation,
    health,
    leaving,
    personal_data,
    preferences,
    sign_up,
    tracking,
)


def create_app(runtime: Runtime) -> FastAPI:
    """The ASGI application for this runtime; no cookie, one script, nothing from elsewhere."""
    app = FastAPI(title="Newsletter", openapi_url=None, lifespan=_until_recorded)
    app.state.runtime = runtime
    app.state.links = Links(runtime.sessions)
    app.state.recorder = Recorder(runtime.sessions)
    app.state.mail_domains = MailDomains(runtime.settings.signup)
    app.middleware("http")(_with_headers)
    problems.install(app)
    public = (health, tracking, leaving, preferences, personal_data, confirmation, sign_up, archive)
    for part in public:
        app.include_router(part.router)
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
    if int(request.headers.get("content-length") or 0) > MAX_BODY_BYTES:
        response: Response = problems.page(request, 413)
    else:
        response = await answer(request)
    for name, value in headers.STRICT.items():
        response.headers.setdefault(name, value)
    return response
