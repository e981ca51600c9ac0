"""What is done to a broadcast: pause, resume, cancel, retry failures, resolve doubts."""

from collections.abc import Collection
from datetime import timedelta

from sqlalchemy import ColumnElement, select, true
from sqlalchemy.orm import Session

from newsletter.broadcasts import doubt, ledger
from newsletter.broadcasts.doubt import Doubt
from newsletter.broadcasts.models import (
    BROADCAST_MOVES,
    NOT_BEGUN,
    Broadcast,
    BroadcastState,
    BroadcastTotals,
    Delivery,
    PauseReason,
)
from newsletter.core.clock import now
from newsletter.core.doorbell import ring_after_commit
from newsletter.core.errors import NotFoundError, RefusedError
from newsletter.core.sentences import say

QUOTA_PAUSE = timedelta(hours=1)
"""Until a relay that takes no more for now is asked again. Its window is unknown: some slide over
24 hours and give way little by little, some end at a midnight; one refused offer an hour finds
either."""


class StaleError(RefusedError):
    """The broadcast is past its `not_after`, and nobody said that it is to be sent all the same."""


def find_broadcast(session: Session, broadcast_id: int) -> Broadcast:
    """The broadcast with this id.

    Raises:
        NotFoundError: there is none.
    """
    broadcast = session.get(Broadcast, broadcast_id)
    if broadcast is None:
        raise NotFoundError(
            "broadcast", broadcast_id, say("`newsletter broadcasts list` shows them")
        )
    return broadcast


def list_broadcasts(session: Session) -> list[Broadcast]:
    """All broadcasts, the newest first."""
    return list(session.scalars(select(Broadcast).order_by(Broadcast.id.desc())))


def pause(session: Session, broadcast_id: int, reason: PauseReason, detail: str = "") -> None:
    """Stop offering; what is on the wire this moment still gets its outcome.

    A pause for QUOTA ends by itself. Somebody else's pause takes over one that would.

    Raises:
        RefusedError: the broadcast is neither freezing nor sending.
    """
    broadcast = locked(session, broadcast_id)
    if broadcast.resume_at is None or reason is PauseReason.QUOTA:
        broadcast = _moved(session, broadcast_id, BroadcastState.PAUSED)
    broadcast.pause_reason = reason
    broadcast.pause_detail = detail
    broadcast.resume_at = now() + QUOTA_PAUSE if reason is PauseReason.QUOTA else None


def halt(session: Session, broadcast_id: int, reason: PauseReason, detail: str) -> bool:
    """The machine's pause; False, and nothing changed, when the broadcast is not sending.

    Of several workers that see the same trouble at once, one pauses.
    """
    if locked(session, broadcast_id).state is not BroadcastState.SENDING:
        return False
    pause(session, broadcast_id, reason, detail)
    return True


def resume(session: Session, broadcast_id: int) -> None:
    """Go on where it stopped."""
    broadcast = locked(session, broadcast_id)
    if broadcast.state is not BroadcastState.PAUSED:
        raise RefusedError(
            say(
                "broadcast %(id)s is %(state)s, only a paused one resumes",
                id=broadcast_id,
                state=broadcast.state,
            )
        )
    _resume(session, broadcast)


def resume_due(session: Session) -> None:
    """End the pauses that end by themselves and are over."""
    over = select(Broadcast).where(
        Broadcast.state == BroadcastState.PAUSED, Broadcast.resume_at <= now()
    )
    for broadcast in session.scalars(over.with_for_update(skip_locked=True)).all():
        _resume(session, broadcast)


def cancel(session: Session, broadcast_id: int) -> None:
    """End it: whoever was not yet offered the mail will not get it."""
    broadcast = _moved(session, broadcast_id, BroadcastState.CANCELLED)
    broadcast.finished_at = now()
    _forget_pause(broadcast)
    ledger.cancel(session, broadcast_id)


def undo(session: Session, broadcast_id: int) -> None:
    """Take back what has not begun: nobody is frozen, and the issue may be edited again.

    Raises:
        RefusedError: it has begun, and only `cancel` ends it now.
    """
    broadcast = locked(session, broadcast_id)
    if broadcast.state not in NOT_BEGUN:
        raise RefusedError(
            say(
                "broadcast %(id)s is %(state)s: it has begun and cannot be "
                "undone; cancel it to stop what is not yet sent",
                id=broadcast_id,
                state=broadcast.state,
            )
        )
    cancel(session, broadcast_id)


def retry_failed(session: Session, broadcast_id: int, *, force: bool = False) -> int:
    """Offer the failed recipients who may still be mailed the mail once more; returns how many.

    Raises:
        StaleError: the broadcast is past its `not_after` and `force` is not given.
        RefusedError: nothing of it can be retried.
    """
    broadcast = locked(session, broadcast_id)
    if broadcast.state not in (BroadcastState.SENDING, BroadcastState.PAUSED, BroadcastState.DONE):
        raise RefusedError(
            say(
                "broadcast %(id)s is %(state)s: nothing to retry",
                id=broadcast_id,
                state=broadcast.state,
            )
        )
    if is_pruned(session, broadcast_id):
        raise RefusedError(
            say(
                "broadcast %(id)s is pruned: who failed is not known any more",
                id=broadcast_id,
            )
        )
    _refuse_if_stale(broadcast, force=force)
    retried = ledger.retry_failed(session, broadcast_id)
    if retried and broadcast.state is BroadcastState.DONE:
        broadcast.state = BroadcastState.SENDING
        broadcast.finished_at = None
    ring_after_commit(session, broadcast_id)
    return retried


