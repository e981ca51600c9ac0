"""Who may be mailed: the tables and their states."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, ForeignKeyConstraint, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from newsletter.core.clock import now
from newsletter.core.tables import ONLY_ON, Base, BigId, Json, UtcDateTime, text_enum

MAX_NAME_CHARACTERS = 200
MAX_REMARK_CHARACTERS = 500


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
"""Unsubscribed goes back only by the person's own act, an undo, or asking and confirming again; or
where the desk takes back what it ended itself."""


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
    LEFT_AGAIN = "left_again"
    """Left what had been ended already: whoever ended it first cannot take that back any more."""
    RESUMED = "resumed"
    """A leaving was taken back."""
    PAUSED = "paused"
    UNPAUSED = "unpaused"
    TRACKING_GRANTED = "tracking_granted"
    TRACKING_DENIED = "tracking_denied"


class ConsentMethod(StrEnum):
    """How a subscription changed, in the words of its evidence; a file may bring others along."""

    IMPORT = "import"
    COMMAND = "command"
    DESK = "desk"
    FORM = "form"
    CONFIRMATION = "confirmation"
    ONE_CLICK = "one-click"
    PAGE = "page"
    MAIL = "mail"
    RETENTION = "retention"
    """By itself, after a time."""


class LeaveReason(StrEnum):
    """Why somebody left, if they say so."""

    TOO_OFTEN = "too_often"
    NOT_RELEVANT = "not_relevant"
    NEVER_ASKED = "never_asked"
    OTHER = "other"


class SuppressionReason(StrEnum):
    """Why an address must not be mailed."""

    MANUAL = "manual"
    GONE = "gone"
    COMPLAINT = "complaint"
    ERASED = "erased"
    """A person who asked to be forgotten; the key is a keyed hash, and tells nobody the address."""


class Subscriber(Base):
    """A person with one e-mail address."""

    __tablename__ = "subscribers"
    __table_args__ = (
        Index(
            "ix_subscribers_attributes",
            "attributes",
            postgresql_using="gin",
            postgresql_ops={"attributes": "jsonb_path_ops"},
            info={ONLY_ON: "postgresql"},
        ).ddl_if(dialect="postgresql"),
        Index(
            "ix_subscribers_sought",
            "id",
            postgresql_include=["address_key", "name"],
            info={ONLY_ON: "postgresql"},
        ).ddl_if(dialect="postgresql"),
        {"sqlite_autoincrement": True},
    )
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
    is_public: Mapped[bool] = mapped_column(default=True)
    """Anybody may sign up, and subscribers of the newsletter see it among their preferences."""
    confirms: Mapped[bool] = mapped_column(default=True)
    """Double opt-in: whoever signs up is on the list once they confirmed by mail."""
    welcomes: Mapped[bool] = mapped_column(default=True)
    """Whoever came by the sign-up form gets a welcome mail."""
    wording: Mapped[str] = mapped_column(Text, default="")
    """What the sign-up form says people agree to; empty: the usual sentence."""
    fields: Mapped[list[dict[str, Any]]] = mapped_column(Json, default=list)
    """What the sign-up form asks besides the address: `sign_up_fields.SignUpField` as JSON."""


class Subscription(Base):
    """One person on one list: status, consent, tracking consent."""

    __tablename__ = "subscriptions"
    __table_args__ = (
        UniqueConstraint("subscriber_id", "list_id"),
        Index(
            None,
            "list_id",
            "subscriber_id",
            postgresql_include=["status", "tracking_consent"],  # counted without the table's rows
        ),
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
    paused_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """No issue before then, by the person's own wish; in the past or empty: every issue."""
    answers: Mapped[dict[str, str]] = mapped_column(Json, default=dict)
    """What was typed into the sign-up form; becomes the person's own once they confirm."""

    subscriber: Mapped[Subscriber] = relationship(back_populates="subscriptions")
    list: Mapped[SubscriberList] = relationship()


