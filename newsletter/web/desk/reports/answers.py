"""Answers that are no pages: a table as a CSV file, a chart as a picture."""

import csv
from collections.abc import Iterable, Iterator
from datetime import datetime

from fastapi import Response
from fastapi.responses import StreamingResponse

from newsletter.reports.tables import Cell, Table
from subscribers.files.csv_files import escaped

PICTURE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
"""For a chart: its own colours, and nothing else, if somebody opens it by itself."""


def file(table: Table, name: str) -> Response:
    """The table as a CSV file to keep, row by row; no cell is a formula."""
    return StreamingResponse(
        _lines(table),
        media_type="text/csv; charset=utf-8",
        headers={
            "Content-Disposition": f'attachment; filename="{name}.csv"',
            "Cache-Control": "no-store",
        },
    )


def picture(svg: bytes) -> Response:
    """A chart, as an image of one of our pages."""
    headers = {"Content-Security-Policy": PICTURE_POLICY, "Cache-Control": "no-store"}
    return Response(svg, media_type="image/svg+xml", headers=headers)


def _lines(table: Table) -> Iterator[str]:
    writer = csv.writer(_Through())
    write = writer.writerow
    yield str(write(table.columns))
    for row in table.rows:
        yield str(write([_text(cell) for cell in row]))


class _Through:
    """A file that gives back what is written, for `csv.writer`."""

    def write(self, line: str) -> str:
        return line


def _text(cell: Cell) -> str:
    if cell is None:
        return ""
    return escaped(cell.isoformat() if isinstance(cell, datetime) else str(cell))


def is_narrow(asked: Iterable[str]) -> bool:
    """Whether the picture is for a phone."""
    return "narrow" in asked
