"""Who works here, and what they did."""

from datetime import datetime
from typing import Any

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from newsletter.core.clock import now
from newsletter.core.tables import Base, BigId, Json, UtcDateTime


class AuditEvent(Base):
    """One thing that somebody who works here did to people or settings; never changed."""

    __tablename__ = "audit_events"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    actor: Mapped[str] = mapped_column(String(200))
    """Who: a user of the desk, or `command` and the account of the operating system."""
    action: Mapped[str] = mapped_column(String(60))
    """What, as noun and verb: `subscriber.erased`, `suppression.added`."""
    subscriber_id: Mapped[int | None] = mapped_column(BigId, index=True)
    """To whom; no foreign key: the trail outlives the person's data, and holds none of it."""
    details: Mapped[dict[str, Any]] = mapped_column(Json, default=dict)
    """Facts such as counts and list names; no address, no name."""
