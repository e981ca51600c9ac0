"""`/reports/growth`: who came to a list, who left it, and why."""

from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import HTTPException, Request, Response
from sqlalchemy.orm import Session
from starlette.background import BackgroundTask

from newsletter.accounts.permissions import Permission
from newsletter.reports import charts, growth, tables
from newsletter.reports.growth import SPANS, Growth
from newsletter.web.deps import Running
from newsletter.web.desk.editor import Editor
from newsletter.web.desk.guard import Seated, desk_router, needs
from newsletter.web.desk.pages import page
from newsletter.web.desk.reports import answers, words
from newsletter.web.desk.text import _
from subscribers.lists import of_newsletter
from subscribers.models import SubscriberList

router = desk_router()
_FIRST_SPAN = "month"


@dataclass(frozen=True, slots=True)
class _Asked:
    """A list of the newsletter, and for how long."""

    lists: Sequence[SubscriberList]
    chosen: SubscriberList
    span: str
    found: Growth


@router.get("/reports/growth")
@needs(Permission.READ)
def show(request: Request, runtime: Running, editor: Seated) -> Response:
    """A list's growth, step by step."""
    with runtime.sessions.reading() as session:
        asked = _asked(session, request, editor)
    if asked is None:
        return page(request, "reports/no_list.html")
    response = page(
        request,
        "reports/growth.html",
        choices=[(found.slug, found.name) for found in asked.lists],
        chosen=asked.chosen,
        span=asked.span,
        growth=asked.found,
        spans=words.spans(),
        leavings=words.leavings(),
    )
    if asked.found.is_due:
        response.background = BackgroundTask(growth.refresh, runtime.sessions)
    return response


@router.get("/reports/growth.csv")
@needs(Permission.READ)
def as_file(request: Request, runtime: Running, editor: Seated) -> Response:
    """The same as a file."""
    asked = _there(runtime, request, editor)
    return answers.file(tables.growth(asked.found), f"{asked.chosen.slug}-growth")


@router.get("/reports/growth.svg")
@needs(Permission.READ)
def picture(request: Request, runtime: Running, editor: Seated) -> Response:
    """The same as bars: who came stands, who left hangs."""
    steps = _there(runtime, request, editor).found.steps
    series = {
        _("Came"): [step.all_came for _first, step in steps],
        _("Left"): [-step.all_left for _first, step in steps],
    }
    labels = [f"{first:%d %b}" for first, _step in steps]
    narrow = answers.is_narrow(request.query_params)
    return answers.picture(charts.bars(labels, series, narrow=narrow))


def _there(runtime: Running, request: Request, editor: Editor) -> _Asked:
    with runtime.sessions.reading() as session:
        asked = _asked(session, request, editor)
    if asked is None:
        raise HTTPException(404)
    return asked


def _asked(session: Session, request: Request, editor: Editor) -> _Asked | None:
    """The list asked for, else the largest; None when the newsletter has none.

    Raises:
        HTTPException: 404: it has no such list.
    """
    lists = of_newsletter(session, editor.newsletter_id or 0)
    slug = request.query_params.get("list", "")
    asked_for = [found for found in lists if found.slug == slug]
    if slug and not asked_for:
        raise HTTPException(404)
    chosen = asked_for[0] if asked_for else growth.largest(session, lists)
    if chosen is None:
        return None
    span = request.query_params.get("span", "")
    span = span if span in SPANS else _FIRST_SPAN
    return _Asked(lists, chosen, span, growth.growth(session, chosen.id, SPANS[span]))
