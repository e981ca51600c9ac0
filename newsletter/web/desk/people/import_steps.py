"""`/imports/…`: one import, from what its columns are to what came of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from fastapi import Request, Response
from fastapi.responses import StreamingResponse
from sqlalchemy.orm import Session

from newsletter.accounts import audit
from newsletter.accounts.permissions import Permission
from newsletter.core.errors import RefusedError
from newsletter.core.runtime import Runtime
from newsletter.web.deps import Running
from newsletter.web.desk.forms import Form, Sent
from newsletter.web.desk.guard import Seated, desk_router, needs
from newsletter.web.desk.pages import go, page, part
from newsletter.web.desk.people import import_words as words
from newsletter.web.desk.people.imports import wishes_of
from newsletter.web.desk.text import _
from subscribers.imports.fates import Fate
from subscribers.imports.runs import lines, moves
from subscribers.imports.runs.counts import Counts
from subscribers.imports.runs.looking import Glance
from subscribers.imports.runs.models import OVER, WORKING, ImportLine, ImportRun, ImportState
from subscribers.imports.runs.moves import Wishes
from subscribers.imports.runs.running import next_due

_MANY_PEOPLE = 500
_MOST_EXAMPLES = 3

router = desk_router()


@dataclass(frozen=True, slots=True)
class Seen:
    """An import as its page shows it.

    Attributes:
        counts: of what is in, or of a rehearsal what would be.
        is_next: nothing else is worked on before it.
    """

    run: ImportRun
    glance: Glance
    counts: Counts
    lines: dict[Fate, Sequence[ImportLine]]
    is_next: bool

    @property
    def would(self) -> bool:
        return self.run.state is ImportState.CHECKED

    @property
    def share(self) -> float:
        """How much of the file is read."""
        return min(1.0, self.run.bytes_read / max(1, self.run.file_bytes))


@router.get("/imports/{import_id}")
@needs(Permission.PEOPLE)
def show(request: Request, import_id: int, runtime: Running, editor: Seated) -> Response:
    """Where it stands, and what is to be done next."""
    del editor
    return _shown(request, runtime, import_id)


def _shown(
    request: Request, runtime: Runtime, import_id: int, problem: str = "", status: int = 200
) -> Response:
    seen = _seen(runtime, import_id)
    if seen.run.state is ImportState.UPLOADED:
        return _columns(request, seen)
    return page(
        request,
        "people/import.html",
        status=status,
        problem=problem,
        rehearsal=moves.rehearsal(seen.run),
        seen=seen,
        run=seen.run,
        words=words,
        Fate=Fate,
        State=ImportState,
        is_working=seen.run.state in WORKING,
        is_over=seen.run.state in OVER,
        many=_MANY_PEOPLE,
        days=runtime.settings.retention.imports_days,
    )


@router.get("/imports/{import_id}/progress")
@needs(Permission.PEOPLE)
def progress(request: Request, import_id: int, runtime: Running, editor: Seated) -> Response:
    """How far it is; once it is that far, the whole page anew."""
    del editor
    seen = _seen(runtime, import_id)
    if seen.run.state not in WORKING:
        return Response(status_code=204, headers={"HX-Redirect": f"/imports/{import_id}"})
    return part(request, "people/import_progress.html", seen=seen, run=seen.run, State=ImportState)


@router.get("/imports/{import_id}/columns")
@needs(Permission.PEOPLE)
def columns(request: Request, import_id: int, runtime: Running, editor: Seated) -> Response:
    """Say what the columns are."""
    del editor
    seen = _seen(runtime, import_id)
    if seen.run.state not in (ImportState.UPLOADED, ImportState.CHECKED):
        return go(request, f"/imports/{import_id}")
    return _columns(request, seen)


@router.post("/imports/{import_id}/check")
@needs(Permission.PEOPLE)
def check(
    request: Request, import_id: int, runtime: Running, editor: Seated, sent: Sent
) -> Response:
    """Have it rehearsed with these columns."""
    glance = _seen(runtime, import_id).glance
    wishes = _with_columns(wishes_of(editor, sent), glance, sent)
    with runtime.sessions.writing() as session:
        moves.check(session, import_id, wishes)
    return go(request, f"/imports/{import_id}")


@router.post("/imports/{import_id}/start")
@needs(Permission.PEOPLE)
def start(
    request: Request, import_id: int, runtime: Running, editor: Seated, sent: Sent
) -> Response:
    """Yes: import it, as the page has shown that it would go."""
    try:
        with runtime.sessions.writing() as session:
            run = moves.start(session, import_id, sent.one("seen"))
            run.actor = editor.actor
            audit.record(session, editor.actor, "import.started", None, **_named(run))
    except moves.CheckedAgainError:
        problem = _(
            "Nothing was started: the file was checked again since you opened this page. This is "
            "what would happen now."
        )
        return _shown(request, runtime, import_id, problem, status=409)
    except RefusedError:
        return go(request, f"/imports/{import_id}", said=_("It was not started again."))
    return go(request, f"/imports/{import_id}")


@router.post("/imports/{import_id}/cancel")
@needs(Permission.PEOPLE)
def cancel(request: Request, import_id: int, runtime: Running, editor: Seated) -> Response:
    """No: end it."""
    try:
        with runtime.sessions.writing() as session:
            run = moves.cancel(session, import_id)
            audit.record(session, editor.actor, "import.cancelled", None, **_named(run))
    except RefusedError:
        return go(request, f"/imports/{import_id}", said=_("It was over already."))
    return go(request, f"/imports/{import_id}", said=_("Cancelled. The file is deleted."))


@router.post("/imports/{import_id}/bad-rows")
@needs(Permission.PEOPLE)
def bad_rows(request: Request, import_id: int, runtime: Running, editor: Seated) -> Response:
    """The bad rows as a file that imports once they are mended."""
    del request
    with runtime.sessions.writing() as session:
        run = session.get_one(ImportRun, import_id)
        audit.record(session, editor.actor, "import.bad_rows_read", None, **_named(run))
    kind, suffix = ("text/csv", "csv") if run.header else ("application/jsonl", "jsonl")
    name = f"import-{import_id}-bad-rows.{suffix}"
    return StreamingResponse(
        _rows(runtime, run),
        media_type=f"{kind}; charset=utf-8",
        headers={
            "Content-Disposition": f'attachment; filename="{name}"',
            "Cache-Control": "no-store",
        },
    )


def _rows(runtime: Runtime, run: ImportRun) -> Iterator[str]:
    with runtime.sessions.reading() as session:
        yield from lines.bad_rows(session, run)


def _named(run: ImportRun) -> dict[str, object]:
    return {"number": run.id, "list": run.subscriber_list.slug}


def _seen(runtime: Runtime, import_id: int) -> Seen:
    with runtime.sessions.reading() as session:
        run = session.get_one(ImportRun, import_id)
        assert run.subscriber_list.name is not None  # loaded while there is a session
        counted = run.expected if run.state is ImportState.CHECKED else run.counts
        return Seen(
            run,
            Glance.from_json(run.glance),
            Counts.from_json(counted),
            {fate: _examples(session, import_id, fate) for fate in Fate},
            next_due(session) == import_id,
        )


def _examples(session: Session, import_id: int, fate: Fate) -> Sequence[ImportLine]:
    return lines.lines_of(session, import_id, fate, _MOST_EXAMPLES)


def _columns(request: Request, seen: Seen) -> Response:
    run = seen.run
    said = run.columns or {}
    chosen = [said.get(column.name, words.guessed(column.name)) for column in seen.glance.columns]
    return page(
        request,
        "people/import_columns.html",
        seen=seen,
        run=run,
        chosen=chosen,
        fields=words.fields(),
        presets=[("own", _("None of these: I say what the columns are")), *words.SYSTEMS.items()],
        preset=run.preset or next(iter(seen.glance.presets), "own"),
        problem=words.plain(run.problem or seen.glance.problem),
        is_wrong=bool(run.problem),
        is_plain="expected a column `email`" in seen.glance.problem,
    )


def _with_columns(wishes: Wishes, glance: Glance, sent: Form) -> Wishes:
    """A known system's columns mean what they mean there."""
    preset = sent.one("preset") or "own"
    if preset != "own" or glance.is_json:
        return replace(wishes, preset="" if glance.is_json else preset)
    offered = {field for field, _text in words.fields()}
    said = {
        column.name: sent.one(f"column-{number}") for number, column in enumerate(glance.columns)
    }
    named = {name: field for name, field in said.items() if field in offered - {words.AS_ATTRIBUTE}}
    return replace(wishes, preset=preset, columns=named)
