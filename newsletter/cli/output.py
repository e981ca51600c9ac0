"""How commands speak: tables for people, JSON for programs, problems on standard error."""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from io import TextIOWrapper
from itertools import islice
from textwrap import indent
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would happen; change nothing.")]

HIGHEST_ID = 2**31 - 1
_PAGE_ROWS = 500

out = Console(highlight=False, soft_wrap=True, markup=False, emoji=False)
err = Console(highlight=False, soft_wrap=True, markup=False, emoji=False, stderr=True)


def show_everything() -> None:
    """What the terminal's encoding cannot say is shown as an escape, not as an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def write(text: str) -> None:
    """Text for a program or a file, byte for byte: a console would expand tabs and wrap."""
    sys.stdout.write(text)


def say(text: str) -> None:
    """One line for a person; square brackets mean themselves."""
    out.print(text)


def problem(text: str) -> None:
    """One line about something wrong, on standard error."""
    err.print(text, style="red")


def print_json(data: object) -> None:
    """One JSON document on standard output; times in ISO 8601."""
    write(_as_json(data) + "\n")


def print_table(rows: Sequence[Mapping[str, Any]], *, empty: str, as_json: bool = False) -> None:
    """Rows with the same keys as a table or a JSON array; `empty` is said when there is none."""
    if as_json:
        print_json(list(rows))
        return
    if not rows:
        say(empty)
        return
    table = Table(*rows[0].keys(), box=None, header_style="bold", pad_edge=False)
    for row in rows:
        table.add_row(*(str(_plain(value)) for value in row.values()))
    out.print(table)


def print_stream(rows: Iterable[Mapping[str, Any]], *, empty: str, as_json: bool) -> None:
    """As `print_table`, for rows that are too many to hold: page by page, or JSON as it comes."""
    if as_json:
        between = "["
        for row in rows:
            write(f"{between}\n{indent(_as_json(row), '  ')}")
            between = ","
        write("[]\n" if between == "[" else "\n]\n")
        return
    pages = iter(rows)
    first = list(islice(pages, _PAGE_ROWS))
    print_table(first, empty=empty)
    while more := list(islice(pages, _PAGE_ROWS)):
        print_table(more, empty="")


@contextmanager
def progress(label: str, total: int | None = None) -> Iterator[Progress]:
    """A progress bar on standard error; its task 0 has `total` steps. Gone when output is piped."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        bar.add_task(label, total=total)
        yield bar


def _as_json(data: object) -> str:
    return json.dumps(data, ensure_ascii=False, indent=2, default=_plain)


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    return value.isoformat() if isinstance(value, date) else value
