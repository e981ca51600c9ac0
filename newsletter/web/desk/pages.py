"""Fill a page of the desk, or a part of one; everything it is given is escaped.

In every page: `editor` (None for strangers), `form_token`, `may("send")`, `said`, `_` and `n_`.
"""

import re
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date, format_datetime, format_time
from babel.numbers import format_decimal, format_percent
from fastapi import Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup

from newsletter.accounts.permissions import Permission
from newsletter.core.catalogues import conventions
from newsletter.rendering import pictures
from newsletter.rendering.findings import alike
from newsletter.web.desk import cookies, text
from newsletter.web.desk.editor import Editor
from newsletter.web.outside_pictures import OutsidePictures

_PAGES = Path(__file__).parent / "pages"
_STATIC = Path(__file__).parents[1] / "static"
_HOUR_MINUTE = "HH:mm"
_DAY = "d MMM y"

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
"""For our own pages: nothing inline, nothing from elsewhere."""

MAIL_POLICY = (
    "default-src 'none'; img-src 'self'; style-src 'unsafe-inline'; base-uri 'none'; sandbox; "
    "frame-ancestors 'self'"
)
"""For the HTML of a mail, shown in a frame: no script, no form, no link that leads anywhere, and
nothing from elsewhere."""


def page(request: Request, name: str, *, status: int = 200, **variables: Any) -> HTMLResponse:
    """The page `name` of `pages/`; nobody stores it."""
    response = HTMLResponse(markup(request, name, **variables), status_code=status)
    response.headers["Cache-Control"] = "no-store"
    response.headers["Content-Security-Policy"] = POLICY
    # With `no-referrer` browsers send forms as from nowhere: `Origin: null`.
    response.headers["Referrer-Policy"] = "same-origin"
    return response


part = page
"""The same for a part of a page that is there already: a template without the layout."""


class _Problems(dict[str, str]):
    """Sentences by field; that of a field without a problem is empty."""

    def __missing__(self, field: str) -> str:
        return ""


def markup(request: Request, name: str, **variables: Any) -> str:
    """The HTML of `name`, filled; in `problems`, fields without one have an empty one."""
    editor: Editor | None = getattr(request.state, "editor", None)
    request.state.was_said = bool(cookies.said(request))
    return _environment.get_template(name).render(
        editor=editor,
        request=request,
        form_token=cookies.form_token(request),
        said=cookies.said(request),
        may=lambda permission: editor is not None and editor.may(Permission(permission)),
        language=text.language(),
        **{**variables, "problems": _Problems(variables.get("problems") or {})},
    )


def go(request: Request, where: str, *, said: str = "") -> Response:
    """To another page, which says it was done; `where` is a path of ours."""
    if request.headers.get("hx-request"):
        response = Response(status_code=204, headers={"HX-Redirect": where})
    else:
        response = RedirectResponse(where, status_code=303)
    if said:
        cookies.say(request, response, said)
    return response


def framed(request: Request, html: str) -> HTMLResponse:
    """HTML of a mail as a response of its own, for a sandboxed frame of our page.

    Its pictures come from us, also those that are elsewhere.
    """
    outside: OutsidePictures = request.app.state.outside_pictures
    headers = {"Content-Security-Policy": MAIL_POLICY, "Cache-Control": "no-store"}
    return HTMLResponse(pictures.moved(html, outside.address), headers=headers)


def _version(path: str) -> str:
    """Browsers keep a file until it changes."""
    return f"/static/{path}?{int((_STATIC / path).stat().st_mtime)}"


def _zone(context: Context) -> ZoneInfo | Any:
    editor = context.get("editor")
    return editor.zone if editor else UTC


@pass_context
def _when(context: Context, at: datetime | None, otherwise: str = "–") -> Markup | str:
    """Day and time in the editor's zone."""
    if at is None:
        return otherwise
    local = at.astimezone(_zone(context))
    shown = format_datetime(local, f"{_DAY}, {_HOUR_MINUTE}", locale=_locale())
    return Markup('<time datetime="{}">{}</time>').format(at.isoformat(), shown)


@pass_context
def _clock(context: Context, at: datetime) -> Markup:
    """The time of day in the editor's zone."""
    shown = format_time(at.astimezone(_zone(context)).timetz(), _HOUR_MINUTE, locale=_locale())
    return Markup('<time datetime="{}">{}</time>').format(at.isoformat(), shown)


@pass_context
def _day(context: Context, at: date) -> Markup:
    """A day; of a moment the day it is in the editor's zone."""
    local = at.astimezone(_zone(context)).date() if isinstance(at, datetime) else at
    shown = format_date(local, _DAY, locale=_locale())
    return Markup('<time datetime="{}">{}</time>').format(local.isoformat(), shown)


def _count(number: float) -> str:
    return str(format_decimal(number, locale=_locale()))


def _share(number: float | None) -> str:
    return "–" if number is None else str(format_percent(number, "0.0 %", locale=_locale()))


def _bytes(number: int) -> str:
    return f"{number} B" if number < 1_000 else f"{_count(round(number / 1_000, 1))} kB"  # noqa: PLR2004


def _who(actor: str) -> str:
    """An actor of the audit trail as people say it: a user by their address."""
    return re.sub(r"^user \d+: ", "", actor)


def _begun(sentence: str) -> str:
    """What the domain says, as it stands at the beginning of a line."""
    said: str = text.translated(sentence)
    return said[:1].upper() + said[1:]


def _locale() -> Locale:
    return conventions(text.language())


def _made() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_PAGES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=text.translated,
    )
    environment.globals.update(_=text.in_page, n_=text.in_page_n, static=_version)
    environment.globals.update(Permission=Permission, alike=alike)
    environment.filters.update(
        when=_when,
        clock=_clock,
        day=_day,
        count=_count,
        share=_share,
        bytes=_bytes,
        who=_who,
        begun=_begun,
    )
    return environment


_environment = _made()
