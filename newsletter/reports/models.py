"""What was counted beside the request: figures of large broadcasts, and of lists by day."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from newsletter.core.clock import now
from newsletter.core.tables import Base, Json, UtcDateTime


class BroadcastCounts(Base):
    """The figures of one broadcast as they were counted last; numbers only, nobody's name.

    They stay when the broadcast's rows are pruned; `BroadcastTotals` then goes before them.
    """

    __tablename__ = "broadcast_counts"

    broadcast_id: Mapped[int] = mapped_column(ForeignKey("broadcasts.id"), primary_key=True)
    outcomes: Mapped[list[list[Any]]] = mapped_column(Json)
    """DeliveryState, reason, count; as in `BroadcastTotals`."""
    readership: Mapped[dict[str, Any]] = mapped_column(Json)
    """`tracking.readership.Readership` as JSON."""
    details: Mapped[dict[str, Any]] = mapped_column(Json)
    """`reports.details.Details` as JSON; apart, because a list of broadcasts reads none of it."""
    counted_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    """When the counting began: what came later is not in it."""
    took_ms: Mapped[int]
    """What takes long is counted seldom."""


class ListCounts(Base):
    """Who came to a list and who left it, by day, as it was counted last."""

    __tablename__ = "list_counts"

    list_id: Mapped[int] = mapped_column(ForeignKey("subscriber_lists.id"), primary_key=True)
    active: Mapped[int]
    """Active subscriptions at that moment."""
    days: Mapped[dict[str, Any]] = mapped_column(Json)
    """A day in UTC, as `2026-06-17` -> `reports.growth.Day` as JSON."""
    counted_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    took_ms: Mapped[int]
