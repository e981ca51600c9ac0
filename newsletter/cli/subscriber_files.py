"""`newsletter subscribers import` and `export`: files of people, ours and other systems'."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from sqlalchemy import select
from sqlalchemy.orm import Session

from newsletter.accounts import audit
from newsletter.cli import output, state
from newsletter.cli.lists import new_list
from newsletter.cli.segments import SegmentName, inside_segment
from newsletter.core.db import Sessions
from newsletter.core.errors import InputError, NotFoundError
from newsletter.core.sentences import say
from newsletter.core.slug import slugify
from subscribers.exporting import Form, Selection, count_rows
from subscribers.exporting import export as export_people
from subscribers.files.people_files import Reading
from subscribers.imports.importing import import_file
from subscribers.imports.options import ImportOptions, ImportReport
from subscribers.imports.presets.mapping import parse_map
from subscribers.lists import find_list
from subscribers.models import SubscriberList

_File = Annotated[
    Path,
    typer.Argument(
        metavar="FILE",
        help="CSV with a column `email`, an export of another system, or our JSON lines.",
    ),
]
_OwnList = Annotated[
    str,
    typer.Option(
        "--list",
        metavar="LIST",
        help="The list; made if it is new. For rows that name none; "
        "an empty cell `list` without a status means no list at all.",
    ),
]
PresetName = Literal[
    "buttondown", "ghost", "keila", "kit", "listmonk", "mailchimp", "own", "substack"
]
_Preset = Annotated[
    PresetName | None,
    typer.Option(case_sensitive=False, help="Whose export it is. Default: as its header tells."),
]
_Columns = Annotated[
    list[str] | None,
    typer.Option(
        "--map",
        metavar="COLUMN=FIELD",
        help="What a column is, such as 'E-Mail=email'; FIELD - leaves it out. Repeatable.",
    ),
]
_Unconfirmed = Annotated[
    bool,
    typer.Option("--unconfirmed", help="They still have to confirm; nobody is mailed before."),
]
_BadRows = Annotated[
    Path | None,
    typer.Option(help="Where bad rows go with their reasons. Default: FILE.bad.csv."),
]


def import_(
    file: _File,
    *,
    list_name: _OwnList = "",
    preset: _Preset = None,
    columns: _Columns = None,
    unconfirmed: _Unconfirmed = False,
    bad_rows: _BadRows = None,
    dry_run: output.DryRun = False,
    as_json: output.AsJson = False,
) -> None:
    """Put the people of a file on a list. Safe to run again; revives nobody who left."""
    runtime = state.runtime()
    target = _Lists(list_name)
    options = ImportOptions(
        unconfirmed=unconfirmed,
        rehearse=dry_run,
        bad_rows=bad_rows or _beside(file),
        reading=Reading(preset or "", parse_map(columns or [])),
        erased=runtime.erasure_key,
    )
    size = file.stat().st_size if file.is_file() else None
    with output.progress(f"import {file.name}", size) as bar:
        report = target.take(
            runtime.sessions,
            file,
            options,
            lambda done: bar.update(bar.task_ids[0], completed=done),
        )
    if not dry_run:
        counts = {fate.name.lower(): n for fate, n in report.counts.items()}
        _record(runtime.sessions, "subscribers.imported", list_name, **counts)
    if as_json:
        output.print_json(_as_data(report, dry_run=dry_run))
    else:
        _tell(report, target.made, dry_run=dry_run)


def export(
    *,
    list_name: Annotated[str, typer.Option("--list", metavar="LIST", help="The list.")] = "",
    everybody: Annotated[
        bool, typer.Option("--all", help="Everybody, with the names of their lists.")
    ] = False,
    out: Annotated[Path, typer.Option(help="The file to write.")],
    form: Annotated[
        Form,
        typer.Option(
            "--format",
            help="csv: a row for each subscription; jsonl: a line for each person.",
        ),
    ] = Form.CSV,
    segment: SegmentName = None,
    dry_run: output.DryRun = False,
) -> None:
    """Write everybody on a list or on all, whatever their status, to a file that imports again."""
    if everybody == bool(list_name):
        raise InputError("--list", say("expected one of --list NAME and --all"))
    if everybody and segment is not None:
        raise InputError("--segment", say("a segment is one list's: expected --list NAME with it"))
    sessions = state.runtime().sessions
    with sessions.reading() as session:
        chosen = _chosen(session, list_name, segment)
        count = count_rows(session, chosen)
        if dry_run:
            output.say(f"Would write {count:,} rows to {out}.")
            return
        with output.progress(f"export {list_name or 'all'}", count) as bar:
            count = export_people(
                session,
                chosen,
                out,
                form,
                lambda done: bar.update(bar.task_ids[0], completed=done),
            )
    _record(sessions, "subscribers.exported", list_name, rows=count)
    output.say(f"Wrote {count:,} rows to {out}.")


def _record(sessions: Sessions, action: str, list_name: str, **counts: int) -> None:
    """For every list, or those that the file names, the list's name is empty."""
    slug = slugify(list_name, place="--list") if list_name else ""
    with sessions.writing() as session:
        audit.record(session, audit.at_the_command_line(), action, None, list=slug, **counts)


