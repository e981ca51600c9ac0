"""From what a relay said to what the ledger records."""

import random
from collections.abc import Sequence
from datetime import datetime, timedelta

from newsletter.broadcasts.ledger import Outcome
from newsletter.broadcasts.models import DeliveryState
from newsletter.core.clock import now
from newsletter.mail.replies import Reply, ReplyClass, classify

RELAY_PAUSE_SECONDS = 10
"""How long a row given back by a failing relay rests, so that no row is offered in a tight loop."""

_PAUSE_SECONDS = {ReplyClass.CONNECTION_LIMIT: 0, ReplyClass.RATE: 2}
"""Another connection will take it at once; a relay that is too fast is slowed by its limiter."""

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
        return given_back(delivery_id, reply, verdict)
    wait = retry_after_seconds[min(attempt, len(retry_after_seconds)) - 1]
    return Outcome(delivery_id, DeliveryState.PENDING, verdict, reply, due_at=_in(wait))


def given_back(
    delivery_id: int, reply: Reply | None = None, why: ReplyClass = ReplyClass.RELAY_FAULT
) -> Outcome:
    """Nothing was said about the recipient: the row goes back as if it had not been offered."""
    return Outcome(
        delivery_id,
        DeliveryState.PENDING,
        why,
        reply,
        due_at=_in(_PAUSE_SECONDS.get(why, RELAY_PAUSE_SECONDS)),
        counts=False,
    )


def in_doubt(delivery_id: int) -> Outcome:
    """The dot was sent and no full reply came back."""
    return Outcome(delivery_id, DeliveryState.IN_DOUBT, "no reply after the dot")


def _in(seconds: float) -> datetime:
    """That long from now, give or take 20 %, so that retries do not come back as one wave."""
    jitter = random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - spreads load, no secret
    return now() + timedelta(seconds=seconds * jitter)
