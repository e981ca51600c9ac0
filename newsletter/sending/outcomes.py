"""From what a relay said to what the ledger records, and whether the broadcast stops for it."""

import random
from collections.abc import Sequence
from datetime import datetime, timedelta

from newsletter.broadcasts.ledger import Outcome
from newsletter.broadcasts.models import DeliveryState, PauseReason
from newsletter.core.clock import now
from newsletter.mail.replies import Reply, ReplyClass, classify
from newsletter.mail.smtp import SmtpFault

RELAY_PAUSE_SECONDS = 10
"""How long a row given back by a failing relay rests, so that no row is offered in a tight loop."""

_REST_SECONDS = {ReplyClass.CONNECTION_LIMIT: 0, ReplyClass.RATE: 2}
"""Another connection takes it at once; a relay that is too fast is slowed by its limiter."""

_JITTER = 0.2
_PERMANENT = frozenset({ReplyClass.GONE, ReplyClass.MAILBOX_FULL, ReplyClass.REFUSED})


def outcome_of(
    delivery_id: int, reply: Reply, attempt: int, retry_after_seconds: Sequence[int]
) -> Outcome:
    """The verdict of a full reply to the `attempt`-th offer, counted from 1.

    A temporary refusal waits for the attempt's entry in `retry_after_seconds`; the last repeats.
    """
    verdict = classify(reply)
    if verdict is ReplyClass.ACCEPTED:
        return Outcome(delivery_id, DeliveryState.ACCEPTED, reply=reply)
    if verdict in _PERMANENT:
        return Outcome(delivery_id, DeliveryState.FAILED, verdict, reply)
    if verdict is not ReplyClass.TEMPORARY:
        return given_back(delivery_id, reply)
    wait = retry_after_seconds[min(attempt, len(retry_after_seconds)) - 1]
    return Outcome(delivery_id, DeliveryState.PENDING, verdict, reply, due_at=_in(wait))


def given_back(delivery_id: int, reply: Reply | None = None) -> Outcome:
    """The relay failed before the dot: the row goes back as if it had not been offered."""
    verdict = classify(reply) if reply else ReplyClass.RELAY_FAULT
    if not verdict.concerns_relay:
        verdict = ReplyClass.RELAY_FAULT
    rest = _REST_SECONDS.get(verdict, RELAY_PAUSE_SECONDS)
    return Outcome(
        delivery_id, DeliveryState.PENDING, verdict, reply, due_at=_in(rest), counts=False
    )


def pause_for(fault: SmtpFault) -> PauseReason | None:
    """Why a broadcast stops for this fault; None when trying again, here or elsewhere, helps.

    Our own mistake waits for an editor; a used-up quota for its window.
    """
    if fault.is_configuration:
        return PauseReason.BREAKER
    if fault.reply and classify(fault.reply) is ReplyClass.QUOTA:
        return PauseReason.QUOTA
    return None


def in_doubt(delivery_id: int) -> Outcome:
    """The dot was sent and no full reply came back."""
    return Outcome(delivery_id, DeliveryState.IN_DOUBT, "no reply after the dot")


def _in(seconds: float) -> datetime:
    """That long from now, give or take 20 %, so that retries do not come back as one wave."""
    jitter = random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - spreads load, no secret
    return now() + timedelta(seconds=seconds * jitter)
