"""Fill a page's template; everything it is given is escaped."""

from datetime import date
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from fastapi.templating import Jinja2Templates

_templates = Jinja2Templates(directory=Path(__file__).parent / "public" / "pages")
_MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)


def _day(day: date) -> str:
    """As in `17 June 2026`, whatever the machine's language."""
    return f"{day.day} {_MONTHS[day.month - 1]} {day.year}"


_templates.env.filters["day"] = _day


def render(request: Request, name: str, *, status: int = 200, **variables: Any) -> HTMLResponse:
    """The page `name` of `public/pages`; caches do not store it: it may concern one person."""
    response = _templates.TemplateResponse(request, name, variables, status_code=status)
    response.headers["Cache-Control"] = "no-store"
    return response


def fragment(name: str, **variables: Any) -> str:
    """HTML for somebody else's page, from `public/pages`; everything it is given is escaped."""
    return _templates.get_template(name).render(variables)