class ConsentEvent(Base):
    """Evidence of one change of a subscription: when, how, from where, which wording."""

    __tablename__ = "consent_events"
    __table_args__ = (
        ForeignKeyConstraint(
            ["subscriber_id", "list_id"],
            [Subscription.subscriber_id, Subscription.list_id],
            ondelete="CASCADE",
        ),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    subscriber_id: Mapped[int] = mapped_column(BigId, index=True)
    list_id: Mapped[int]
    change: Mapped[ConsentChange] = mapped_column(text_enum(ConsentChange))
    at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    method: Mapped[str] = mapped_column(String(40))
    """How: a ConsentMethod, or another system's word."""
    source: Mapped[str] = mapped_column(String(300), default="")
    """From where: a file and row, a page's address."""
    form: Mapped[str] = mapped_column(String(80), default="")
    """Which form it was, such as `readers: page` or `readers: api`."""
    ip: Mapped[str] = mapped_column(String(45), default="")
    user_agent: Mapped[str] = mapped_column(String(300), default="")
    """Raw evidence, kept as long as `retention.evidence_days` says."""
    wording: Mapped[str] = mapped_column(Text, default="")
    """What the person was shown and agreed to, or the operator's statement."""
    reason: Mapped[LeaveReason | None] = mapped_column(text_enum(LeaveReason))
    """Of a leaving: why, if they said so."""
    remark: Mapped[str] = mapped_column(String(MAX_REMARK_CHARACTERS), default="")
    """And in their own words."""


EVERYWHERE = 0
"""In the place of a list's id: every list there is and will be."""


class Suppression(Base):
    """Whom nobody must mail, whatever their subscriptions say: everywhere or for one list."""

    __tablename__ = "suppressions"
    __table_args__ = (
        UniqueConstraint("key", "list_id"),
        Index(
            None, "list_id", "id"
        ),  # a newsletter's own, the latest first, beside a million others
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    key: Mapped[str] = mapped_column(String(320))
    """An address key, `@` and a domain key, or `#` and the keyed hash of an address key."""
    list_id: Mapped[int] = mapped_column(default=EVERYWHERE)
    """The list it is about, or EVERYWHERE."""
    reason: Mapped[SuppressionReason] = mapped_column(text_enum(SuppressionReason))
    source: Mapped[str] = mapped_column(String(300), default="")
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)


class ErasureMark(Base):
    """Of the key under which people were erased: see `erased`. One row, once somebody was."""

    __tablename__ = "erasure_marks"

    mark: Mapped[str] = mapped_column(String(64), primary_key=True)
    """A keyed hash; empty: somebody was erased before marks were kept."""


class Segment(Base):
    """A saved filter over a list."""

    __tablename__ = "segments"
    __table_args__ = (UniqueConstraint("list_id", "slug"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    list_id: Mapped[int] = mapped_column(ForeignKey("subscriber_lists.id"))
    slug: Mapped[str] = mapped_column(String(80))
    name: Mapped[str] = mapped_column(String(MAX_NAME_CHARACTERS))
    text: Mapped[str] = mapped_column(Text)
    """In the canonical form of `subscribers.filters`."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)


class Engagement(Base):
    """What a reader who agreed to be tracked did last with one newsletter's mails.

    The one stored projection: written by tracking, rebuilt from events, gone with the consent.
    """

    __tablename__ = "engagement"

    newsletter_id: Mapped[int] = mapped_column(ForeignKey("newsletters.id"), primary_key=True)
    subscriber_id: Mapped[int] = mapped_column(
        ForeignKey("subscribers.id", ondelete="CASCADE"), primary_key=True, index=True
    )
    opened_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    clicked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class SignUpCount(Base):
    """How often something happened at the sign-up forms within one window of time.

    Nothing can be read from it: what is counted stands there as a keyed hash.
    """

    __tablename__ = "sign_up_counts"

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    until: Mapped[datetime] = mapped_column(UtcDateTime, primary_key=True, index=True)
    """The end of the window; the row is of no use after it."""
    count: Mapped[int] = mapped_column(default=1)
