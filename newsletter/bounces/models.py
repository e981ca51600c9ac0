"""What is known of the mailbox that mail about our mail comes to."""

from datetime import datetime

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from newsletter.core.clock import now
from newsletter.core.tables import Base, UtcDateTime


class MailSeen(Base):
    """A mail of a mailbox that was looked at; gone once the mail is no longer there."""

    __tablename__ = "mails_seen"

    mailbox: Mapped[str] = mapped_column(String(64), primary_key=True)
    """A hash of where it is and whose."""
    uid: Mapped[str] = mapped_column(String(100), primary_key=True)
    """What the server calls the mail, for good (RFC 1939 UIDL; RFC 3501 UIDVALIDITY and UID)."""
    is_done: Mapped[bool] = mapped_column(default=False)
    """It was understood, so it is to be deleted; others stay for whoever understands them."""
    at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
