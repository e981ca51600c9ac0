"""Following a broadcast at the command line, to its end or to where it stands still."""

import time

from sqlalchemy import select
from sqlalchemy.orm import Session

from newsletter.broadcasts import accounting, control
from newsletter.broadcasts.accounting import Accounting
from newsletter.broadcasts.models import OVER, WAITING, Broadcast, BroadcastState, Delivery
from newsletter.cli import in_doubt, output
from newsletter.cli.ending import Ending
from newsletter.core.clock import now
from newsletter.core.runtime import Runtime

_ENDED = (*OVER, BroadcastState.PAUSED, BroadcastState.AWAITING_APPROVAL)
_WATCH_SECONDS = 0.2
_WATCH_REST = 10
"""A watcher rests ten times as long as it keeps the database busy."""


def follow(runtime: Runtime, broadcast_id: int, ending: Ending | None = None) -> None:
    """Show progress until the broadcast is done, cancelled or paused, or `ending` is wished."""
    ending = ending or Ending()
    with output.progress(f"broadcast {broadcast_id}") as bar:
        while not ending.is_wished:
            asked_at = time.monotonic()
            with runtime.sessions.reading() as session:
                broadcast = control.find_broadcast(session, broadcast_id)
                accounts = accounting.progress(session, broadcast_id)
                waiting = _next_retry(session, broadcast_id)
            bar.update(
                bar.task_ids[0],
                description=_headline(broadcast, accounts, waiting),
                total=accounts.deliveries or None,
                completed=accounts.deliveries - accounts.open,
            )
            if broadcast.state in _ENDED:
                return
            ending.wait(_pause_seconds(time.monotonic() - asked_at))


def _pause_seconds(took_seconds: float) -> float:
    """Until the next look: the longer one takes, the rarer they are."""
    return max(_WATCH_SECONDS, took_seconds * _WATCH_REST)


def conclude(runtime: Runtime, broadcast_id: int) -> None:
    """The last word on a broadcast: its state and the accounting line."""
    with runtime.sessions.reading() as session:
        broadcast = control.find_broadcast(session, broadcast_id)
        accounts = accounting.account(session, broadcast_id)
    reason = f" ({broadcast.why_paused})" if broadcast.why_paused else ""
    output.say(f"Broadcast {broadcast_id} is {broadcast.state}{reason}.")
    if broadcast.resume_at:
        output.say(f"It goes on by itself at {broadcast.resume_at.astimezone():%H:%M}.")
    output.say(accounts.line())
    if broadcast.state not in _ENDED:
        output.say("Nothing is lost: `newsletter serve` or `newsletter worker` goes on with it.")
    if accounts.in_doubt:
        in_doubt.say_what_to_do(broadcast_id)


def _headline(broadcast: Broadcast, accounts: Accounting, next_retry: str) -> str:
    parts = [f"broadcast {broadcast.id} {broadcast.state}"]
    if accounts.failed:
        parts.append(f"{accounts.failed} failed")
    if accounts.in_doubt:
        parts.append(f"{accounts.in_doubt} in doubt")
    if next_retry:
        parts.append(next_retry)
    return " · ".join(parts)


def _next_retry(session: Session, broadcast_id: int) -> str:
    """When nothing is due now: when the next waiting recipient is."""
    due_at = session.scalar(
        select(Delivery.due_at)
        .where(Delivery.broadcast_id == broadcast_id, WAITING)
        .order_by(Delivery.due_at)
        .limit(1)
    )
    if due_at is None or due_at <= now():
        return ""
    return f"next retry at {due_at.astimezone():%H:%M:%S}"
