"""Freeze the audience: one ledger row per recipient, in chunks that can stop and go on."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    CreateTableAs,
    FromClause,
    Insert,
    Row,
    Select,
    case,
    func,
    insert,
    literal,
    select,
)
from sqlalchemy.orm import Session
from sqlalchemy.schema import DropTable

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
        people = audience_chunk(lists, broadcast.freeze_cursor, CHUNK_ROWS)
        counts = _decide(session, broadcast, people, unknown)
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


def _decide(
    session: Session, broadcast: Broadcast, people: Select[Any], unknown: TrackingMode
) -> Sequence[Row[Any]]:
    """Write the deliveries of a chunk and count it by exclusion: the people are read once.

    Read twice, who changes in between would be counted in both or in neither. SQLite cannot write
    in the middle of a question, so there the chunk is kept for a moment.
    """
    mode = _mode(session, broadcast.id)
    forms = {consent: int(wire_form(mode, consent, unknown)) for consent in TrackingConsent}
    if session.get_bind().dialect.name == "postgresql":
        chunk = people.cte("chunk")
        frozen = _deliveries(broadcast, chunk, forms).cte("frozen")
        return session.execute(_counts(chunk).add_cte(frozen)).all()
    kept = CreateTableAs(people, "frozen_chunk", temporary=True)
    session.execute(kept)
    session.execute(_deliveries(broadcast, kept.table, forms))
    counts = session.execute(_counts(kept.table)).all()
    session.execute(DropTable(kept.table))
    return counts


def _deliveries(
    broadcast: Broadcast, chunk: FromClause, forms: Mapping[TrackingConsent, int]
) -> Insert:
    """Write the rows of those in the chunk who are mailed."""
    columns: dict[str, ColumnElement[Any]] = {
        "broadcast_id": literal(broadcast.id),
        "subscriber_id": chunk.c.subscriber_id,
        "list_id": chunk.c.list_id,
        "address": chunk.c.email,
        "address_key": chunk.c.address_key,
        "domain_key": chunk.c.domain_key,
        "wire_form": case(forms, value=chunk.c.tracking_consent),
        "state": literal(DeliveryState.PENDING, Delivery.state.type),
        "due_at": literal(broadcast.start_at, UtcDateTime),
    }
    mailed = select(*columns.values()).where(chunk.c.exclusion.is_(None))
    return insert(Delivery).from_select(list(columns), mailed.order_by(chunk.c.subscriber_id))


def _counts(chunk: FromClause) -> Select[Any]:
    people, last_id = func.count().label("people"), func.max(chunk.c.subscriber_id).label("last_id")
    return select(chunk.c.exclusion, people, last_id).group_by(chunk.c.exclusion)


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
