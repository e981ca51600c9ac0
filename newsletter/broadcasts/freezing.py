"""Freeze the audience: one ledger row per recipient, in chunks that can stop and go on."""

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Insert,
    Integer,
    MetaData,
    Select,
    String,
    Table,
    case,
    func,
    insert,
    literal,
    select,
    text,
)
from sqlalchemy.orm import Session

from newsletter.broadcasts import ledger
from newsletter.broadcasts.models import (
    Broadcast,
    BroadcastList,
    BroadcastState,
    Content,
    Delivery,
    DeliveryState,
)
from newsletter.core.clock import now
from newsletter.core.db import Sessions
from newsletter.core.doorbell import ring_after_commit
from newsletter.core.sections import TrackingMode
from newsletter.core.tables import BigId, UtcDateTime
from newsletter.rendering.compiled import SenderIdentity, WireForm
from subscribers import segments
from subscribers.audience import audience
from subscribers.filters.language import parse
from subscribers.models import Subscriber, TrackingConsent

CHUNK_ROWS = 5_000
"""Some 10 ms of writing on SQLite, where everybody else who writes waits for it."""
_AIR_SECONDS = 0.001
"""Between two chunks, for writers in other processes: SQLite's lock knows no queue."""

_FORM_OF_MODE = {
    TrackingMode.OFF: WireForm.NONE,
    TrackingMode.AGGREGATE: WireForm.AGGREGATE,
    TrackingMode.INDIVIDUAL: WireForm.INDIVIDUAL,
}


_PEOPLE = Table(
    "freezing_people",
    MetaData(),
    Column("place", Integer, primary_key=True),
    Column("subscriber_id", BigId),
    Column("email", String(320)),
    Column("address_key", String(320)),
    Column("domain_key", String(255)),
    Column("list_id", Integer),
    Column("tracking_consent", String(20)),
    Column("exclusion", String(20)),
    prefixes=["TEMPORARY"],
)
"""Who is still to be frozen, in the order of their address keys.

That is the order of the ledger's unique index. Written in any other, each chunk changes thousands
of its pages: five times the work on SQLite, twice on PostgreSQL.
"""


def freeze(sessions: Sessions, broadcast_id: int, unknown: TrackingMode) -> None:
    """Freeze to the end, in short transactions; a no-op unless the broadcast is freezing.

    The people are read once, without a lock: who changes meanwhile is counted once, as they were,
    and whoever left is found by the ledger before they are offered anything. Stopped and called
    again, it goes on behind the last address. Of two at once one finds that the other went on,
    and leaves it to them.
    """
    with sessions.reading() as session:
        broadcast = session.get_one(Broadcast, broadcast_id)
        if broadcast.state is not BroadcastState.FREEZING:
            return
        forms = _forms(session, broadcast_id, unknown)
    with sessions.own_connection() as connection:
        with Session(connection) as session:
            _read_people(session, broadcast_id, broadcast.frozen_upto)
            session.commit()
        freezer = _Freezer(
            sessions, connection, broadcast_id, forms, broadcast.erasures, broadcast.frozen_upto
        )
        while freezer.write_chunk():
            if sessions.dialect == "sqlite":
                time.sleep(_AIR_SECONDS)


def _read_people(session: Session, broadcast_id: int, upto: str) -> None:
    lists = session.scalars(
        select(BroadcastList.list_id)
        .where(BroadcastList.broadcast_id == broadcast_id)
        .order_by(BroadcastList.position)
    ).all()
    _PEOPLE.create(session.connection())
    if session.get_bind().dialect.name == "postgresql":
        # Right after an import it believes that a list of a million has some hundred people, and
        # looks each of them up. Read whole, the tables take half the time; until the commit.
        session.execute(text("SET LOCAL enable_nestloop = off"))
    people = audience(lists, _segment(session, broadcast_id)).where(Subscriber.address_key > upto)
    columns = [column.name for column in people.selected_columns]
    session.execute(insert(_PEOPLE).from_select(columns, people.order_by(Subscriber.address_key)))


def _segment(session: Session, broadcast_id: int) -> ColumnElement[bool] | None:
    broadcast = session.get_one(Broadcast, broadcast_id)
    if not broadcast.segment:
        return None
    newsletter_id = broadcast.issue.newsletter_id
    return segments.condition(session, parse(broadcast.segment), newsletter_id)


