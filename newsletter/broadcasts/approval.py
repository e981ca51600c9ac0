"""Approval: a second person says yes to one text under one identity, and exactly that is sent.

The yes is bound to the hash of what was frozen when somebody asked. The issue is compiled again
when it is given: whatever was edited since, in the issue, the newsletter or a template, voids it.
"""

from sqlalchemy.orm import Session

from newsletter.broadcasts import planning
from newsletter.broadcasts.basis import ChangedError, locked_issue, refuse_if_changed
from newsletter.broadcasts.control import locked
from newsletter.broadcasts.models import Broadcast, BroadcastState, Content
from newsletter.broadcasts.planning import Plan
from newsletter.core.clock import now
from newsletter.core.doorbell import ring_after_commit
from newsletter.core.errors import RefusedError
from newsletter.core.sentences import say


class SamePersonError(RefusedError):
    """Whoever asks cannot be the one who approves."""


def is_same_person(one: str, other: str) -> bool:
    """Of two actors of the audit trail; users stay themselves with another address."""
    return _person(one) == _person(other)


def _person(actor: str) -> str:
    return actor.partition(":")[0] if actor.startswith("user ") else actor


def is_as_asked(session: Session, broadcast_id: int, plan: Plan) -> bool:
    """What would be compiled now is what approval was asked for."""
    return asked_for(session, broadcast_id) == plan.content_hash()


def asked_for(session: Session, broadcast_id: int) -> str:
    """The hash of what approval was asked for last: `seen`, for whoever looks at it now."""
    return session.get_one(Content, broadcast_id).content_hash


def approve(session: Session, broadcast_id: int, plan: Plan, *, seen: str, by: str) -> Broadcast:
    """Let it start at its time, or after the hold when it was to start at once.

    1. Take the issue's and the newsletter's row: from here on nobody edits.
    2. They are what `plan` was compiled from.
    3. Take the broadcast; it still waits, and for somebody else than who asked.
    4. What was frozen is what `by` has `seen`, not what somebody asked for anew meanwhile.
    5. What was compiled is what was frozen.

    Raises:
        ChangedError: something was edited since approval was asked for, or since `by` looked.
        SamePersonError: `by` asked for it.
        RefusedError: it does not wait for approval, or its time is over.
    """
    issue = locked_issue(session, plan.issue.id)
    refuse_if_changed(issue, plan.basis, plan.identity.list_id)
    broadcast = _waiting(session, broadcast_id, plan)
    if is_same_person(broadcast.asked_by, by):
        raise SamePersonError(
            say(
                "broadcast %(id)s was asked for by you; a second person has to approve it",
                id=broadcast_id,
            )
        )
    _refuse_if_another(session, broadcast, plan, seen)
    _set_off(broadcast, issue.newsletter.hold_minutes)
    broadcast.approved_by, broadcast.approved_at = by, now()
    ring_after_commit(session, broadcast_id)
    return broadcast


def _refuse_if_another(session: Session, broadcast: Broadcast, plan: Plan, seen: str) -> None:
    """One text was asked for, seen and compiled, or nobody has said yes to what would be sent."""
    if asked_for(session, broadcast.id) != seen:
        raise ChangedError(
            say(
                "approval of broadcast %(id)s was asked for anew since you "
                "looked at it: look at what is to be sent now",
                id=broadcast.id,
            )
        )
    if not is_as_asked(session, broadcast.id, plan):
        raise ChangedError(
            say(
                "issue %(date)s or its newsletter was changed since approval of "
                "broadcast %(id)s was asked for: ask again",
                date=broadcast.issue.date.isoformat(),
                id=broadcast.id,
            )
        )


def ask_again(session: Session, broadcast_id: int, plan: Plan, *, by: str) -> Broadcast:
    """Ask for approval of the text as it is now, in place of what was asked for before.

    Raises:
        ChangedError: something was edited since `plan` was compiled.
        RefusedError: it does not wait for approval any more.
    """
    refuse_if_changed(locked_issue(session, plan.issue.id), plan.basis, plan.identity.list_id)
    broadcast = _waiting(session, broadcast_id, plan)
    content = session.get_one(Content, broadcast_id)
    for name, value in planning.frozen_columns(plan).items():
        setattr(content, name, value)
    broadcast.asked_by = by
    return broadcast


def _waiting(session: Session, broadcast_id: int, plan: Plan) -> Broadcast:
    broadcast = locked(session, broadcast_id)
    if broadcast.state is not BroadcastState.AWAITING_APPROVAL:
        raise RefusedError(
            say(
                "broadcast %(id)s is %(state)s: nobody has to approve",
                id=broadcast_id,
                state=broadcast.state,
            )
        )
    assert broadcast.issue_id == plan.issue.id, "the plan is another issue's"
    return broadcast


def _set_off(broadcast: Broadcast, hold_minutes: int) -> None:
    """Late approval moves the start; only of what was to start at once also when it goes stale."""
    stale_after = broadcast.not_after - broadcast.start_at
    if broadcast.is_at_once:
        broadcast.start_at = planning.after_hold(hold_minutes)
        broadcast.not_after = broadcast.start_at + stale_after
    elif broadcast.not_after <= now():
        raise RefusedError(
            say(
                "broadcast %(id)s has gone stale while it waited: cancel it and send anew",
                id=broadcast.id,
            )
        )
    broadcast.start_at = max(broadcast.start_at, now())
    broadcast.state = BroadcastState.SCHEDULED
