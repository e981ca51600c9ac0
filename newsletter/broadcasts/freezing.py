"""Freeze the audience: one ledger row per recipient, in chunks that can stop and go on."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from sqlalchemy import CTE, ColumnElement, Insert, Row, case, func, insert, literal, select
from sqlalchemy.orm import Session

from newsletter.broadcasts.models import (
    Broadcast,
    BroadcastList,
    BroadcastState,
    Content,
    Delivery,
    DeliveryState,
)
from newsletter.core.clock import now
from newsletter.core.config import TrackingMode
from newsletter.core.db import Sessions, UtcDateTime
from newsletter.core.doorbell import ring_after_commit
from newsletter.rendering.compiled import SenderIdentity, WireForm
from subscribers.audience import audience_chunk
from subscribers.models import TrackingConsent

CHUNK_ROWS = 5_000

_FORM_OF_MODE = {
    TrackingMode.OFF: WireForm.NONE,
    TrackingMode.AGGREGATE: WireForm.AGGREGATE,
    TrackingMode.INDIVIDUAL: WireForm.INDIVIDUAL,
}


def freeze(sessions: Sessions, broadcast_id: int, unknown: TrackingMode) -> None:
    """Freeze to the end, one transaction per chunk; a no-op unless the broadcast is freezing.

    Two at once do no harm: each chunk locks the broadcast and goes on behind its cursor.
    """
    while _freeze_chunk(sessions, broadcast_id, unknown):
        pass


def _freeze_chunk(sessions: Sessions, broadcast_id: int, unknown: TrackingMode) -> bool:
    with sessions.writing() as session:
        broadcast = session.get_one(Broadcast, broadcast_id, with_for_update=True)
        if broadcast.state is not BroadcastState.FREEZING:
            return False
        lists = session.scalars(
            select(BroadcastList.list_id)
            .where(BroadcastList.broadcast_id == broadcast_id)
            .order_by(BroadcastList.position)
        ).all()
        chunk = audience_chunk(lists, broadcast.freeze_cursor, CHUNK_ROWS).cte("chunk")
        counts = _decide(session, chunk, _deliveries(session, broadcast, chunk, unknown))
        if not counts:
            broadcast.state = BroadcastState.SENDING
            broadcast.frozen_at = now()
            ring_after_commit(session, broadcast_id)
            return False
        exclusions = Counter(broadcast.exclusions)
        exclusions.update({row.exclusion: row.people for row in counts if row.exclusion})
        broadcast.exclusions = dict(exclusions)
        broadcast.candidates += sum(row.people for row in counts)
        broadcast.freeze_cursor = max(row.last_id for row in counts)
        return True


def _deliveries(
    session: Session, broadcast: Broadcast, chunk: CTE, unknown: TrackingMode
) -> Insert:
    """Write the rows of those in the chunk who are mailed."""
    mode = _mode(session, broadcast.id)
    forms = {consent: wire_form(mode, consent, unknown) for consent in TrackingConsent}
    columns: dict[str, ColumnElement[Any]] = {
        "broadcast_id": literal(broadcast.id),
        "subscriber_id": chunk.c.subscriber_id,
        "list_id": chunk.c.list_id,
        "address": chunk.c.email,
        "address_key": chunk.c.address_key,
        "domain_key": chunk.c.domain_key,
        "wire_form": case(
            *((chunk.c.tracking_consent == consent, int(form)) for consent, form in forms.items())
        ),
        "state": literal(DeliveryState.PENDING, Delivery.state.type),
        "due_at": literal(broadcast.start_at, UtcDateTime),
    }
    mailed = select(*columns.values()).where(chunk.c.exclusion.is_(None))
    return insert(Delivery).from_select(list(columns), mailed.order_by(chunk.c.subscriber_id))


def _decide(session: Session, chunk: CTE, deliveries: Insert) -> Sequence[Row[Any]]:
    """Write the deliveries and count the chunk by exclusion, nobody in both and nobody in neither.

    Who changes meanwhile must look alike to both. On PostgreSQL one statement sees the chunk once;
    SQLite cannot write in the middle of one, but there nobody changes anything meanwhile.
    """
    people, last_id = func.count().label("people"), func.max(chunk.c.subscriber_id).label("last_id")
    counts = select(chunk.c.exclusion, people, last_id).group_by(chunk.c.exclusion)
    if session.get_bind().dialect.name == "postgresql":
        return session.execute(counts.add_cte(deliveries.cte("frozen"))).all()
    counted = session.execute(counts).all()
    session.execute(deliveries)
    return counted


def wire_form(mode: TrackingMode, consent: TrackingConsent, unknown: TrackingMode) -> WireForm:
    """How much one reader's copy may tell: never more than the mode, nothing after a denial."""
    by_consent = {
        TrackingConsent.GRANTED: mode,
        TrackingConsent.UNKNOWN: unknown,
        TrackingConsent.DENIED: TrackingMode.OFF,
    }[consent]
    return min(_FORM_OF_MODE[mode], _FORM_OF_MODE[by_consent])


def _mode(session: Session, broadcast_id: int) -> TrackingMode:
    content = session.get_one(Content, broadcast_id)
    return SenderIdentity.from_json(content.identity).tracking_mode
