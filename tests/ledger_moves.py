"""The ledger's moves as a sender makes them, a transaction each."""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import update

from newsletter.broadcasts import claims, offers
from newsletter.broadcasts.claims import Claim
from newsletter.broadcasts.ledger import Outcome
from newsletter.broadcasts.models import Delivery, DeliveryState
from newsletter.broadcasts.offers import Conclusion, Intent
from newsletter.core.clock import now
from newsletter.core.db import Sessions
from tests import factories


def claim(sessions: Sessions, broadcast_id: int, limit: int = 100, lease: int = 60) -> Claim:
    with sessions.writing() as session:
        return claims.claim(session.connection(), broadcast_id, limit=limit, lease_seconds=lease)


def intend(sessions: Sessions, ours: Claim, number: int = 0, *, again: bool = False) -> bool:
    row = ours.rows[number].delivery_id
    intents = [Intent(row, ours.token, "r")]
    with sessions.writing() as session:
        return offers.announce(session, intents, lease_seconds=60, again=again) == {row}


def record(sessions: Sessions, token: int, outcome: Outcome) -> bool:
    with sessions.writing() as session:
        written = offers.conclude(session, [Conclusion(token, outcome, "")])
        return written == {outcome.delivery_id}


def states(sessions: Sessions, broadcast_id: int) -> Sequence[DeliveryState]:
    return [row.state for row in factories.deliveries(sessions, broadcast_id).values()]


def expire_leases(sessions: Sessions) -> None:
    with sessions.writing() as session:
        past = now() - timedelta(seconds=1)
        session.execute(
            update(Delivery).where(Delivery.lease_until.is_not(None)).values(lease_until=past)
        )