@dataclass(slots=True)
class _Freezer:
    """Writes the people that were read, a chunk at a time.

    Attributes:
        erasures: how many had been erased when the people were read; one more, and what was read
            names somebody who is to be named nowhere.
        upto: the last address key that this freezer knows to be written.
        place: how many of the people are written.
    """

    sessions: Sessions
    connection: Connection
    broadcast_id: int
    forms: Mapping[TrackingConsent, int]
    erasures: int
    upto: str
    place: int = 0

    def write_chunk(self) -> bool:
        """True when there may be more; the last call finds nobody, and the sending begins."""
        with self.sessions.writing(on=self.connection) as session:
            broadcast = session.get_one(Broadcast, self.broadcast_id, with_for_update=True)
            stands = (broadcast.frozen_upto, broadcast.erasures)
            is_ours = stands == (self.upto, self.erasures)
            if broadcast.state is not BroadcastState.FREEZING or not is_ours:
                return False
            chunk = _PEOPLE.c.place.between(self.place + 1, self.place + CHUNK_ROWS)
            counts = session.execute(_counts(chunk)).all()
            if not counts:
                _begin_sending(session, broadcast)
                return False
            session.execute(_deliveries(broadcast, chunk, self.forms))
            exclusions = Counter(broadcast.exclusions)
            exclusions.update({row.exclusion: row.people for row in counts if row.exclusion})
            broadcast.exclusions = dict(exclusions)
            broadcast.candidates += sum(row.people for row in counts)
            self.place = max(row.last_place for row in counts)
            last = select(_PEOPLE.c.address_key).where(_PEOPLE.c.place == self.place)
            broadcast.frozen_upto = self.upto = session.scalars(last).one()
        return True


def _begin_sending(session: Session, broadcast: Broadcast) -> None:
    broadcast.state = BroadcastState.SENDING
    broadcast.frozen_at = now()
    if broadcast.not_after <= now():  # everybody is accounted for, nobody is mailed
        ledger.expire(session, broadcast.id)
    ring_after_commit(session, broadcast.id)


def _deliveries(
    broadcast: Broadcast, chunk: ColumnElement[bool], forms: Mapping[TrackingConsent, int]
) -> Insert:
    """Write the rows of those in the chunk who are mailed."""
    people = _PEOPLE.c
    columns: dict[str, ColumnElement[Any]] = {
        "broadcast_id": literal(broadcast.id),
        "subscriber_id": people.subscriber_id,
        "list_id": people.list_id,
        "address": people.email,
        "address_key": people.address_key,
        "domain_key": people.domain_key,
        "wire_form": case(forms, value=people.tracking_consent),
        "state": literal(DeliveryState.PENDING, Delivery.state.type),
        "due_at": literal(broadcast.start_at, UtcDateTime),
    }
    mailed = select(*columns.values()).where(chunk, people.exclusion.is_(None))
    return insert(Delivery).from_select(list(columns), mailed.order_by(people.place))


def _counts(chunk: ColumnElement[bool]) -> Select[Any]:
    exclusion, place = _PEOPLE.c.exclusion, _PEOPLE.c.place
    people, last_place = func.count().label("people"), func.max(place).label("last_place")
    return select(exclusion, people, last_place).where(chunk).group_by(exclusion)


def _forms(
    session: Session, broadcast_id: int, unknown: TrackingMode
) -> dict[TrackingConsent, int]:
    content = session.get_one(Content, broadcast_id)
    mode = SenderIdentity.from_json(content.identity).tracking_mode
    return {consent: int(wire_form(mode, consent, unknown)) for consent in TrackingConsent}


def wire_form(mode: TrackingMode, consent: TrackingConsent, unknown: TrackingMode) -> WireForm:
    """How much one reader's copy may tell: never more than the mode, nothing after a denial."""
    by_consent = {
        TrackingConsent.GRANTED: mode,
        TrackingConsent.UNKNOWN: unknown,
        TrackingConsent.DENIED: TrackingMode.OFF,
    }[consent]
    return min(_FORM_OF_MODE[mode], _FORM_OF_MODE[by_consent])
