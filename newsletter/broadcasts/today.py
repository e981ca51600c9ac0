"""The work of the day: the issue that is due, and the broadcasts that somebody should look at."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Select, exists, or_, select
from sqlalchemy.orm import Session, defer, joinedload

from newsletter.broadcasts.history import paused_by
from newsletter.broadcasts.models import (
    IN_DOUBT,
    Broadcast,
    BroadcastState,
    Delivery,
    PauseReason,
)
from newsletter.broadcasts.sent_issues import counts_as_sent
from newsletter.issues.models import Issue

_MOST = 20
_UNDER_WAY = (BroadcastState.FREEZING, BroadcastState.SENDING)
_TO_COME = (BroadcastState.SCHEDULED,)


@dataclass(frozen=True, slots=True)
class Task:
    """A broadcast, and the issue it sends."""

    broadcast_id: int
    issue_id: int
    subject: str
    state: BroadcastState
    pause_reason: PauseReason | None
    pause_detail: str
    paused_by: str
    start_at: datetime
    asked_by: str


@dataclass(frozen=True, slots=True)
class Today:
    """A newsletter on one day.

    Attributes:
        issue: of that day; None: there is none yet.
        unsent: earlier and later issues that nobody was sent, the newest first.
        attention: broadcasts that stand still until somebody does something, or have mail in doubt.
        approvals: what waits for a second person's yes.
    """

    day: date
    issue: Issue | None
    unsent: Sequence[Issue]
    attention: Sequence[Task]
    approvals: Sequence[Task]
    under_way: Sequence[Task]
    to_come: Sequence[Task]


def today(session: Session, newsletter_id: int, day: date) -> Today:
    """What is to be done in a newsletter on `day`, a day in the editor's zone."""
    open_ones = [_task(session, row) for row in _open(session, newsletter_id)]

    def those(*states: BroadcastState) -> list[Task]:
        return [task for task in open_ones if task.state in states]

    return Today(
        day=day,
        issue=session.scalar(_issues(newsletter_id).where(Issue.date == day)),
        unsent=_unsent(session, newsletter_id, day),
        attention=those(BroadcastState.PAUSED, BroadcastState.DONE),
        approvals=those(BroadcastState.AWAITING_APPROVAL),
        under_way=those(*_UNDER_WAY),
        to_come=those(*_TO_COME),
    )


def _issues(newsletter_id: int) -> Select[Issue]:
    query = select(Issue).where(Issue.newsletter_id == newsletter_id)
    return query.options(defer(Issue.source))


def _unsent(session: Session, newsletter_id: int, day: date) -> Sequence[Issue]:
    """Without a broadcast that was not called off in time, as `issue_states` says it."""
    planned = exists().where(Broadcast.issue_id == Issue.id, counts_as_sent())
    query = _issues(newsletter_id).where(~planned, Issue.date != day)
    return session.scalars(query.order_by(Issue.date.desc()).limit(3)).all()


def _open(session: Session, newsletter_id: int) -> Sequence[Broadcast]:
    """Not over, or over with mail in doubt; a pause that ends by itself is nobody's work."""
    in_doubt = exists().where(Delivery.broadcast_id == Broadcast.id, IN_DOUBT)
    is_open = Broadcast.state.in_(
        [BroadcastState.AWAITING_APPROVAL, *_TO_COME, *_UNDER_WAY, BroadcastState.PAUSED]
    )
    return session.scalars(
        _broadcasts(newsletter_id)
        .where(or_(is_open, (Broadcast.state == BroadcastState.DONE) & in_doubt))
        .order_by(Broadcast.start_at, Broadcast.id)
        .limit(_MOST)
    ).all()


def _broadcasts(newsletter_id: int) -> Select[Broadcast]:
    of_newsletter = Issue.newsletter_id == newsletter_id
    with_issue = joinedload(Broadcast.issue).defer(Issue.source)
    return select(Broadcast).join(Issue).where(of_newsletter).options(with_issue)


def _task(session: Session, broadcast: Broadcast) -> Task:
    goes_on = broadcast.pause_reason is PauseReason.QUOTA
    return Task(
        broadcast_id=broadcast.id,
        issue_id=broadcast.issue_id,
        subject=broadcast.issue.subject,
        state=BroadcastState.SENDING if goes_on else broadcast.state,
        pause_reason=broadcast.pause_reason,
        pause_detail=broadcast.pause_detail,
        paused_by=paused_by(session, broadcast),
        start_at=broadcast.start_at,
        asked_by=broadcast.asked_by,
    )
