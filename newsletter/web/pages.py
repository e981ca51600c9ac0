"""Fill a page's template for readers; everything it is given is escaped.

Which language a page is in is decided here: that of the person whom a signed link names, where
they told it, or else the first that the browser asks for, or else English. So no answer to a
visitor who proves nothing depends on whom we know.
"""

from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader

from newsletter.core.catalogues import READERS, accepted
from newsletter.rendering import speaking

_PAGES = Path(__file__).parent / "public" / "pages"


def language_of(request: Request, locale: str = "") -> str:
    """The language of the page that answers; `locale` is the person's, as they told it."""
    return READERS.first(locale, *accepted(request.headers.get("accept-language", "")))


def render(
    request: Request, name: str, *, status: int = 200, locale: str = "", **variables: Any
) -> HTMLResponse:
    """The page `name` of `public/pages`; caches do not store it: it may concern one person."""
    lang = language_of(request, locale)
    return HTMLResponse(fragment(name, lang, **variables), status, for_reader(lang))


def for_reader(language: str) -> dict[str, str]:
    """Headers of an answer in that language, which caches do not store."""
    return {
        "Cache-Control": "no-store",
        "Content-Language": language,
        "Vary": "Accept-Language",
    }


def fragment(name: str, lang: str, **variables: Any) -> str:
    """HTML for somebody else's page, from `public/pages`; everything it is given is escaped."""
    return _environment.get_template(name).render(
        lang=lang, dir=speaking.direction(lang), **variables
    )


def _made() -> Environment:
    environment = Environment(loader=FileSystemLoader(_PAGES), autoescape=True)
    speaking.teach(environment)
    return environment


_environment = _made()
