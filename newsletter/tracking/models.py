"""What readers did: one row per hit; first, last, count and class are derived."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import Index, SmallInteger, String
from sqlalchemy.orm import Mapped, mapped_column

from newsletter.core.clock import now
from newsletter.core.tables import Base, BigId, UtcDateTime, text_enum


class EventKind(StrEnum):
    """What happened."""

    OPEN = "open"
    CLICK = "click"
    UNSUBSCRIBE = "unsubscribe"
    RESUBSCRIBE = "resubscribe"


class Event(Base):
    """Something that happened to a delivery, or to a broadcast when no reader may be named."""

    __tablename__ = "events"
    __table_args__ = (
        Index(None, "broadcast_id", "kind"),
        Index(None, "delivery_id", "kind"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    broadcast_id: Mapped[int]
    delivery_id: Mapped[int | None] = mapped_column(BigId)
    """Empty in aggregate mode; no foreign key, so that pruning the ledger stays cheap."""
    kind: Mapped[EventKind] = mapped_column(text_enum(EventKind))
    link: Mapped[int | None] = mapped_column(SmallInteger)
    """For a click: the number of the frozen link."""
    at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    method: Mapped[str] = mapped_column(String(10), default="GET")
    ip: Mapped[str] = mapped_column(String(45), default="")
    user_agent: Mapped[str] = mapped_column(String(300), default="")
    is_prefetch: Mapped[bool] = mapped_column(default=False)
    """The request said that nobody was looking yet."""
    reader: Mapped[str] = mapped_column(String(20), default="")
    """Once its evidence is emptied: the class it had by then, a `classification.Reader`."""
    rule: Mapped[str] = mapped_column(String(40), default="")
    """And the rule that had decided, with the version of the rules: `mail-program/1`."""
    hits: Mapped[int] = mapped_column(default=1)
    """More than 1 only on the last row a delivery may have: it counts what came after the cap."""