def accept_doubts(
    session: Session, broadcast_id: int, *, address_keys: Collection[str] = ()
) -> list[Doubt]:
    """Call those in doubt accepted; returns who they are. Without `address_keys`: all.

    Raises:
        RefusedError: nobody is in doubt, or not everybody who was named.
    """
    locked(session, broadcast_id)
    chosen = _in_doubt(session, broadcast_id, address_keys)
    doubt.accept(session, broadcast_id, _named(address_keys), doubt.ACCEPTED_BY_HAND)
    return chosen


def resend_doubts(
    session: Session, broadcast_id: int, *, address_keys: Collection[str] = (), force: bool = False
) -> list[Doubt]:
    """Offer those in doubt the mail once more; returns who they are. Without `address_keys`: all.

    Raises:
        RefusedError: nobody is in doubt, or not everybody who was named; the worker that offered
            the mail is alive.
        StaleError: the broadcast is past its `not_after` and `force` is not given.
    """
    broadcast = locked(session, broadcast_id)
    if is_pruned(session, broadcast_id):
        raise RefusedError(
            say(
                "broadcast %(id)s is pruned: who was in doubt is not known",
                id=broadcast_id,
            )
        )
    if broadcast.state not in doubt.RESENDABLE:
        raise RefusedError(
            say(
                "broadcast %(id)s is %(state)s: nothing is resent",
                id=broadcast_id,
                state=broadcast.state,
            )
        )
    chosen = _in_doubt(session, broadcast_id, address_keys)
    if live := [found.address for found in chosen if found.is_live]:
        raise RefusedError(
            say(
                "the worker that offered %(live)s the mail is alive and may still hear "
                "the reply; try again once its lease has ended",
                live=", ".join(live),
            )
        )
    _refuse_if_stale(broadcast, force=force)
    doubt.resend(session, broadcast, _named(address_keys), doubt.RESENT_BY_HAND)
    return chosen


def _in_doubt(session: Session, broadcast_id: int, address_keys: Collection[str]) -> list[Doubt]:
    found = doubt.doubts(session, broadcast_id)
    if not found:
        raise RefusedError(say("broadcast %(id)s has nobody in doubt", id=broadcast_id))
    others = sorted(set(address_keys) - {each.address_key for each in found})
    if others:
        raise RefusedError(
            say(
                "broadcast %(id)s: not in doubt: %(others)s",
                id=broadcast_id,
                others=", ".join(others),
            )
        )
    return [each for each in found if not address_keys or each.address_key in address_keys]


def _named(address_keys: Collection[str]) -> ColumnElement[bool]:
    return Delivery.address_key.in_(address_keys) if address_keys else true()


def _refuse_if_stale(broadcast: Broadcast, *, force: bool) -> None:
    """Forced, a stale broadcast gets as much time again as it had."""
    if broadcast.not_after >= now():
        return
    if not force:
        raise StaleError(
            say(
                "broadcast %(id)s went stale at %(not_after)s UTC; --force sends all the same",
                id=broadcast.id,
                not_after=broadcast.not_after.strftime("%Y-%m-%d %H:%M"),
            )
        )
    broadcast.not_after = now() + (broadcast.not_after - broadcast.start_at)


def _resume(session: Session, broadcast: Broadcast) -> None:
    frozen = broadcast.frozen_at is not None
    broadcast.state = BroadcastState.SENDING if frozen else BroadcastState.FREEZING
    _forget_pause(broadcast)
    ring_after_commit(session, broadcast.id)


def _forget_pause(broadcast: Broadcast) -> None:
    broadcast.pause_reason = None
    broadcast.pause_detail = ""
    broadcast.resume_at = None


def is_pruned(session: Session, broadcast_id: int) -> bool:
    """Its recipients' rows are gone or going; only the figures stay."""
    return session.get(BroadcastTotals, broadcast_id) is not None


def _moved(session: Session, broadcast_id: int, to: BroadcastState) -> Broadcast:
    broadcast = locked(session, broadcast_id)
    if to not in BROADCAST_MOVES[broadcast.state]:
        raise RefusedError(
            say(
                "broadcast %(id)s is %(state)s: it cannot become %(to)s",
                id=broadcast_id,
                state=broadcast.state,
                to=to,
            )
        )
    broadcast.state = to
    return broadcast


def locked(session: Session, broadcast_id: int) -> Broadcast:
    """The broadcast as it is now, ours until the transaction ends.

    Raises:
        NotFoundError: there is none.
    """
    find_broadcast(session, broadcast_id)
    return session.get_one(Broadcast, broadcast_id, with_for_update=True, populate_existing=True)
