"""`/suppressions/import`: another system's blocklist, taken in while one waits."""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from fastapi import Request, Response

from newsletter.accounts import audit
from newsletter.accounts.permissions import Permission
from newsletter.core.errors import InputError
from newsletter.core.runtime import Runtime
from newsletter.core.sentences import say
from newsletter.web.deps import Running
from newsletter.web.desk.editor import Editor
from newsletter.web.desk.forms import Form, Sent
from newsletter.web.desk.guard import Seated, desk_router, needs
from newsletter.web.desk.pages import page
from newsletter.web.desk.people import import_words as words
from newsletter.web.desk.people.suppression_reach import Reach, reach_of, scopes
from subscribers.blocklists import BlocklistReport, Fate, import_blocklist
from subscribers.imports.runs.uploading import plain_file_name
from subscribers.models import EVERYWHERE

MOST_BYTES = 5_000_000
"""Some hundred thousand addresses: what one may wait for; the command takes any."""
_OTHER_FIELDS_BYTES = 10_000

router = desk_router()


@router.get("/suppressions/import")
@needs(Permission.PEOPLE)
def ask(request: Request, runtime: Running, editor: Seated) -> Response:
    """Choose the file."""
    if editor.newsletter_id is None:
        return page(request, "people/no_newsletter.html")
    return _form(request, runtime, editor)


@router.post("/suppressions/import")
@needs(Permission.PEOPLE, most_bytes=MOST_BYTES + _OTHER_FIELDS_BYTES)
def take(request: Request, runtime: Running, editor: Seated, sent: Sent) -> Response:
    """Suppress everybody in it; again, it changes nothing."""
    if editor.newsletter_id is None:
        return page(request, "people/no_newsletter.html")
    try:
        report = _imported(runtime, editor, sent)
    except InputError as error:
        problems = words.at_field(error, ("scope", "file"), "file")
        return _form(request, runtime, editor, problems, sent)
    return page(request, "people/suppressions_taken.html", report=report, Fate=Fate)


def _imported(runtime: Runtime, editor: Editor, sent: Form) -> BlocklistReport:
    with runtime.sessions.reading() as session:
        reach = reach_of(session, editor)
    list_ids = reach.chosen(sent.one("scope"))
    chosen = sent.file("file")
    if chosen is None:
        raise InputError("file", say("Choose the file to import."))
    with TemporaryDirectory(prefix="newsletter-upload-") as folder:
        file = Path(folder) / plain_file_name(chosen.filename or "")
        with file.open("wb") as copy:
            shutil.copyfileobj(chosen.file, copy)
        report = _of_most([_import(runtime, reach, file, list_id) for list_id in list_ids])
    counts = {fate.name.lower(): report.counts[fate] for fate in Fate}
    with runtime.sessions.writing() as session:
        audit.record(session, editor.actor, "suppression.imported", None, **counts)
    return report


def _import(runtime: Runtime, reach: Reach, file: Path, list_id: int) -> BlocklistReport:
    among = None if list_id == EVERYWHERE else [each.id for each in reach.lists]
    return import_blocklist(
        runtime.sessions, file, list_id, among=among, erased=runtime.erasure_key
    )


def _of_most(reports: list[BlocklistReport]) -> BlocklistReport:
    """Of one for each list: that of the list to which most was new."""
    return max(reports, key=lambda report: report.counts[Fate.ADDED])


def _form(
    request: Request,
    runtime: Runtime,
    editor: Editor,
    problems: dict[str, str] | None = None,
    sent: Form | None = None,
) -> Response:
    with runtime.sessions.reading() as session:
        reach = reach_of(session, editor)
    return page(
        request,
        "people/suppressions_import.html",
        status=422 if problems else 200,
        scopes=scopes(reach),
        scope=sent.one("scope") if sent else "",
        problems=problems or {},
        most=MOST_BYTES // 1_000_000,
    )
