"""Who may be mailed: the tables and their states."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from newsletter.core.clock import now
from newsletter.core.tables import Base, BigId, Json, UtcDateTime, text_enum

MAX_NAME_CHARACTERS = 200


class SubscriptionStatus(StrEnum):
    """Where a subscription stands."""

    PENDING = "pending"
    """Asked for and not yet confirmed."""
    ACTIVE = "active"
    UNSUBSCRIBED = "unsubscribed"


STATUS_MOVES: dict[SubscriptionStatus, frozenset[SubscriptionStatus]] = {
    SubscriptionStatus.PENDING: frozenset(
        {SubscriptionStatus.ACTIVE, SubscriptionStatus.UNSUBSCRIBED}
    ),
    SubscriptionStatus.ACTIVE: frozenset({SubscriptionStatus.UNSUBSCRIBED}),
    SubscriptionStatus.UNSUBSCRIBED: frozenset(
        {SubscriptionStatus.PENDING, SubscriptionStatus.ACTIVE}
    ),
}
"""Unsubscribed goes back only by the person's own act: an undo, or asking and confirming again."""


class TrackingConsent(StrEnum):
    """What the person said about being tracked."""

    UNKNOWN = "unknown"
    GRANTED = "granted"
    DENIED = "denied"


class ConsentChange(StrEnum):
    """What a line of consent evidence records."""

    REQUESTED = "requested"
    SUBSCRIBED = "subscribed"
    CONFIRMED = "confirmed"
    UNSUBSCRIBED = "unsubscribed"
    RESUMED = "resumed"
    TRACKING_GRANTED = "tracking_granted"
    TRACKING_DENIED = "tracking_denied"


class SuppressionReason(StrEnum):
    """Why an address must not be mailed."""

    MANUAL = "manual"
    GONE = "gone"
    COMPLAINT = "complaint"


class Subscriber(Base):
    """A person with one e-mail address."""

    __tablename__ = "subscribers"
    __table_args__ = ({"sqlite_autoincrement": True},)
    """An id is never given twice: links in old mails name it."""

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    email: Mapped[str] = mapped_column(String(320))
    address_key: Mapped[str] = mapped_column(String(320), unique=True)
    domain_key: Mapped[str] = mapped_column(String(255), index=True)
    name: Mapped[str] = mapped_column(String(MAX_NAME_CHARACTERS), default="")
    locale: Mapped[str] = mapped_column(String(35), default="")
    time_zone: Mapped[str] = mapped_column(String(64), default="")
    attributes: Mapped[dict[str, Any]] = mapped_column(Json, default=dict)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)

    subscriptions: Mapped[list["Subscription"]] = relationship(back_populates="subscriber")


class SubscriberList(Base):
    """A list people can be on; belongs to one newsletter.

    A list made before the first newsletter waits with `newsletter_id` empty and is adopted by it.
    """

    __tablename__ = "subscriber_lists"

    id: Mapped[int] = mapped_column(primary_key=True)
    newsletter_id: Mapped[int | None] = mapped_column(ForeignKey("newsletters.id"), index=True)
    slug: Mapped[str] = mapped_column(String(80), unique=True)
    name: Mapped[str] = mapped_column(String(MAX_NAME_CHARACTERS))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)


class Subscription(Base):
    """One person on one list: status, consent, tracking consent."""

    __tablename__ = "subscriptions"
    __table_args__ = (
        UniqueConstraint("subscriber_id", "list_id"),
        Index(None, "list_id", "subscriber_id"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    subscriber_id: Mapped[int] = mapped_column(ForeignKey("subscribers.id", ondelete="CASCADE"))
    list_id: Mapped[int] = mapped_column(ForeignKey("subscriber_lists.id"))
    status: Mapped[SubscriptionStatus] = mapped_column(text_enum(SubscriptionStatus))
    tracking_consent: Mapped[TrackingConsent] = mapped_column(
        text_enum(TrackingConsent), default=TrackingConsent.UNKNOWN
    )
    subscribed_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    confirmed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    unsubscribed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    subscriber: Mapped[Subscriber] = relationship(back_populates="subscriptions")
    list: Mapped[SubscriberList] = relationship()


class ConsentEvent(Base):
    """Evidence of one change of a subscription: when, how, from where, which wording."""

    __tablename__ = "consent_events"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    subscriber_id: Mapped[int] = mapped_column(
        ForeignKey("subscribers.id", ondelete="CASCADE"), index=True
    )
    list_id: Mapped[int] = mapped_column(ForeignKey("subscriber_lists.id"))
    change: Mapped[ConsentChange] = mapped_column(text_enum(ConsentChange))
    at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    method: Mapped[str] = mapped_column(String(40))
    """How: `import`, `command`, `confirmation`, `one-click`, `page`."""
    source: Mapped[str] = mapped_column(String(300), default="")
    """From where: a file and row, an IP address and user agent."""
    wording: Mapped[str] = mapped_column(Text, default="")
    """What the person was shown and agreed to, or the operator's statement."""


class Suppression(Base):
    """An address that must not be mailed, whatever its subscriptions say."""

    __tablename__ = "suppressions"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    address_key: Mapped[str] = mapped_column(String(320), unique=True)
    reason: Mapped[SuppressionReason] = mapped_column(text_enum(SuppressionReason))
    source: Mapped[str] = mapped_column(String(300), default="")
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
