"""Which issues somebody has or is about to get, by which broadcast and on which lists."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, exists, or_, select
from sqlalchemy.orm import Session

from newsletter.broadcasts.models import (
    Broadcast,
    BroadcastList,
    BroadcastState,
    BroadcastTotals,
    Delivery,
    DeliveryState,
)
from newsletter.core.errors import RefusedError
from newsletter.core.sentences import say
from newsletter.issues.models import Issue
from subscribers.models import SubscriberList


class AlreadySentError(RefusedError):
    """A list has the issue, or somebody has asked to send it there.

    Attributes:
        list_slug: one such list.
        broadcast_id: by which broadcast.
    """

    def __init__(self, issue: Issue, list_slug: str, earlier: Broadcast) -> None:
        awaits = earlier.state is BroadcastState.AWAITING_APPROVAL
        done = say("waits for approval to be sent") if awaits else say("was already sent")
        super().__init__(
            say(
                "issue %(date)s %(done)s to list %(list)r (broadcast %(id)s); "
                "--force sends it again to everybody on it",
                date=issue.date.isoformat(),
                done=done,
                list=list_slug,
                id=earlier.id,
            )
        )
        self.list_slug = list_slug
        self.broadcast_id = earlier.id


def was_sent(session: Session, issue: Issue) -> bool:
    """Somebody has the issue or is about to get it: its text may not change any more."""
    sent = select(Broadcast.id).where(
        Broadcast.issue_id == issue.id,
        Broadcast.state != BroadcastState.AWAITING_APPROVAL,
        counts_as_sent(),
    )
    return session.scalar(sent.limit(1)) is not None


def reached_somebody() -> ColumnElement[bool]:
    """Of a Broadcast: at least one mail of it is, or may be, out."""
    reached = exists().where(
        Delivery.broadcast_id == Broadcast.id,
        Delivery.state.in_([DeliveryState.SENDING, DeliveryState.ACCEPTED, DeliveryState.IN_DOUBT]),
    )
    had_reached = exists().where(
        BroadcastTotals.broadcast_id == Broadcast.id, BroadcastTotals.reached > 0
    )
    had_reached = had_reached.correlate(Broadcast)  # whoever asks may have joined the totals
    return or_(reached, had_reached)


def counts_as_sent() -> ColumnElement[bool]:
    """Not cancelled, or cancelled too late for some."""
    return or_(Broadcast.state != BroadcastState.CANCELLED, reached_somebody())


def refuse_if_sent(session: Session, issue: Issue, lists: Sequence[SubscriberList]) -> None:
    """Two clicks on send at once: the issue's row, locked before, let one of them come first.

    Raises:
        AlreadySentError: one of the lists has it.
    """
    earlier = sent_before(session, issue.id, [chosen.id for chosen in lists])
    if earlier:
        raise AlreadySentError(issue, earlier[0][1].slug, earlier[0][0])


def sent_before(
    session: Session, issue_id: int, list_ids: Sequence[int]
) -> Sequence[tuple[Broadcast, SubscriberList]]:
    """Of these lists those that have the issue or are about to get it, and by which broadcast."""
    rows = session.execute(
        select(Broadcast, SubscriberList)
        .join(BroadcastList, BroadcastList.broadcast_id == Broadcast.id)
        .join(SubscriberList, SubscriberList.id == BroadcastList.list_id)
        .where(
            Broadcast.issue_id == issue_id,
            counts_as_sent(),
            BroadcastList.list_id.in_(list_ids),
        )
        .order_by(Broadcast.id, BroadcastList.position)
    )
    return [(row[0], row[1]) for row in rows]
