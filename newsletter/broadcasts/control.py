"""What an operator does to a broadcast: pause, resume, cancel, retry what failed."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from newsletter.broadcasts import ledger
from newsletter.broadcasts.models import BROADCAST_MOVES, Broadcast, BroadcastState
from newsletter.core.clock import now
from newsletter.core.doorbell import ring_after_commit
from newsletter.core.errors import NotFoundError, RefusedError


def find_broadcast(session: Session, broadcast_id: int) -> Broadcast:
    """The broadcast with this id.

    Raises:
        NotFoundError: there is none.
    """
    broadcast = session.get(Broadcast, broadcast_id)
    if broadcast is None:
        raise NotFoundError("broadcast", broadcast_id, "`newsletter broadcasts list` shows them")
    return broadcast


def list_broadcasts(session: Session) -> list[Broadcast]:
    """All broadcasts, the newest first."""
    return list(session.scalars(select(Broadcast).order_by(Broadcast.id.desc())))


def pause(session: Session, broadcast_id: int, reason: str) -> None:
    """Stop offering; what is on the wire this moment still gets its outcome."""
    broadcast = _moved(session, broadcast_id, BroadcastState.PAUSED)
    broadcast.pause_reason = reason[:300]


def resume(session: Session, broadcast_id: int) -> None:
    """Go on where it stopped."""
    broadcast = _locked(session, broadcast_id)
    frozen = broadcast.frozen_at is not None
    if broadcast.state is not BroadcastState.PAUSED:
        raise RefusedError(
            f"broadcast {broadcast_id} is {broadcast.state}, only a paused one resumes"
        )
    broadcast.state = BroadcastState.SENDING if frozen else BroadcastState.FREEZING
    broadcast.pause_reason = ""
    ring_after_commit(session, broadcast_id)


def cancel(session: Session, broadcast_id: int) -> None:
    """End it: whoever was not yet offered the mail will not get it."""
    broadcast = _moved(session, broadcast_id, BroadcastState.CANCELLED)
    broadcast.finished_at = now()
    ledger.cancel(session, broadcast_id)


def retry_failed(session: Session, broadcast_id: int, *, force: bool = False) -> int:
    """Offer the failed recipients, and only them, the mail once more; returns how many.

    Raises:
        RefusedError: the broadcast is past its `not_after` and `force` is not given.
    """
    broadcast = _locked(session, broadcast_id)
    if broadcast.state not in (BroadcastState.SENDING, BroadcastState.PAUSED, BroadcastState.DONE):
        raise RefusedError(f"broadcast {broadcast_id} is {broadcast.state}: nothing to retry")
    if broadcast.not_after < now():
        if not force:
            raise RefusedError(
                f"broadcast {broadcast_id} went stale at {broadcast.not_after:%Y-%m-%d %H:%M} UTC; "
                "--force retries all the same"
            )
        broadcast.not_after = now() + (broadcast.not_after - broadcast.start_at)
    retried = ledger.retry_failed(session, broadcast_id)
    if retried and broadcast.state is BroadcastState.DONE:
        broadcast.state = BroadcastState.SENDING
        broadcast.finished_at = None
    ring_after_commit(session, broadcast_id)
    return retried


def _moved(session: Session, broadcast_id: int, to: BroadcastState) -> Broadcast:
    broadcast = _locked(session, broadcast_id)
    if to not in BROADCAST_MOVES[broadcast.state]:
        raise RefusedError(f"broadcast {broadcast_id} is {broadcast.state}: it cannot become {to}")
    broadcast.state = to
    return broadcast


def _locked(session: Session, broadcast_id: int) -> Broadcast:
    find_broadcast(session, broadcast_id)
    return session.get_one(Broadcast, broadcast_id, with_for_update=True, populate_existing=True)