def _chosen(session: Session, list_name: str, segment: str | None) -> Selection:
    if not list_name:
        return Selection()
    chosen = find_list(session, list_name)
    return Selection(chosen.id, inside_segment(session, chosen, segment))


@dataclass(slots=True)
class _Lists:
    """The lists that an import goes to; `made` are the short names of those that were not there."""

    name: str
    made: list[str] = field(default_factory=list)

    def take(
        self,
        sessions: Sessions,
        file: Path,
        options: ImportOptions,
        progress: Callable[[int], None],
    ) -> ImportReport:
        """Import the file, or rehearse it: on PostgreSQL in pieces, so that nobody waits for us.

        A list that would have to be made is made again in each piece: then it is one transaction.
        """
        if options.rehearse and sessions.dialect == "postgresql":
            in_pieces = replace(options, in_company=True, list_named=_find)
            with suppress(NotFoundError):
                return import_file(sessions, file, self._own(_find), in_pieces, progress)
        options = replace(options, list_named=self.find_or_make)
        return import_file(sessions, file, self._own(self.find_or_make), options, progress)

    def _own(self, named: Callable[[Session, str], int]) -> Callable[[Session], int] | None:
        return (lambda session: named(session, self.name)) if self.name else None

    def find_or_make(self, session: Session, name: str) -> int:
        slug = slugify(name, place="--list")
        found = session.scalar(select(SubscriberList.id).where(SubscriberList.slug == slug))
        if found is not None:
            return found
        created = new_list(session, name)
        self.made.append(created.slug)
        return created.id


def _find(session: Session, name: str) -> int:
    return find_list(session, name).id


def _beside(file: Path) -> Path:
    suffix = ".jsonl" if file.suffix in (".jsonl", ".ndjson") else ".csv"
    return file.with_name(f"{file.name}.bad{suffix}")


def _tell(report: ImportReport, made: Sequence[str], *, dry_run: bool) -> None:
    for slug in made:
        output.say(f"{'Would make' if dry_run else 'Made'} list {slug!r}.")
    output.say(report.line() + (" Nothing was changed." if dry_run else ""))
    for fate, examples in report.examples.items():
        output.say(f"{fate}, such as:")
        for example in examples:
            output.say(f"  {example}")
    for problem in report.first_problems:
        output.problem(problem)
    if report.bad_rows:
        output.say(f"Bad rows are in {report.bad_rows}; import that file again once mended.")


def _as_data(report: ImportReport, *, dry_run: bool) -> dict[str, Any]:
    return {
        "rows": report.rows,
        "dry_run": dry_run,
        **{fate.name.lower(): n for fate, n in report.counts.items()},
        "added_as": dict(report.added_as),
        "examples": {fate.name.lower(): found for fate, found in report.examples.items()},
        "first_problems": report.first_problems,
        "bad_rows": str(report.bad_rows) if report.bad_rows else None,
    }
