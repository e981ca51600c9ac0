"""The live page of a broadcast: complete as it comes, kept fresh by the stream."""

from collections.abc import Mapping
from typing import Any

from fastapi import Request, Response

from newsletter.accounts.permissions import Permission
from newsletter.broadcasts import approval, control, planning
from newsletter.broadcasts.doubt import doubts
from newsletter.broadcasts.live import Standing
from newsletter.broadcasts.models import Broadcast, BroadcastState, DeliveryState
from newsletter.core.clock import now
from newsletter.core.runtime import Runtime
from newsletter.sending.trial_copies import as_read
from newsletter.web.deps import Running
from newsletter.web.desk.broadcasts import words
from newsletter.web.desk.broadcasts.checking import check
from newsletter.web.desk.broadcasts.watching import Publishers, Seen
from newsletter.web.desk.editor import Editor
from newsletter.web.desk.guard import Seated, desk_router, needs
from newsletter.web.desk.pages import framed, markup, page

router = desk_router()

PARTS = ("state", "progress", "actions", "figures")
"""Of the live page; each is sent anew when it has changed, so that no button leaves under a
finger while figures run."""
_NAMED_DOUBTS = 200


@router.get("/broadcasts/{broadcast_id}")
@needs(Permission.READ)
def show(request: Request, broadcast_id: int, runtime: Running, editor: Seated) -> Response:
    """How it stands."""
    return shown(request, runtime, editor, broadcast_id)


@router.get("/broadcasts/{broadcast_id}/mail")
@needs(Permission.READ)
def mail(request: Request, broadcast_id: int, runtime: Running) -> Response:
    """What it sends, for a frame."""
    with runtime.sessions.reading() as session:
        frozen = planning.frozen_content(session, broadcast_id)
    return framed(request, as_read(runtime, frozen))


@router.get("/broadcasts/{broadcast_id}/in-doubt")
@needs(Permission.SEND)
def in_doubt(request: Request, broadcast_id: int, runtime: Running, editor: Seated) -> Response:
    """Who is in doubt, and the ways out."""
    del editor
    return doubtful(request, runtime, broadcast_id)


def doubtful(request: Request, runtime: Runtime, broadcast_id: int, problem: str = "") -> Response:
    """The page of those in doubt."""
    with runtime.sessions.reading() as session:
        broadcast = control.find_broadcast(session, broadcast_id)
        found = doubts(session, broadcast_id, limit=_NAMED_DOUBTS + 1)
        subject = broadcast.issue.subject
    return page(
        request,
        "broadcasts/in_doubt.html",
        status=409 if problem else 200,
        broadcast=broadcast,
        subject=subject,
        words=words,
        doubts=found[:_NAMED_DOUBTS],
        has_more=len(found) > _NAMED_DOUBTS,
        is_stale=broadcast.not_after <= now(),
        problem=problem,
    )


def shown(
    request: Request, runtime: Runtime, editor: Editor, broadcast_id: int, problem: str = ""
) -> Response:
    """The live page; with `problem`, what somebody wanted and why it was not done."""
    publishers: Publishers = request.app.state.publishers
    seen = publishers.latest(broadcast_id) or publishers.look(broadcast_id)
    with runtime.sessions.reading() as session:
        broadcast = control.find_broadcast(session, broadcast_id)
        subject, lists = broadcast.issue.subject, words.lists_text(broadcast)
        asked_for = approval.asked_for(session, broadcast_id)
    if seen.standing.state is not broadcast.state:  # what the others see is a second old
        seen = publishers.look(broadcast_id)
    return page(
        request,
        "broadcasts/show.html",
        status=409 if problem else 200,
        problem=problem,
        broadcast=broadcast,
        subject=subject,
        lists=lists,
        asked_for=asked_for,
        is_changed=_is_changed(runtime, editor, broadcast),
        **live_variables(request, seen),
    )


def live_variables(request: Request, seen: Seen) -> dict[str, Any]:
    """What the parts that change are filled with, in page and stream alike; asks no database."""
    standing = seen.standing
    accounts = standing.accounts
    editor: Editor = request.state.editor
    return {
        "seen": seen,
        "standing": standing,
        "accounts": accounts,
        "excluded": sum(accounts.excluded.values()),
        "failed": words.reason_rows(accounts.reasons_of(DeliveryState.FAILED)),
        "skipped": words.reason_rows(accounts.reasons_of(DeliveryState.SKIPPED)),
        "is_stale": standing.not_after <= now(),
        "is_held": is_held(standing),
        "seconds_to_start": max(0, round((standing.start_at - now()).total_seconds())),
        "is_asker": approval.is_same_person(standing.asked_by, editor.actor),
        "words": words,
        "S": BroadcastState,
    }


def is_held(standing: Standing) -> bool:
    """It starts in a moment, and the seconds are counted down."""
    return standing.state is BroadcastState.SCHEDULED and standing.is_at_once


def live_parts(request: Request, variables: Mapping[str, Any]) -> dict[str, str]:
    """The HTML of each part."""
    return {name: markup(request, f"broadcasts/{name}.html", **variables) for name in PARTS}


def _is_changed(runtime: Runtime, editor: Editor, broadcast: Broadcast) -> bool:
    """Of what waits for approval: it is not what was asked for any more."""
    if broadcast.state is not BroadcastState.AWAITING_APPROVAL:
        return False
    plan = check(runtime, editor, broadcast.issue_id).plan
    if plan is None:
        return True
    with runtime.sessions.reading() as session:
        return not approval.is_as_asked(session, broadcast.id, plan)
