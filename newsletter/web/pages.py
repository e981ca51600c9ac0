"""Fill a page's template; everything it is given is escaped."""

from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from fastapi.templating import Jinja2Templates

_templates = Jinja2Templates(directory=Path(__file__).parent / "public" / "pages")


def render(request: Request, name: str, *, status: int = 200, **variables: Any) -> HTMLResponse:
    """The page `name` of `public/pages`; caches do not store it: it may concern one person."""
    response = _templates.TemplateResponse(request, name, variables, status_code=status)
    response.headers["Cache-Control"] = "no-store"
    return response


def fragment(name: str, **variables: Any) -> str:
    """HTML for somebody else's page, from `public/pages`; everything it is given is escaped."""
    return _templates.get_template(name).render(variables)
