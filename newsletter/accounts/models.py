"""Who works here, how they come in, and what they did."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from newsletter.accounts.permissions import Role
from newsletter.core.clock import now
from newsletter.core.tables import Base, BigId, Json, UtcDateTime, text_enum

MAX_NAME_CHARACTERS = 200
ACTOR_CHARACTERS = 200
"""What is kept of whoever did something; an address may be longer."""


class AuditEvent(Base):
    """One thing that somebody who works here did to people or settings; never changed."""

    __tablename__ = "audit_events"
    __table_args__ = (
        Index(None, "at", "id"),
        Index(None, "actor", "at", "id"),
        Index(None, "action", "at", "id"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    actor: Mapped[str] = mapped_column(String(ACTOR_CHARACTERS))
    """Who: a user of the desk, or `command` and the account of the operating system."""
    action: Mapped[str] = mapped_column(String(60))
    """What, as noun and verb: `subscriber.erased`, `suppression.added`."""
    subscriber_id: Mapped[int | None] = mapped_column(BigId, index=True)
    """To whom; no foreign key: the trail outlives the person's data, and holds none of it."""
    details: Mapped[dict[str, Any]] = mapped_column(Json, default=dict)
    """Facts such as counts and list names; no address, no name."""


class User(Base):
    """Somebody who works at the desk."""

    __tablename__ = "users"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(String(320))
    address_key: Mapped[str] = mapped_column(String(320), unique=True)
    name: Mapped[str] = mapped_column(String(MAX_NAME_CHARACTERS), default="")
    role: Mapped[Role | None] = mapped_column(text_enum(Role))
    """In every newsletter; None: only where a membership says so."""
    time_zone: Mapped[str] = mapped_column(String(64), default="UTC")
    password_hash: Mapped[str] = mapped_column(String(200))
    """Argon2id, in PHC string form."""
    totp_secret: Mapped[str] = mapped_column(String(64), default="")
    """RFC 6238, base32; empty: no second factor."""
    totp_step: Mapped[int] = mapped_column(BigInteger, default=0)
    """The last time step whose code was taken: none is taken twice."""
    is_active: Mapped[bool] = mapped_column(default=True)
    uses_shortcuts: Mapped[bool] = mapped_column(default=True)
    """Single keys do something; whoever speaks to their computer may not want that."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)

    memberships: Mapped[list["Membership"]] = relationship(order_by="Membership.newsletter_id")


class Membership(Base):
    """A user's role in one newsletter."""

    __tablename__ = "memberships"

    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), primary_key=True)
    newsletter_id: Mapped[int] = mapped_column(ForeignKey("newsletters.id"), primary_key=True)
    role: Mapped[Role] = mapped_column(text_enum(Role))


class UserSession(Base):
    """A browser that somebody is logged in with."""

    __tablename__ = "user_sessions"

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    """SHA-256 of what the cookie holds, in hexadecimal."""
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    newsletter_id: Mapped[int | None] = mapped_column(ForeignKey("newsletters.id"))
    """The one chosen in the head of the pages."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    seen_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    """To the nearest few minutes."""


class RecoveryCode(Base):
    """Stands in once for the second factor."""

    __tablename__ = "recovery_codes"

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    """SHA-256 of user id and code, in hexadecimal; the code has 80 random bits."""
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)


class Invitation(Base):
    """A link by which somebody chooses a password: to begin, or instead of a forgotten one."""

    __tablename__ = "invitations"

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    """SHA-256 of what the link holds, in hexadecimal."""
    email: Mapped[str] = mapped_column(String(320))
    role: Mapped[Role | None] = mapped_column(text_enum(Role))
    """In every newsletter, unless one is named; None: for somebody who is here already."""
    newsletter_id: Mapped[int | None] = mapped_column(ForeignKey("newsletters.id"))
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"), index=True)
    """Who chooses a new password; None: somebody new."""
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)


class ApiToken(Base):
    """Lets a program in: 256 random bits, shown once, kept as a hash."""

    __tablename__ = "api_tokens"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(String(64), unique=True)
    """SHA-256 of the token, in hexadecimal."""
    hint: Mapped[str] = mapped_column(String(16))
    """Its first characters, by which people know it again."""
    name: Mapped[str] = mapped_column(String(MAX_NAME_CHARACTERS))
    newsletter_id: Mapped[int] = mapped_column(ForeignKey("newsletters.id"), index=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    """Who made it."""
    scopes: Mapped[list[str]] = mapped_column(Json)
    """`accounts.permissions.Permission` values."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class LoginFailure(Base):
    """Failed logins of an account or an address on the network, within a span of time."""

    __tablename__ = "login_failures"

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    """A keyed hash: neither accounts nor addresses can be read off it."""
    until: Mapped[datetime] = mapped_column(UtcDateTime, primary_key=True, index=True)
    count: Mapped[int] = mapped_column(default=1)
