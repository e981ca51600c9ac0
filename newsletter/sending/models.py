"""What the sending machine keeps: system mail to go out, who holds which lease, relays' health."""

from datetime import datetime

from sqlalchemy import LargeBinary, SmallInteger, String
from sqlalchemy.orm import Mapped, mapped_column

from newsletter.broadcasts.models import DeliveryState
from newsletter.core.clock import now
from newsletter.core.tables import Base, BigId, Said, SmallEnum, UtcDateTime


class SystemMail(Base):
    """The outbox: one system mail (confirmation, test send, notice), with a delivery's states."""

    __tablename__ = "outbox"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    idempotency_key: Mapped[str] = mapped_column(String(200), unique=True)
    kind: Mapped[str] = mapped_column(String(40))
    sender: Mapped[str] = mapped_column(String(320))
    address: Mapped[str] = mapped_column(String(320), index=True)
    wire: Mapped[bytes | None] = mapped_column(LargeBinary)
    """The message as it goes over the wire; deleted once the row is terminal."""
    state: Mapped[DeliveryState] = mapped_column(
        SmallEnum(DeliveryState), default=DeliveryState.PENDING, index=True
    )
    due_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    not_after: Mapped[datetime] = mapped_column(UtcDateTime)
    attempt: Mapped[int] = mapped_column(SmallInteger, default=0)
    lease_token: Mapped[int | None] = mapped_column(BigId)
    lease_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    reason: Mapped[str] = mapped_column(String(40), default="")
    reply_code: Mapped[int | None] = mapped_column(SmallInteger)
    reply_text: Mapped[str] = mapped_column(String(200), default="")
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)


class Lease(Base):
    """A named right held by one process until a time, such as being the one embedded sender."""

    __tablename__ = "leases"

    name: Mapped[str] = mapped_column(String(80), primary_key=True)
    token: Mapped[int] = mapped_column(BigId)
    until: Mapped[datetime] = mapped_column(UtcDateTime)


class RelayState(Base):
    """What is known about a relay beyond its settings; by its configured name, over all workers."""

    __tablename__ = "relay_state"

    name: Mapped[str] = mapped_column(String(40), primary_key=True)
    paused: Mapped[bool] = mapped_column(default=False)
    pause_reason: Mapped[str] = mapped_column(Said(200), default="")
    breaker_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """None: closed. In the past: the next who asks may probe."""
    breaker_reason: Mapped[str] = mapped_column(Said(200), default="")
    breaker_openings: Mapped[int] = mapped_column(SmallInteger, default=0)
    probing: Mapped[bool] = mapped_column(default=False)
    faults: Mapped[int] = mapped_column(SmallInteger, default=0)
    first_fault_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    learned_connections: Mapped[int | None] = mapped_column(SmallInteger)
    learned_messages_per_connection: Mapped[int | None]
    pipelining_broken: Mapped[bool] = mapped_column(default=False)
    learned_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
