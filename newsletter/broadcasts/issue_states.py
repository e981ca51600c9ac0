"""Where issues stand: derived from their texts and their broadcasts."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from sqlalchemy import ColumnElement, Row, exists, select
from sqlalchemy.orm import Session, defer

from newsletter.broadcasts.models import (
    IN_DOUBT,
    Broadcast,
    BroadcastState,
    Delivery,
    PauseReason,
)
from newsletter.broadcasts.sent_issues import reached_somebody
from newsletter.issues.models import Issue


class IssueState(StrEnum):
    """What an editor has to know of an issue in one word."""

    DRAFT = "draft"
    """Its text has errors."""
    READY = "ready"
    """Nothing in its text keeps it from being sent."""
    AWAITING_APPROVAL = "awaiting approval"
    """A second person has to say yes; whoever edits its text until then voids the request."""
    SCHEDULED = "scheduled"
    SENDING = "sending"
    SENT = "sent"
    NEEDS_ATTENTION = "needs attention"
    """A broadcast stands still until somebody does something, or has mail in doubt."""


@dataclass(frozen=True, slots=True)
class Sending:
    """What the broadcasts of an issue come to.

    Attributes:
        state: None: nobody has it or is about to get it.
        broadcast_id: the one that says so; the latest of these.
    """

    state: IssueState | None = None
    broadcast_id: int | None = None
    start_at: datetime | None = None


_RANKS = (
    IssueState.NEEDS_ATTENTION,
    IssueState.AWAITING_APPROVAL,
    IssueState.SENDING,
    IssueState.SCHEDULED,
    IssueState.SENT,
)
_STATES = {
    BroadcastState.AWAITING_APPROVAL: IssueState.AWAITING_APPROVAL,
    BroadcastState.SCHEDULED: IssueState.SCHEDULED,
    BroadcastState.FREEZING: IssueState.SENDING,
    BroadcastState.SENDING: IssueState.SENDING,
    BroadcastState.PAUSED: IssueState.NEEDS_ATTENTION,
    BroadcastState.DONE: IssueState.SENT,
}


def issues_of(
    session: Session, newsletter_id: int, *, before: date | None = None, most: int = 25
) -> Sequence[Issue]:
    """A newsletter's issues without their texts, the newest first, those before a day."""
    query = (
        select(Issue)
        .where(Issue.newsletter_id == newsletter_id)
        .order_by(Issue.date.desc())
        .limit(most)
        .options(defer(Issue.source))
    )
    if before is not None:
        query = query.where(Issue.date < before)
    return session.scalars(query).all()


def sendings(session: Session, issue_ids: Iterable[int]) -> dict[int, Sending]:
    """What became of these issues; those that nobody has are not among them."""
    in_doubt = exists().where(Delivery.broadcast_id == Broadcast.id, IN_DOUBT)
    rows = session.execute(
        select(
            Broadcast.issue_id,
            Broadcast.id,
            Broadcast.state,
            Broadcast.pause_reason,
            Broadcast.start_at,
            in_doubt,
            _cancelled_too_late(),
        )
        .where(Broadcast.issue_id.in_(list(issue_ids)))
        .order_by(Broadcast.id)
    )
    found: dict[int, list[Sending]] = defaultdict(list)
    for row in rows:
        sending = _of_broadcast(row)
        if sending.state is not None:
            found[row.issue_id].append(sending)
    return {issue_id: _worst(each) for issue_id, each in found.items()}


def _of_broadcast(
    row: Row[int, int, BroadcastState, PauseReason | None, datetime, bool, bool],
) -> Sending:
    _, broadcast_id, state, why, start_at, in_doubt, reached = row
    said: IssueState | None
    if state is BroadcastState.CANCELLED:
        said = IssueState.SENT if reached else None
    elif state is BroadcastState.PAUSED and why is PauseReason.QUOTA:
        said = IssueState.SENDING  # it goes on by itself
    else:
        said = _STATES[state]
    if in_doubt and said is IssueState.SENT:
        said = IssueState.NEEDS_ATTENTION
    return Sending(said, broadcast_id, start_at)


def _cancelled_too_late() -> ColumnElement[bool]:
    """Asked of cancelled ones alone: of others nobody needs to know."""
    return (Broadcast.state == BroadcastState.CANCELLED) & reached_somebody()


def _worst(found: Sequence[Sending]) -> Sending:
    """What needs somebody first; the latest of these."""
    return min(reversed(found), key=lambda sending: _RANKS.index(sending.state or IssueState.SENT))
