"""`/imports`: files of people that were brought in, and a new one."""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from fastapi import Request, Response
from starlette.datastructures import UploadFile

from newsletter.accounts import audit
from newsletter.accounts.permissions import Permission
from newsletter.core.errors import InputError
from newsletter.core.runtime import Runtime
from newsletter.core.sentences import say
from newsletter.web.deps import Running
from newsletter.web.desk.editor import Editor
from newsletter.web.desk.forms import Form, Sent
from newsletter.web.desk.guard import Seated, desk_router, needs
from newsletter.web.desk.pages import go, page
from newsletter.web.desk.people import import_words as words
from newsletter.web.desk.people.asked import number
from subscribers.imports.presets.cells import tags
from subscribers.imports.runs import moves
from subscribers.imports.runs.counts import Counts
from subscribers.imports.runs.looking import look
from subscribers.imports.runs.moves import Wishes, runs_of
from subscribers.imports.runs.uploading import Upload, plain_file_name, upload
from subscribers.lists import of_newsletter

MOST_BYTES = 200_000_000
_OTHER_FIELDS_BYTES = 100_000
_PAGE_ROWS = 25
_MOST_TAGS, _LONGEST_TAG = 20, 60

router = desk_router()


@router.get("/imports")
@needs(Permission.PEOPLE)
def index(request: Request, runtime: Running, editor: Seated) -> Response:
    """The newsletter's imports, the latest first."""
    if editor.newsletter_id is None:
        return page(request, "people/no_newsletter.html")
    before = number(request, "before")
    with runtime.sessions.reading() as session:
        found = runs_of(session, editor.newsletter, before=before, most=_PAGE_ROWS + 1)
    runs = found[:_PAGE_ROWS]
    older = f"/imports?before={runs[-1].id}" if len(found) > len(runs) else ""
    counts = {run.id: Counts.from_json(run.counts) for run in runs}
    return page(
        request,
        "people/imports.html",
        runs=runs,
        counts=counts,
        words=words,
        newest="/imports" if before else "",
        older=older,
    )


@router.get("/imports/new")
@needs(Permission.PEOPLE)
def new(request: Request, runtime: Running, editor: Seated) -> Response:
    """Choose a file and the list it is for."""
    if editor.newsletter_id is None:
        return page(request, "people/no_newsletter.html")
    return _form(request, runtime, editor, {"list": request.query_params.get("list", "")})


@router.post("/imports")
@needs(Permission.PEOPLE, most_bytes=MOST_BYTES + _OTHER_FIELDS_BYTES)
def take(request: Request, runtime: Running, editor: Seated, sent: Sent) -> Response:
    """Keep the file; have it checked if its columns are known."""
    if editor.newsletter_id is None:
        return page(request, "people/no_newsletter.html")
    try:
        list_id = _chosen_list(runtime, editor, sent)
        wishes = wishes_of(editor, sent)
        run_id = _kept(runtime, editor, _chosen_file(sent), list_id, wishes)
    except InputError as error:
        problems = words.at_field(error, ("list", "tags", "file"), "file")
        values = {name: sent.one(name) for name in ("list", "tags", "unconfirmed", "everywhere")}
        return _form(request, runtime, editor, values, problems, status=422)
    return go(request, f"/imports/{run_id}")


def wishes_of(editor: Editor, sent: Form) -> Wishes:
    """How the form wants it, but for the columns.

    Raises:
        InputError: names the field.
    """
    named = tags(sent.one("tags"))
    if len(named) > _MOST_TAGS or any(len(tag) > _LONGEST_TAG for tag in named):
        raise InputError(
            "tags",
            say(
                "Expected at most %(many)s tags of %(long)s characters.",
                many=_MOST_TAGS,
                long=_LONGEST_TAG,
            ),
        )
    return Wishes(
        unconfirmed=bool(sent.one("unconfirmed")),
        everywhere=bool(sent.one("everywhere")) and editor.may(Permission.INSTALLATION),
        tags=named,
    )


def _kept(
    runtime: Runtime, editor: Editor, chosen: UploadFile, list_id: int, wishes: Wishes
) -> int:
    name = plain_file_name(chosen.filename or "")
    with TemporaryDirectory(prefix="newsletter-upload-") as folder:
        file = Path(folder) / name
        with file.open("wb") as copy:
            shutil.copyfileobj(chosen.file, copy)
        glance = look(file)
        run_id = upload(runtime.sessions, Upload(file, glance, list_id, editor.actor, wishes))
        size = file.stat().st_size
    with runtime.sessions.writing() as session:
        audit.record(session, editor.actor, "import.uploaded", None, number=run_id, bytes=size)
        if not glance.problem:
            moves.check(session, run_id, wishes)
    return run_id


def _chosen_file(sent: Form) -> UploadFile:
    chosen = sent.file("file")
    if chosen is None:
        raise InputError("file", say("Choose the file to import."))
    if (chosen.size or 0) > MOST_BYTES:
        most = MOST_BYTES // 1_000_000
        raise InputError(
            "file",
            say(
                "Expected a file of at most %(most)s MB. Split it, pack it as a ZIP, or import it "
                "with the command `newsletter subscribers import`.",
                most=most,
            ),
        )
    return chosen


def _chosen_list(runtime: Runtime, editor: Editor, sent: Form) -> int:
    with runtime.sessions.reading() as session:
        ours = {each.id for each in of_newsletter(session, editor.newsletter)}
    chosen = sent.numbers("list")
    if not chosen or chosen[-1] not in ours:
        raise InputError("list", say("Choose the list that they are to be on."))
    return chosen[-1]


def _form(
    request: Request,
    runtime: Runtime,
    editor: Editor,
    values: dict[str, str],
    problems: dict[str, str] | None = None,
    status: int = 200,
) -> Response:
    with runtime.sessions.reading() as session:
        ours = of_newsletter(session, editor.newsletter)
    return page(
        request,
        "people/import_new.html",
        status=status,
        lists=ours,
        values=values,
        problems=problems or {},
        systems=", ".join(words.SYSTEMS.values()),
        most=MOST_BYTES // 1_000_000,
        fresh=not problems,
    )
