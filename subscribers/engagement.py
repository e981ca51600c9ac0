"""What readers who agreed did last: the one stored projection, written by tracking."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from newsletter.core.tables import UtcDateTime
from subscribers.models import Engagement, SubscriberList


@dataclass(frozen=True, slots=True)
class Note:
    """Somebody opened a mail of a newsletter, or clicked in it."""

    newsletter_id: int
    subscriber_id: int
    opened_at: datetime | None = None
    clicked_at: datetime | None = None


def noted(session: Session, notes: Iterable[Note]) -> None:
    """Keep the latest of each, in one statement; older ones than are known change nothing.

    Whether the reader agreed is the caller's to know.
    """
    rows = _latest(notes)
    if not rows:
        return
    is_postgresql = session.get_bind().dialect.name == "postgresql"
    later = func.greatest if is_postgresql else _later_on_sqlite
    insert = postgresql.insert if is_postgresql else sqlite.insert
    statement = insert(Engagement).values(rows)
    new = statement.excluded
    session.execute(
        statement.on_conflict_do_update(
            index_elements=[Engagement.newsletter_id, Engagement.subscriber_id],
            set_={
                "opened_at": later(Engagement.opened_at, new.opened_at),
                "clicked_at": later(Engagement.clicked_at, new.clicked_at),
            },
        )
    )


def forget(session: Session, subscriber_id: int, list_id: int) -> None:
    """Whoever takes tracking back on a list: of its newsletter nothing is known any more."""
    newsletter = select(SubscriberList.newsletter_id).where(SubscriberList.id == list_id)
    session.execute(
        delete(Engagement).where(
            Engagement.subscriber_id == subscriber_id,
            Engagement.newsletter_id == newsletter.scalar_subquery(),
        )
    )


def forget_all(session: Session, subscriber_ids: Collection[int], list_id: int) -> None:
    """As `forget`, of many at once."""
    newsletter = select(SubscriberList.newsletter_id).where(SubscriberList.id == list_id)
    session.execute(
        delete(Engagement).where(
            Engagement.subscriber_id.in_(subscriber_ids),
            Engagement.newsletter_id == newsletter.scalar_subquery(),
        ),
        execution_options={"synchronize_session": False},
    )


def _latest(notes: Iterable[Note]) -> list[dict[str, Any]]:
    """One row each, in the order of their keys: two groups at once wait, and never in a ring."""
    found: dict[tuple[int, int], dict[str, Any]] = {}
    for note in notes:
        key = (note.newsletter_id, note.subscriber_id)
        row = found.setdefault(
            key,
            {
                "newsletter_id": note.newsletter_id,
                "subscriber_id": note.subscriber_id,
                "opened_at": None,
                "clicked_at": None,
            },
        )
        row["opened_at"] = _later(row["opened_at"], note.opened_at)
        row["clicked_at"] = _later(row["clicked_at"], note.clicked_at)
    return [found[key] for key in sorted(found)]


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    return max((moment for moment in (one, other) if moment), default=None)


def _later_on_sqlite(one: Any, other: Any) -> Any:
    """Its `max` of a NULL is NULL."""
    return func.coalesce(func.max(one, other, type_=UtcDateTime), one, other)
