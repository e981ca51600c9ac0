"""`/reports`: the newsletter's broadcasts beside each other."""

from fastapi import Request, Response
from starlette.background import BackgroundTask

from newsletter.accounts.permissions import Permission
from newsletter.reports import charts, over_time, snapshots, tables
from newsletter.reports.over_time import Line
from newsletter.tracking.classification import Reader
from newsletter.web.deps import Running
from newsletter.web.desk.broadcasts import words
from newsletter.web.desk.guard import Seated, desk_router, needs
from newsletter.web.desk.pages import page
from newsletter.web.desk.reports import answers
from newsletter.web.desk.text import _

router = desk_router()
PAGE_ROWS = 50
_LAST_PAGE = 1_000


@router.get("/reports")
@needs(Permission.READ)
def index(request: Request, runtime: Running, editor: Seated) -> Response:
    """A line for each broadcast, the latest first."""
    number = _page_number(request)
    with runtime.sessions.reading() as session:
        newsletter_id = editor.newsletter_id or 0
        lines = over_time.lines(
            session, newsletter_id, most=PAGE_ROWS + 1, after=(number - 1) * PAGE_ROWS
        )
        due = snapshots.due(session, newsletter_id)
    response = page(
        request,
        "reports/over_time.html",
        lines=lines[:PAGE_ROWS],
        number=number,
        has_more=len(lines) > PAGE_ROWS,
        cadence=over_time.cadence_days(lines),
        state_text=words.state_text,
        tone=words.tone,
        Reader=Reader,
    )
    if due:
        response.background = BackgroundTask(snapshots.refresh, runtime.sessions, due)
    return response


@router.get("/reports/broadcasts.csv")
@needs(Permission.READ)
def as_file(runtime: Running, editor: Seated) -> Response:
    """Every broadcast, as a file."""
    table = tables.broadcasts(runtime.sessions, editor.newsletter_id or 0)
    return answers.file(table, f"{editor.newsletter_slug}-broadcasts")


@router.get("/reports/clicks.svg")
@needs(Permission.READ)
def picture(request: Request, runtime: Running, editor: Seated) -> Response:
    """Clicks and unsubscribes for each hundred mails accepted, broadcast by broadcast."""
    first = (_page_number(request) - 1) * PAGE_ROWS
    with runtime.sessions.reading() as session:
        lines = over_time.lines(session, editor.newsletter_id or 0, most=PAGE_ROWS, after=first)
    lines = [line for line in reversed(lines) if line.is_over]
    series = {
        _("Clicks by people"): [_of_hundred(line, line.clicks(Reader.HUMAN)) for line in lines],
        _("Unsubscribes"): [_of_hundred(line, line.unsubscribed) for line in lines],
    }
    labels = [f"{line.started_at.astimezone(editor.zone):%d %b}" for line in lines]
    narrow = answers.is_narrow(request.query_params)
    return answers.picture(charts.lines(labels, series, narrow=narrow))


def _of_hundred(line: Line, count: int | None) -> float | None:
    share = line.per_accepted(count)
    return None if share is None else round(share * 100, 2)


def _page_number(request: Request) -> int:
    """Whatever is no number is the first page."""
    asked = request.query_params.get("page", "")
    is_number = asked.isascii() and asked.isdecimal() and len(asked) < 5  # noqa: PLR2004
    return min(max(int(asked), 1), _LAST_PAGE) if is_number else 1
