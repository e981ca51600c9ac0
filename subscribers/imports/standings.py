"""How those stand already whom rows of a file are about, and what is news to that."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import BigInteger, String, select
from sqlalchemy.orm import Session

from newsletter.core.clock import now
from newsletter.core.given_rows import any_of
from subscribers import leavers
from subscribers.imports.bulk import time_for
from subscribers.imports.rows import Ready
from subscribers.models import Subscriber, Subscription, SubscriptionStatus, TrackingConsent
from subscribers.subscriptions import UNDO_WITHIN

LEFT = SubscriptionStatus.UNSUBSCRIBED.value
"""Looked at for every row: as plain text, that is done in no time."""

Subject = tuple[int, int]
"""(subscriber id, list id)."""


class Standing(NamedTuple):
    """A subscription that is there."""

    id: int
    status: SubscriptionStatus
    tracking_consent: TrackingConsent
    left_at: datetime | None

    @property
    def has_left(self) -> bool:
        return self.status is SubscriptionStatus.UNSUBSCRIBED

    def is_changed_by(self, row: Ready, dialect: str) -> bool:
        """The row takes something away that is there still."""
        denied = TrackingConsent.DENIED
        if row.tracking_consent == denied and self.tracking_consent is not denied:
            return True
        return row.status == LEFT and (not self.has_left or self._leaves_later(row, dialect))

    def _leaves_later(self, row: Ready, dialect: str) -> bool:
        """What ended before may be taken back still, and the file is news."""
        if self.left_at is None or self.left_at <= now() - UNDO_WITHIN:
            return False
        said = time_for(dialect)
        return (row.left_at or "") > (said(self.left_at) or "")


def known_ids(session: Session, address_keys: Collection[str]) -> dict[str, int]:
    """Address key -> id; those that are missing are strangers."""
    asked = any_of(session.get_bind().dialect.name, "keys", String())
    found = select(Subscriber.address_key, Subscriber.id).join(
        asked, Subscriber.address_key == asked.c.value
    )
    return dict(session.execute(found, {"keys": list(address_keys)}).all())


def of(session: Session, people: Collection[int]) -> dict[Subject, Standing]:
    """Of these people on every list."""
    if not people:
        return {}
    asked = any_of(session.get_bind().dialect.name, "ids", BigInteger())
    found = select(
        Subscription.subscriber_id,
        Subscription.list_id,
        Subscription.id,
        Subscription.status,
        Subscription.tracking_consent,
        Subscription.unsubscribed_at,
    ).join(asked, Subscription.subscriber_id == asked.c.value)
    rows = session.execute(found, {"ids": list(people)})
    return {(row[0], row[1]): Standing(*row[2:]) for row in rows}


def closed_to(
    session: Session, asked: Collection[Subject], standings: Mapping[Subject, Standing]
) -> Collection[Subject]:
    """Those of the asked whose newsletter the person left; `standings` has all of theirs."""
    theirs: dict[int, list[tuple[int, Standing]]] = {person: [] for person, _ in asked}
    for (person, list_id), found in standings.items():
        if person in theirs:
            theirs[person].append((list_id, found))
    newsletter = leavers.newsletters_of(session)
    return {
        (person, list_id)
        for person, list_id in asked
        if leavers.is_gone(
            (found.status, found.left_at)
            for on, found in theirs[person]
            if newsletter[on] == newsletter[list_id]
        )
    }
