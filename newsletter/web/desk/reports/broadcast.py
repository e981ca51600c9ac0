"""`/reports/{broadcast_id}`: what became of one broadcast; its pictures, files and click map."""

from collections.abc import Callable

from fastapi import Request, Response
from starlette.background import BackgroundTask

from newsletter.accounts.permissions import Permission
from newsletter.broadcasts import control, planning
from newsletter.broadcasts.models import OVER, DeliveryState
from newsletter.core.errors import NotFoundError
from newsletter.core.runtime import Runtime
from newsletter.reports import charts, click_map, figures, over_time, snapshots, tables
from newsletter.reports.details import MOST_DOMAINS
from newsletter.reports.figures import Report
from newsletter.reports.over_time import Comparison
from newsletter.reports.tables import Table
from newsletter.tracking.classification import Reader
from newsletter.web.deps import Running
from newsletter.web.desk.broadcasts.words import reason_rows, reason_text
from newsletter.web.desk.guard import Seated, desk_router, needs
from newsletter.web.desk.pages import framed, page
from newsletter.web.desk.reports import answers, words
from newsletter.web.desk.text import _, n_

router = desk_router()


@router.get("/reports/{broadcast_id}")
@needs(Permission.READ)
def show(broadcast_id: int, request: Request, runtime: Running, editor: Seated) -> Response:
    """Every figure of one broadcast; a large one's readers as they were counted last."""
    with runtime.sessions.reading() as session:
        broadcast = control.find_broadcast(session, broadcast_id)
        if broadcast.frozen_at is None:
            return page(request, "reports/not_begun.html", broadcast=broadcast)
        report = figures.shown(session, broadcast)
        earlier = over_time.earlier(session, broadcast, editor.newsletter)
    response = page(
        request,
        "reports/broadcast.html",
        report=report,
        comparison=_comparison(report, over_time.compare(earlier)),
        failed=_by_count(report, DeliveryState.FAILED),
        skipped=_by_count(report, DeliveryState.SKIPPED),
        links=sorted(report.links, key=lambda line: -line.clicks.get(Reader.HUMAN, 0)),
        mailbox=bool(runtime.settings.bounces.mailbox.get_secret_value()),
        most_domains=MOST_DOMAINS,
        leave_reasons=words.leave_reasons(),
        Reader=Reader,
    )
    due = [broadcast_id] if report.is_due else []
    due += [line.broadcast_id for line in earlier if line.readership is None]
    if due:
        response.background = BackgroundTask(snapshots.refresh, runtime.sessions, due)
    return response


def _comparison(report: Report, usual: Comparison) -> list[tuple[str, float | None, float]]:
    """(figure, of this broadcast, usually); shares of what was accepted, once it is over."""
    if not usual.broadcasts or report.counted_at is None or report.state not in OVER:
        return []
    counts = {
        "clicks": (_("Clicks by people"), report.clicks_by(Reader.HUMAN)),
        "opens": (_("Opens by people"), report.opens_by(Reader.HUMAN)),
        "unsubscribed": (_("Unsubscribes"), report.unsubscribed),
        "failed": (_("Failed"), report.accounts.failed),
    }
    accepted = report.accounts.accepted
    return [
        (title, count / accepted if accepted else None, usual.usual[name])
        for name, (title, count) in counts.items()
    ]


def _by_count(report: Report, state: DeliveryState) -> list[tuple[str, int]]:
    found = report.accounts.reasons_of(state)
    return [(reason_text(name) if name else "", n) for name, n in reason_rows(found)]


@router.get("/reports/{broadcast_id}/map")
@needs(Permission.READ)
def click_map_page(broadcast_id: int, request: Request, runtime: Running) -> Response:
    """The mail with its clicks, in a frame, and the table behind it."""
    report = _report(runtime, broadcast_id)
    return page(request, "reports/map.html", report=report, Reader=Reader)


@router.get("/reports/{broadcast_id}/map/mail")
@needs(Permission.READ)
def click_map_mail(request: Request, broadcast_id: int, runtime: Running) -> Response:
    """The mail itself, for the frame; nothing in it leads anywhere."""
    report = _report(runtime, broadcast_id)
    with runtime.sessions.reading() as session:
        email = planning.frozen_content(session, broadcast_id).email
    clicks = {line.link.number: line.clicks.get(Reader.HUMAN, 0) for line in report.links}
    drawn = click_map.drawn(email, clicks, lambda n: n_("%(n)s click", "%(n)s clicks", n))
    return framed(request, drawn)


@router.get("/reports/{broadcast_id}/hours.svg")
@needs(Permission.READ)
def hours_picture(broadcast_id: int, request: Request, runtime: Running) -> Response:
    """Opens and clicks by people in each of the first hours."""
    hours = _hours(runtime, broadcast_id)
    series = {
        _("Opens by people"): [hour.opens.get(Reader.HUMAN, 0) for hour in hours],
        _("Clicks by people"): [hour.clicks.get(Reader.HUMAN, 0) for hour in hours],
    }
    narrow = answers.is_narrow(request.query_params)
    return answers.picture(charts.lines(_labels(len(hours)), series, narrow=narrow))


@router.get("/reports/{broadcast_id}/accepted.svg")
@needs(Permission.READ)
def accepted_picture(broadcast_id: int, request: Request, runtime: Running) -> Response:
    """Mails accepted in each of the first hours."""
    hours = _hours(runtime, broadcast_id)
    series = {_("Accepted"): [hour.accepted for hour in hours]}
    narrow = answers.is_narrow(request.query_params)
    return answers.picture(charts.bars(_labels(len(hours)), series, narrow=narrow))


def _hours(runtime: Runtime, broadcast_id: int) -> figures.Hours:
    return _report(runtime, broadcast_id).hours


def _labels(hours: int) -> list[str]:
    return [_("%(n)s h", n=hour) for hour in range(hours)]


def _report(runtime: Runtime, broadcast_id: int) -> Report:
    """What the page shows, for what belongs to it.

    Raises:
        NotFoundError: nothing was sent yet.
    """
    with runtime.sessions.reading() as session:
        broadcast = control.find_broadcast(session, broadcast_id)
        if broadcast.frozen_at is None:
            raise NotFoundError("report", broadcast_id)
        return figures.shown(session, broadcast)


def _file_of(name: str, table: Callable[[Report], Table]) -> None:
    @router.get(f"/reports/{{broadcast_id}}/{name}.csv", name=f"{name} as a file")
    @needs(Permission.READ)
    def as_file(broadcast_id: int, runtime: Running) -> Response:
        return answers.file(
            table(_report(runtime, broadcast_id)), f"broadcast-{broadcast_id}-{name}"
        )


for _name, _table in {
    "links": tables.links,
    "readers": tables.readers,
    "hours": tables.hours,
    "domains": tables.domains,
    "outcomes": tables.outcomes,
    "reasons": tables.reasons,
}.items():
    _file_of(_name, _table)
