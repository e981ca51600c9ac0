"""The tables behind the pages and charts, as rows of plain values: for files and programs."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from newsletter.core.db import Sessions
from newsletter.reports import over_time
from newsletter.reports.figures import Report
from newsletter.reports.growth import BY_IMPORT, Growth, Way
from newsletter.reports.over_time import Line
from newsletter.tracking.classification import Reader
from subscribers.models import LeaveReason

Cell = str | int | float | datetime | None
"""None: not known, or not known any more."""

_READERS = (Reader.HUMAN, Reader.MACHINE, Reader.UNKNOWN)
_PAGE_ROWS = 200


@dataclass(frozen=True, slots=True)
class Table:
    """Columns, and rows in their order."""

    columns: Sequence[str]
    rows: Iterable[Sequence[Cell]]


def links(report: Report) -> Table:
    """Clicks by link."""
    return Table(
        ("link", "url", "title", *_by_reader("clicks"), "readers_known"),
        [
            (
                line.link.number,
                line.link.url,
                line.link.title,
                *(line.clicks.get(reader, 0) for reader in _READERS),
                None if line.readers is None else line.readers.get(Reader.HUMAN, 0),
            )
            for line in report.links
        ],
    )


def readers(report: Report) -> Table:
    """Opens and clicks by who or what was behind them, then the different readers told apart."""
    counted = report.counted_at is not None
    words = ("by_people", "by_machines", "unknown")
    return Table(
        ("what", *words, *(f"readers_known_{word}" for word in words)),
        [
            (
                what,
                *(of.get(reader, 0) if counted else None for of in counts for reader in _READERS),
            )
            for what, counts in (
                ("clicks", (report.clicks.hits, report.clicks.readers)),
                ("opens", (report.opens.hits, report.opens.readers)),
            )
        ],
    )


def hours(report: Report) -> Table:
    """The first hours, from the first acceptance on."""
    details = report.details
    rows = (
        [
            (
                number,
                details.first_at + timedelta(hours=number) if details.first_at else None,
                hour.accepted,
                *(
                    found.get(reader, 0)
                    for found in (hour.opens, hour.clicks)
                    for reader in _READERS
                ),
            )
            for number, hour in enumerate(report.hours)
        ]
        if details
        else []
    )
    return Table(("hour", "from", "accepted", *_by_reader("opens"), *_by_reader("clicks")), rows)


def domains(report: Report) -> Table:
    """Recipients by domain; the last line has the others."""
    found = report.details.domains if report.details else ()
    return Table(
        ("domain", "deliveries", "accepted", "failed", "deferred", "clicks_by_people"),
        [
            (d.domain or "(others)", d.deliveries, d.accepted, d.failed, d.deferred, d.clicks)
            for d in found
        ],
    )


def outcomes(report: Report) -> Table:
    """What became of every candidate, and why."""
    accounts = report.accounts
    states = [
        (state.name.lower().replace("_", " "), reason, count)
        for (state, reason), count in sorted(accounts.reasons.items())
    ]
    excluded = [("excluded", reason, n) for reason, n in sorted(accounts.excluded.items()) if n]
    return Table(("outcome", "reason", "recipients"), [*states, *excluded])


def reasons(report: Report) -> Table:
    """Why they left."""
    said = report.details.reasons if report.details else None
    rows: list[tuple[Cell, ...]] = [
        (reason.value, said.get(reason.value, 0) if said is not None else None)
        for reason in LeaveReason
    ]
    known = report.counted_at is not None
    silent = report.unsubscribed - sum(said.values()) if said is not None else None
    rows += [("(none said)", silent), ("(all)", report.unsubscribed if known else None)]
    return Table(("reason", "unsubscribed"), rows)


def growth(found: Growth) -> Table:
    """Who came and left, step by step."""
    lefts = ("", *(reason.value for reason in LeaveReason), BY_IMPORT)
    return Table(
        (
            "from",
            *(f"came_{way}" for way in Way),
            "came",
            *(f"left_{left or 'none_said'}" for left in lefts),
            "left",
            "erased",
        ),
        [
            (
                first.isoformat(),
                *(step.came[way] for way in Way),
                step.all_came,
                *(step.left[left] for left in lefts),
                step.all_left,
                step.erased,
            )
            for first, step in found.steps
        ],
    )


def broadcasts(sessions: Sessions, newsletter_id: int | None) -> Table:
    """Every broadcast that began, read as it is written."""
    return Table(
        (
            *("broadcast", "subject", "state", "started_at"),
            *("accepted", "failed", "skipped", "in_doubt", "unsubscribed"),
            *(*_by_reader("clicks"), *_by_reader("opens"), "counted_at"),
        ),
        (_of_line(line) for line in _every_line(sessions, newsletter_id)),
    )


def _every_line(sessions: Sessions, newsletter_id: int | None) -> Iterator[Line]:
    after = 0
    while True:
        with sessions.reading() as session:
            found = over_time.lines(session, newsletter_id, most=_PAGE_ROWS, after=after)
        yield from found
        after += len(found)
        if len(found) < _PAGE_ROWS:
            return


def _of_line(line: Line) -> Sequence[Cell]:
    return (
        *(line.broadcast_id, line.subject, line.state, line.started_at),
        *(line.accepted, line.failed, line.skipped, line.in_doubt, line.unsubscribed),
        *(line.clicks(reader) for reader in _READERS),
        *(line.opens(reader) for reader in _READERS),
        line.counted_at,
    )


def _by_reader(what: str) -> Sequence[str]:
    return f"{what}_by_people", f"{what}_by_machines", f"{what}_unknown"
