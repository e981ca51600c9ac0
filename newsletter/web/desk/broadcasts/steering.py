"""What is done to a broadcast from its page. Every act looks again, under the row's lock.

A page may be a minute old: what does not fit any more is not done, and the page says why.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from fastapi import Request, Response
from sqlalchemy.orm import Session

from newsletter.accounts import audit
from newsletter.accounts.permissions import Permission
from newsletter.broadcasts import approval, control
from newsletter.broadcasts.basis import ChangedError
from newsletter.broadcasts.control import StaleError
from newsletter.broadcasts.doubt import doubts
from newsletter.broadcasts.models import Broadcast, PauseReason
from newsletter.core.errors import RefusedError
from newsletter.core.runtime import Runtime
from newsletter.core.sentences import say
from newsletter.web.deps import Running
from newsletter.web.desk.broadcasts.checking import check
from newsletter.web.desk.broadcasts.showing import doubtful, shown
from newsletter.web.desk.editor import Editor
from newsletter.web.desk.forms import Form, Sent
from newsletter.web.desk.guard import Seated, desk_router, needs
from newsletter.web.desk.pages import go
from newsletter.web.desk.problems import capitalised
from newsletter.web.desk.text import _, n_

router = desk_router()


@dataclass(frozen=True, slots=True)
class _Act:
    """One that needs no more than the broadcast.

    Attributes:
        done: how the audit trail calls it.
        said: to who did it, in their language.
    """

    act: Callable[[Session, int], object]
    done: str
    said: Callable[[], str]


_ACTS = {
    "pause": _Act(
        lambda session, broadcast_id: control.pause(session, broadcast_id, PauseReason.OPERATOR),
        "paused",
        lambda: _("Paused."),
    ),
    "resume": _Act(control.resume, "resumed", lambda: _("It goes on.")),
    "undo": _Act(
        control.undo,
        "undone",
        lambda: _("Taken back. Nobody got it, and the issue can be edited again."),
    ),
    "cancel": _Act(
        control.cancel,
        "cancelled",
        lambda: _("Cancelled. The line below says who got it and who did not."),
    ),
}
"""By the last part of the path."""


def _add_route(verb: str, chosen: _Act) -> None:
    @router.post(f"/broadcasts/{{broadcast_id}}/{verb}", name=verb)
    @needs(Permission.SEND)
    def steer(request: Request, broadcast_id: int, runtime: Running, editor: Seated) -> Response:
        def act(session: Session) -> str:
            chosen.act(session, broadcast_id)
            return chosen.said()

        return _steered(request, runtime, editor, broadcast_id, chosen.done, act)


for _verb, _chosen in _ACTS.items():
    _add_route(_verb, _chosen)


@router.post("/broadcasts/{broadcast_id}/retry-failed")
@needs(Permission.SEND)
def retry_failed(
    request: Request, broadcast_id: int, runtime: Running, editor: Seated, sent: Sent
) -> Response:
    """Offer those who failed, and nobody else, the mail once more."""

    def act(session: Session) -> str:
        retried = control.retry_failed(session, broadcast_id, force="force" in sent)
        if not retried:
            raise RefusedError(say("Nobody failed who may still be mailed."))
        return n_("%(n)s person is tried again.", "%(n)s people are tried again.", retried)

    return _steered(request, runtime, editor, broadcast_id, "retried", act)


@router.post("/broadcasts/{broadcast_id}/approve")
@needs(Permission.SEND)
def approve(
    request: Request, broadcast_id: int, runtime: Running, editor: Seated, sent: Sent
) -> Response:
    """Say yes to exactly what was asked for, as the page with the button showed it."""
    plan = check(runtime, editor, _issue_id(runtime, broadcast_id)).plan

    def act(session: Session) -> str:
        if plan is None:
            raise ChangedError(say("The issue has errors by now. Mend them and ask again."))
        approval.approve(session, broadcast_id, plan, seen=sent.one("seen"), by=editor.actor)
        return _("Approved.")

    return _steered(request, runtime, editor, broadcast_id, "approved", act)


@router.post("/broadcasts/{broadcast_id}/ask-again")
@needs(Permission.SEND)
def ask_again(request: Request, broadcast_id: int, runtime: Running, editor: Seated) -> Response:
    """Ask for approval of the issue as it is now."""
    plan = check(runtime, editor, _issue_id(runtime, broadcast_id)).plan

    def act(session: Session) -> str:
        if plan is None:
            raise ChangedError(say("The issue has errors. Mend them and ask again."))
        approval.ask_again(session, broadcast_id, plan, by=editor.actor)
        return _("Asked for approval of the issue as it is now.")

    return _steered(request, runtime, editor, broadcast_id, "asked again", act)


@router.post("/broadcasts/{broadcast_id}/in-doubt")
@needs(Permission.SEND)
def resolve(
    request: Request, broadcast_id: int, runtime: Running, editor: Seated, sent: Sent
) -> Response:
    """Decide about those in doubt: all, or those ticked."""
    is_resent = sent.one("decision") == "resend"
    try:
        with runtime.sessions.writing() as session:
            keys = _ticked(session, broadcast_id, sent)
            if is_resent:
                force = "force" in sent
                found = control.resend_doubts(session, broadcast_id, address_keys=keys, force=force)
            else:
                found = control.accept_doubts(session, broadcast_id, address_keys=keys)
            action = "broadcast.doubts_resent" if is_resent else "broadcast.doubts_accepted"
            audit.record(session, editor.actor, action, broadcast=broadcast_id, people=len(found))
    except RefusedError as error:
        return doubtful(request, runtime, broadcast_id, _sentence(error))
    said = (
        n_(
            "%(n)s person is offered the mail once more.",
            "%(n)s people are offered the mail once more.",
            len(found),
        )
        if is_resent
        else n_("%(n)s person counts as accepted.", "%(n)s people count as accepted.", len(found))
    )
    return go(request, f"/broadcasts/{broadcast_id}", said=said)


def _ticked(session: Session, broadcast_id: int, sent: Form) -> Collection[str]:
    """Address keys of those ticked; empty: all of them are meant."""
    if sent.one("who") == "all":
        return ()
    ticked = set(sent.numbers("delivery"))
    keys = [d.address_key for d in doubts(session, broadcast_id) if d.delivery_id in ticked]
    if not keys:
        raise RefusedError(say("Nobody was ticked, or they are not in doubt any more."))
    return keys


def _steered(
    request: Request,
    runtime: Runtime,
    editor: Editor,
    broadcast_id: int,
    done: str,
    act: Callable[[Session], str],
) -> Response:
    """One act in one transaction with its line in the audit trail, or the page and why not."""
    try:
        with runtime.sessions.writing() as session:
            said = act(session)
            audit.record(session, editor.actor, f"broadcast.{done}", broadcast=broadcast_id)
    except RefusedError as error:
        return shown(request, runtime, editor, broadcast_id, _sentence(error))
    return go(request, f"/broadcasts/{broadcast_id}", said=said)


def _sentence(error: RefusedError) -> str:
    if isinstance(error, StaleError):
        return _("It has gone stale. Tick the box if it is to be sent all the same.")
    return capitalised(error.sentence)


def _issue_id(runtime: Runtime, broadcast_id: int) -> int:
    with runtime.sessions.reading() as session:
        return session.get_one(Broadcast, broadcast_id).issue_id
