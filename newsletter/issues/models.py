"""What is published: newsletters, their issues, every text an issue ever had."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import Date, ForeignKey, LargeBinary, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from newsletter.core.clock import now
from newsletter.core.sections import TrackingMode
from newsletter.core.tables import Base, Json, UtcDateTime, text_enum


class Newsletter(Base):
    """A publication: its name and the identity its mail carries."""

    __tablename__ = "newsletters"
    __table_args__ = ({"sqlite_autoincrement": True},)
    """An id is never given twice: links in old mails name it."""

    id: Mapped[int] = mapped_column(primary_key=True)
    slug: Mapped[str] = mapped_column(String(80), unique=True)
    name: Mapped[str] = mapped_column(String(200))
    sender_name: Mapped[str] = mapped_column(String(200), default="")
    """Empty: the newsletter's name."""
    sender_address: Mapped[str] = mapped_column(String(320), default="")
    reply_to: Mapped[str] = mapped_column(String(320), default="")
    postal_address: Mapped[str] = mapped_column(String(400), default="")
    list_id: Mapped[str] = mapped_column(String(255), default="")
    """RFC 2919; fixed by the first broadcast and stable for life."""
    tracking_mode: Mapped[TrackingMode] = mapped_column(
        text_enum(TrackingMode), default=TrackingMode.INDIVIDUAL
    )
    wants_approval: Mapped[bool] = mapped_column(default=False)
    """A second person has to say yes before anything is sent."""
    hold_minutes: Mapped[int] = mapped_column(default=0)
    """How long a sending that was to start at once waits, so that it can be undone."""
    template: Mapped[str] = mapped_column(String(40), default="digest")
    """The name of its files in `templates/email/`, without the ending."""
    palette: Mapped[dict[str, dict[str, str]]] = mapped_column(Json, default=dict)
    """`rendering.palette`: its own colours by scheme and name, such as `light` and `accent`."""
    logo: Mapped[dict[str, Any]] = mapped_column(Json, default=dict)
    """Of one of its pictures `path`, `width`, `height`, `alt`; empty: it has none."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)


class Issue(Base):
    """One edition of a newsletter; unique by its date."""

    __tablename__ = "issues"
    __table_args__ = (UniqueConstraint("newsletter_id", "date"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    newsletter_id: Mapped[int] = mapped_column(ForeignKey("newsletters.id"))
    date: Mapped[date] = mapped_column(Date)
    subject: Mapped[str] = mapped_column(String(500))
    source: Mapped[str] = mapped_column(Text)
    """The text as written, in either form; `issues.source` reads it."""
    source_name: Mapped[str] = mapped_column(String(300), default="")
    """The file it came from, for error messages."""
    revision: Mapped[int] = mapped_column(default=1)
    """Counts every save: who saves names the number that was read, so that nobody overwrites."""
    saved_by: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    """None: a command, or before there were users."""
    saved_by_name: Mapped[str] = mapped_column(String(200), default="")
    """As the name was then."""
    is_autosaved: Mapped[bool] = mapped_column(default=False)
    """Nobody asked for this text to be kept: the next one of the same person may replace it."""
    begun_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    """When the first of the saves was made that this revision is made of."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)

    newsletter: Mapped[Newsletter] = relationship()


class IssueRevision(Base):
    """A text an issue had, kept when it is changed.

    Numbers have gaps: autosaves shortly after one another leave the last one.
    """

    __tablename__ = "issue_revisions"
    __table_args__ = (UniqueConstraint("issue_id", "number"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    issue_id: Mapped[int] = mapped_column(ForeignKey("issues.id"))
    number: Mapped[int]
    source: Mapped[str] = mapped_column(Text)
    saved_by: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    saved_by_name: Mapped[str] = mapped_column(String(200), default="")
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    """When this text was saved."""


class Image(Base):
    """A picture that issues show: made small and clean when it was uploaded, then never changed."""

    __tablename__ = "images"
    __table_args__ = ({"sqlite_autoincrement": True},)
    """An id is never given twice: mails that are out name it."""

    id: Mapped[int] = mapped_column(primary_key=True)
    newsletter_id: Mapped[int] = mapped_column(ForeignKey("newsletters.id"), index=True)
    sha256: Mapped[str] = mapped_column(String(64))
    """Of the bytes, in hexadecimal."""
    mime: Mapped[str] = mapped_column(String(20))
    width: Mapped[int]
    height: Mapped[int]
    size_bytes: Mapped[int]
    data: Mapped[bytes] = mapped_column(LargeBinary, deferred=True)
    alt: Mapped[str] = mapped_column(String(500), default="")
    """What it shows, for those who do not see it; empty: it is decoration."""
    name: Mapped[str] = mapped_column(String(200), default="")
    """Of the uploaded file."""
    uploaded_by: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
