"""`/suppressions`: whom nobody must mail, for the newsletter's lists or everywhere."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from fastapi import Request, Response
from fastapi.responses import StreamingResponse
from sqlalchemy.orm import Session

from newsletter.accounts import audit
from newsletter.accounts.permissions import Permission
from newsletter.core.errors import InputError, RefusedError
from newsletter.core.numbers import MOST_BIG
from newsletter.core.runtime import Runtime
from newsletter.web.deps import Running
from newsletter.web.desk.editor import Editor
from newsletter.web.desk.forms import Form, Sent
from newsletter.web.desk.guard import Seated, desk_router, needs
from newsletter.web.desk.pages import go, page
from newsletter.web.desk.people import import_words as words
from newsletter.web.desk.people.asked import number
from newsletter.web.desk.people.suppression_reach import (
    Asked,
    Reach,
    names,
    reach_of,
    scopes,
)
from newsletter.web.desk.people.words import suppression_reasons, suppression_source
from newsletter.web.desk.text import _
from subscribers import suppressions_by_hand as by_hand
from subscribers.lists import slugs_of_lists
from subscribers.models import Suppression, SuppressionReason
from subscribers.suppressions import parse_key
from subscribers.suppressions_by_hand import Wanted

_PAGE_ROWS = 50

router = desk_router()


@router.get("/suppressions")
@needs(Permission.PEOPLE)
def index(request: Request, runtime: Running, editor: Seated) -> Response:
    """Search them, the latest first."""
    if editor.newsletter_id is None:
        return page(request, "people/no_newsletter.html")
    asked, before = Asked.of(request.query_params), number(request, "before", MOST_BIG)
    with runtime.sessions.reading() as session:
        reach = reach_of(session, editor)
        found = by_hand.latest(
            session,
            _wanted(runtime, reach, asked),
            before=before,
            most=_PAGE_ROWS + 1,
        )
    shown = found[:_PAGE_ROWS]
    has_more = len(found) > len(shown)
    return page(
        request,
        "people/suppressions.html",
        asked=asked,
        reach=reach,
        found=shown,
        scopes=scopes(reach),
        names=names(reach),
        reasons=suppression_reasons(),
        source_words=suppression_source,
        erased=SuppressionReason.ERASED,
        newest=f"/suppressions?{asked.query()}" if before else "",
        older=f"/suppressions?{asked.query(before=shown[-1].id)}" if has_more else "",
    )


@router.get("/suppressions/new")
@needs(Permission.PEOPLE)
def new(request: Request, runtime: Running, editor: Seated) -> Response:
    """Name somebody whom nobody must mail."""
    if editor.newsletter_id is None:
        return page(request, "people/no_newsletter.html")
    return _form(request, runtime, editor, {})


@router.post("/suppressions")
@needs(Permission.PEOPLE)
def add(request: Request, runtime: Running, editor: Seated, sent: Sent) -> Response:
    """No mail to them from now on."""
    if editor.newsletter_id is None:
        return page(request, "people/no_newsletter.html")
    try:
        added, key = _add(runtime, editor, sent)
    except InputError as error:
        problems = words.at_field(error, ("address", "scope", "reason"), "address")
        return _form(request, runtime, editor, _typed(sent), problems)
    except RefusedError as error:
        return _form(
            request, runtime, editor, _typed(sent), {"address": words.plain(error.sentence)}
        )
    said = _("%(who)s is suppressed.", who=key) if added else _("%(who)s was already.", who=key)
    return go(request, "/suppressions", said=said)


@router.get("/suppressions/{suppression_id}/lift")
@needs(Permission.PEOPLE)
def ask(request: Request, suppression_id: int, runtime: Running, editor: Seated) -> Response:
    """What lifting it means."""
    return _lifting(request, runtime, editor, suppression_id)


@router.post("/suppressions/{suppression_id}/lift")
@needs(Permission.PEOPLE)
def lift(
    request: Request, suppression_id: int, runtime: Running, editor: Seated, sent: Sent
) -> Response:
    """Mail may get to them again."""
    try:
        with runtime.sessions.writing() as session:
            found = by_hand.lift(session, suppression_id, is_sure=bool(sent.one("sure")))
            _record(session, editor, "suppression.lifted", found.key, [found.list_id], found.reason)
            key = found.key
    except RefusedError as error:
        problem = words.plain(error.sentence)
        return _lifting(request, runtime, editor, suppression_id, problem)
    return go(request, "/suppressions", said=_("%(who)s may get mail again.", who=key))


@router.post("/suppressions/export")
@needs(Permission.PEOPLE)
def export(request: Request, runtime: Running, editor: Seated, sent: Sent) -> Response:
    """What a search finds, as a file that imports again."""
    del request
    asked = Asked.of({name: sent.one(name) for name in ("q", "scope", "reason")})
    with runtime.sessions.writing() as session:
        reach = reach_of(session, editor)
        audit.record(session, editor.actor, "suppression.exported", None)
    return StreamingResponse(
        _exported(runtime, _wanted(runtime, reach, asked)),
        media_type="text/csv; charset=utf-8",
        headers={
            "Content-Disposition": 'attachment; filename="suppressions.csv"',
            "Cache-Control": "no-store",
        },
    )


def _exported(runtime: Runtime, wanted: Wanted) -> Iterator[str]:
    with runtime.sessions.reading() as session:
        yield from by_hand.exported(session, wanted, slugs_of_lists(session))


def _wanted(runtime: Runtime, reach: Reach, asked: Asked) -> Wanted:
    wanted = Wanted(reach.ids, asked.part, _reason(asked.reason), runtime.erasure_key)
    try:
        return replace(wanted, list_ids=reach.chosen(asked.scope))
    except InputError:
        return wanted


def _reason(text: str) -> SuppressionReason | None:
    return next((reason for reason in SuppressionReason if reason == text), None)


def _add(runtime: Runtime, editor: Editor, sent: Form) -> tuple[int, str]:
    key = parse_key(sent.one("address"))
    reason = by_hand.reason_named(sent.one("reason"))
    with runtime.sessions.writing() as session:
        list_ids = reach_of(session, editor).chosen(sent.one("scope"))
        added = by_hand.add(session, key, list_ids, reason, "desk", runtime.erasure_key)
        if added:
            _record(session, editor, "suppression.added", key, list_ids, reason)
    return added, key


def _record(
    session: Session,
    editor: Editor,
    action: str,
    key: str,
    list_ids: Sequence[int],
    reason: SuppressionReason,
) -> None:
    """Without the address; with the subscriber, where there is one."""
    slugs = slugs_of_lists(session)
    details = {
        "kind": "domain" if key.startswith("@") else "address",
        "list": ", ".join(slugs.get(list_id, "") for list_id in list_ids),
        "reason": reason.value,
    }
    audit.record(session, editor.actor, action, by_hand.subscriber_of(session, key), **details)


def _typed(sent: Form) -> dict[str, str]:
    return {name: sent.one(name) for name in ("address", "scope", "reason")}


def _form(
    request: Request,
    runtime: Runtime,
    editor: Editor,
    values: dict[str, str],
    problems: dict[str, str] | None = None,
) -> Response:
    with runtime.sessions.reading() as session:
        reach = reach_of(session, editor)
    reasons = [
        (reason, text)
        for reason, text in suppression_reasons().items()
        if reason in by_hand.GIVEN_REASONS
    ]
    return page(
        request,
        "people/suppression_new.html",
        status=422 if problems else 200,
        values=values,
        problems=problems or {},
        scopes=scopes(reach),
        reasons=reasons,
    )


def _lifting(
    request: Request, runtime: Runtime, editor: Editor, suppression_id: int, problem: str = ""
) -> Response:
    with runtime.sessions.reading() as session:
        found = session.get_one(Suppression, suppression_id)
        reach = reach_of(session, editor)
    return page(
        request,
        "people/suppression_lift.html",
        status=409 if problem else 200,
        found=found,
        where=names(reach).get(found.list_id, ""),
        reason=suppression_reasons()[found.reason],
        is_complaint=found.reason is SuppressionReason.COMPLAINT,
        source=suppression_source(found.source),
        is_erased=found.reason is SuppressionReason.ERASED,
        problem=problem,
    )
