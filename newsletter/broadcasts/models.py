"""One sending of one issue: broadcasts, their frozen content, and the ledger of deliveries."""

from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Any

from sqlalchemy import (
    ColumnElement,
    ForeignKey,
    Index,
    SmallInteger,
    String,
    Text,
    UniqueConstraint,
    and_,
    bindparam,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from newsletter.core.clock import now
from newsletter.core.sections import OnInDoubt
from newsletter.core.tables import Base, BigId, Json, Said, SmallEnum, UtcDateTime, text_enum
from newsletter.issues.models import Issue
from newsletter.rendering.compiled import WireForm
from subscribers.models import SubscriberList


class BroadcastState(StrEnum):
    """Where a broadcast stands."""

    AWAITING_APPROVAL = "awaiting approval"
    """Asked for; a second person has to say yes, and until then its issue may be edited."""
    SCHEDULED = "scheduled"
    FREEZING = "freezing"
    SENDING = "sending"
    PAUSED = "paused"
    DONE = "done"
    CANCELLED = "cancelled"


BROADCAST_MOVES: dict[BroadcastState, frozenset[BroadcastState]] = {
    BroadcastState.AWAITING_APPROVAL: frozenset(
        {BroadcastState.SCHEDULED, BroadcastState.CANCELLED}
    ),
    BroadcastState.SCHEDULED: frozenset({BroadcastState.FREEZING, BroadcastState.CANCELLED}),
    BroadcastState.FREEZING: frozenset(
        {BroadcastState.SENDING, BroadcastState.PAUSED, BroadcastState.CANCELLED}
    ),
    BroadcastState.SENDING: frozenset(
        {BroadcastState.PAUSED, BroadcastState.DONE, BroadcastState.CANCELLED}
    ),
    BroadcastState.PAUSED: frozenset(
        {BroadcastState.FREEZING, BroadcastState.SENDING, BroadcastState.CANCELLED}
    ),
    BroadcastState.DONE: frozenset({BroadcastState.SENDING}),
    BroadcastState.CANCELLED: frozenset(),
}


NOT_BEGUN = (BroadcastState.AWAITING_APPROVAL, BroadcastState.SCHEDULED)
"""Nobody is frozen yet: ended now, it is as if it had never been asked for."""

OVER = (BroadcastState.DONE, BroadcastState.CANCELLED)
"""Nothing more happens by itself."""


class PauseReason(StrEnum):
    """Who or what stopped a broadcast."""

    OPERATOR = "operator"
    BREAKER = "breaker"
    """The relay refuses us: login, sender or identity; everybody would fail."""
    HEALTH = "health"
    """Too many recipients refuse this mail, or the books do not add up."""
    QUOTA = "quota"
    """The relay takes no more for now; the broadcast resumes by itself at `resume_at`."""


class DeliveryState(IntEnum):
    """Where one recipient's row stands."""

    PENDING = 0
    CLAIMED = 1
    SENDING = 2
    ACCEPTED = 3
    FAILED = 4
    SKIPPED = 5
    IN_DOUBT = 6


DELIVERY_MOVES: dict[DeliveryState, frozenset[DeliveryState]] = {
    DeliveryState.PENDING: frozenset(
        {DeliveryState.CLAIMED, DeliveryState.SKIPPED, DeliveryState.FAILED}
    ),
    DeliveryState.CLAIMED: frozenset(
        {DeliveryState.SENDING, DeliveryState.PENDING, DeliveryState.SKIPPED}
    ),
    DeliveryState.SENDING: frozenset(
        {
            DeliveryState.ACCEPTED,
            DeliveryState.PENDING,
            DeliveryState.FAILED,
            DeliveryState.IN_DOUBT,
        }
    ),
    DeliveryState.IN_DOUBT: frozenset(
        {DeliveryState.ACCEPTED, DeliveryState.FAILED, DeliveryState.PENDING}
    ),
    DeliveryState.FAILED: frozenset({DeliveryState.PENDING}),
    DeliveryState.ACCEPTED: frozenset(),
    DeliveryState.SKIPPED: frozenset(),
}

LEASED = text("state IN (1, 2)")
"""Claimed or sending, in the words of the index of leases: SQLite uses it for these alone."""

NOT_SENT = text("state IN (4, 5)")
"""Failed or skipped, in the words of their index: few, and counted by reason again and again."""

OPEN_STATES = (DeliveryState.PENDING, DeliveryState.CLAIMED, DeliveryState.SENDING)


class Broadcast(Base):
    """One sending of one issue to lists, with frozen content and frozen audience."""

    __tablename__ = "broadcasts"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    issue_id: Mapped[int] = mapped_column(ForeignKey("issues.id"), index=True)
    state: Mapped[BroadcastState] = mapped_column(
        text_enum(BroadcastState), default=BroadcastState.SCHEDULED
    )
    pause_reason: Mapped[PauseReason | None] = mapped_column(text_enum(PauseReason))
    pause_detail: Mapped[str] = mapped_column(Said(300), default="")
    """For people: what was seen, such as the relay's reply."""
    resume_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When a pause ends by itself; empty: when somebody resumes it."""
    segment: Mapped[str] = mapped_column(Text, default="")
    """The filter over its lists, in the words of `subscribers.filters`; empty: everybody."""
    start_at: Mapped[datetime] = mapped_column(UtcDateTime)
    is_at_once: Mapped[bool] = mapped_column(default=False)
    """To start as soon as it may: after the hold, and after somebody has approved."""
    not_after: Mapped[datetime] = mapped_column(UtcDateTime)
    """A digest goes stale: what is not accepted by then is not sent any more."""
    on_in_doubt: Mapped[OnInDoubt] = mapped_column(text_enum(OnInDoubt), default=OnInDoubt.HOLD)
    frozen_upto: Mapped[str] = mapped_column(String(320), default="")
    """The last address key that freezing has seen; freezing goes on behind it."""
    erasures: Mapped[int] = mapped_column(default=0)
    """How many people were erased while it was freezing: what was read before names them."""
    frozen_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    candidates: Mapped[int] = mapped_column(default=0)
    exclusions: Mapped[dict[str, int]] = mapped_column(Json, default=dict)
    """`subscribers.audience.Exclusion` -> count."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    asked_by: Mapped[str] = mapped_column(String(200), default="")
    """Who wants it sent, as the audit trail names them; empty: nobody knows any more."""
    approved_by: Mapped[str] = mapped_column(String(200), default="")
    approved_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    request_key: Mapped[str | None] = mapped_column(String(64), unique=True, index=True)
    """Of the form that asked for it: sent twice, it makes one broadcast."""

    issue: Mapped[Issue] = relationship()
    lists: Mapped[list["BroadcastList"]] = relationship(order_by="BroadcastList.position")

    @property
    def why_paused(self) -> str:
        """The pause in one line, such as `quota: 454 daily quota exceeded`; empty without one."""
        return ": ".join(part for part in (self.pause_reason, self.pause_detail) if part)


class BroadcastList(Base):
    """A list of a broadcast; the order decides which list a person on several is mailed for."""

    __tablename__ = "broadcast_lists"

    broadcast_id: Mapped[int] = mapped_column(ForeignKey("broadcasts.id"), primary_key=True)
    list_id: Mapped[int] = mapped_column(ForeignKey("subscriber_lists.id"), primary_key=True)
    position: Mapped[int] = mapped_column(SmallInteger)

    list: Mapped[SubscriberList] = relationship()


class Content(Base):
    """What a broadcast sends, frozen; apart from the broadcast's row, which changes often."""

    __tablename__ = "broadcast_contents"

    broadcast_id: Mapped[int] = mapped_column(ForeignKey("broadcasts.id"), primary_key=True)
    content_hash: Mapped[str] = mapped_column(String(64))
    """SHA-256 of what is sent and whose it is; see `planning.Plan.content_hash`."""
    compiled: Mapped[dict[str, Any]] = mapped_column(Json)
    """`rendering.compiled.CompiledEmail` as JSON."""
    identity: Mapped[dict[str, Any]] = mapped_column(Json)
    """`rendering.compiled.SenderIdentity` as JSON: sender, List-Id, base URL, Date, mode."""


class BroadcastTotals(Base):
    """The figures of a broadcast whose rows are pruned or being pruned; then they alone count."""

    __tablename__ = "broadcast_totals"

    broadcast_id: Mapped[int] = mapped_column(ForeignKey("broadcasts.id"), primary_key=True)
    reached: Mapped[int]
    """How many have the mail or may have it: accepted and in doubt."""
    outcomes: Mapped[list[list[Any]]] = mapped_column(Json)
    """DeliveryState, reason, count."""
    readership: Mapped[dict[str, Any]] = mapped_column(Json)
    """`tracking.readership.Readership` as JSON, by the rules that were in force when written."""
    written_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    pruned_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """Empty while there are rows to delete."""


class Delivery(Base):
    """One recipient's row: the ledger. The address, not the subscriber, is the idempotency key."""

    __tablename__ = "deliveries"
    __table_args__ = (
        UniqueConstraint("broadcast_id", "address_key"),
        Index(
            "ix_deliveries_due",
            "broadcast_id",
            "due_at",
            "id",
            postgresql_where=text("state = 0"),
            sqlite_where=text("state = 0"),
        ),
        Index(
            "ix_deliveries_leased",
            "lease_until",
            postgresql_where=LEASED,
            sqlite_where=LEASED,
        ),
        Index(
            "ix_deliveries_in_doubt",
            "broadcast_id",
            "id",
            postgresql_where=text("state = 6"),
            sqlite_where=text("state = 6"),
        ),
        Index(
            "ix_deliveries_not_sent",
            "broadcast_id",
            "state",
            "reason",
            postgresql_where=NOT_SENT,
            sqlite_where=NOT_SENT,
        ),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    broadcast_id: Mapped[int] = mapped_column(ForeignKey("broadcasts.id"))
    subscriber_id: Mapped[int] = mapped_column(BigId)
    list_id: Mapped[int]
    """The first list, in the broadcast's order, on which the address is active."""
    address: Mapped[str] = mapped_column(String(320))
    """Empty once the person is erased; then the key is the keyed hash."""
    address_key: Mapped[str] = mapped_column(String(320))
    domain_key: Mapped[str] = mapped_column(String(255))
    wire_form: Mapped[WireForm] = mapped_column(SmallEnum(WireForm))
    state: Mapped[DeliveryState] = mapped_column(
        SmallEnum(DeliveryState), default=DeliveryState.PENDING
    )
    due_at: Mapped[datetime] = mapped_column(UtcDateTime)
    attempt: Mapped[int] = mapped_column(SmallInteger, default=0)
    relay: Mapped[str] = mapped_column(String(40), default="")
    lease_token: Mapped[int | None] = mapped_column(BigId)
    """63 random bits: who does not know them cannot record an outcome."""
    lease_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    reason: Mapped[str] = mapped_column(String(40), default="")
    """Why it was skipped or failed: a SkipReason or a reply class."""
    reply_code: Mapped[int | None] = mapped_column(SmallInteger)
    enhanced_code: Mapped[str] = mapped_column(String(12), default="")
    reply_text: Mapped[str] = mapped_column(String(200), default="")
    last_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


def _written(state: DeliveryState) -> ColumnElement[bool]:
    """Not bound: SQLite uses a partial index only for a constant that it sees."""
    return Delivery.state == bindparam(None, state, Delivery.state.type, literal_execute=True)


def leased_of(broadcast_id: int) -> ColumnElement[bool]:
    """Claimed and sending rows of a broadcast, by the index of leases, which are always few.

    The sum hides the broadcast from the planner: SQLite would walk all its rows to find these.
    """
    ours = Delivery.broadcast_id + 0 == broadcast_id
    return and_(ours, LEASED, Delivery.lease_until.is_not(None))


WAITING = _written(DeliveryState.PENDING)
IN_DOUBT = _written(DeliveryState.IN_DOUBT)


class SkipReason(StrEnum):
    """Why a delivery was dropped before it was ever offered to a relay."""

    UNSUBSCRIBED = "unsubscribed"
    SUPPRESSED = "suppressed"
    PAUSED = "paused"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class Proof(StrEnum):
    """What showed that the relay had taken a mail in doubt; the ledger keeps it as the reason.

    A bounce and a complaint prove it too: somebody can only refuse later what was taken before.
    """

    OPEN = "proved by an open"
    CLICK = "proved by a click"
    UNSUBSCRIBE = "proved by an unsubscribe"
    BOUNCE = "proved by a bounce"
    COMPLAINT = "proved by a complaint"
    WEBHOOK = "proved by the provider"


class DeliveryLog(Base):
    """What happened to a delivery besides success: retries, failures, doubt; append-only."""

    __tablename__ = "delivery_log"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    delivery_id: Mapped[int] = mapped_column(BigId, index=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    state: Mapped[DeliveryState] = mapped_column(SmallEnum(DeliveryState))
    """The state it went to."""
    reason: Mapped[str] = mapped_column(Text, default="")
