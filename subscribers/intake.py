"""What becomes of rows that are ready: the people, subscriptions and evidence they add or end."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from sqlalchemy import BigInteger, String, select
from sqlalchemy.orm import Session

from newsletter.core.given_rows import any_of
from subscribers import engagement, subscriptions, suppressions
from subscribers.bulk import Bulk, Values, bulk
from subscribers.fates import Fate, Fates, Incoming
from subscribers.import_rows import OF_TRACKING, STATEMENTS, Ready
from subscribers.models import (
    EVERYWHERE,
    Subscriber,
    Subscription,
    SubscriptionStatus,
    TrackingConsent,
)
from subscribers.subscriptions import Evidence
from subscribers.suppressions import SuppressionRow


def take_in(session: Session, rows: Iterable[Incoming], fates: Fates) -> None:
    """Store the rows, by a handful of statements whatever their number."""
    for part in _each_subject_once(rows):
        _Part(session, part, fates).store()


def _each_subject_once(rows: Iterable[Incoming]) -> list[list[Incoming]]:
    """Rows such that no address stands twice for a list in one part; repeated, it comes later.

    Thus it meets what the first one did, exactly as it would from far below in the file: an
    opt-out counts wherever it stands.
    """
    parts: list[list[Incoming]] = []
    seen: Counter[tuple[str, int | None]] = Counter()
    for incoming in rows:
        subject = incoming.row.key, incoming.list_id
        number = seen[subject]
        if number == len(parts):
            parts.append([])
        parts[number].append(incoming)
        seen[subject] = number + 1
    return parts


class _Standing(NamedTuple):
    """A subscription that is there."""

    id: int
    status: SubscriptionStatus
    tracking_consent: TrackingConsent


class _Part:
    """Some rows, no two of them about the same person on the same list."""

    def __init__(self, session: Session, rows: Sequence[Incoming], fates: Fates) -> None:
        self._session = session
        self._rows = rows
        self._fates = fates
        self._bulk: Bulk = bulk(session)

    def store(self) -> None:
        ids = self._known()
        standing = self._standing(ids.values())
        added = self._add_people(row for row, *_ in self._rows if row.key not in ids)
        ids |= added
        subscribed = self._subscribe(
            [each for each in self._rows if (ids.get(each.row.key), each.list_id) not in standing],
            ids,
        )
        covered = _Covered(self._session, self._rows)
        late = []
        for incoming in self._rows:
            row, list_id, _ = incoming
            subject = ids.get(row.key), list_id
            fate: Fate | None = None
            if subject in subscribed:
                fate = Fate.KEPT_SUPPRESSED if covered.covers(incoming) else Fate.ADDED
            elif subject in standing:
                fate = self._meet(standing[subject], row)
            elif list_id is None and row.key in ids:
                fate = Fate.ADDED if row.key in added else Fate.PRESENT
            if fate:
                self._fates.note(Fate.SUPPRESSED if covered.suppress(incoming) else fate, row)
            else:
                late.append(incoming)
        covered.store()
        if late:  # somebody else was faster, by milliseconds, and is there for us to see now
            _Part(self._session, late, self._fates).store()

    def _known(self) -> dict[str, int]:
        """Address key -> id; those that are missing are strangers."""
        asked = any_of(self._session.get_bind().dialect.name, "keys", String())
        found = select(Subscriber.address_key, Subscriber.id).join(
            asked, Subscriber.address_key == asked.c.value
        )
        return dict(
            self._session.execute(
                found, {"keys": list({each.row.key for each in self._rows})}
            ).all()
        )

    def _standing(self, ids: Collection[int]) -> dict[tuple[int | None, int | None], _Standing]:
        """By (subscriber id, list id)."""
        if not ids:
            return {}
        asked = any_of(self._session.get_bind().dialect.name, "ids", BigInteger())
        found = select(
            Subscription.subscriber_id,
            Subscription.list_id,
            Subscription.id,
            Subscription.status,
            Subscription.tracking_consent,
        ).join(asked, Subscription.subscriber_id == asked.c.value)
        rows = self._session.execute(found, {"ids": list(ids)})
        return {(row[0], row[1]): _Standing(*row[2:]) for row in rows}

    def _add_people(self, strangers: Iterable[Ready]) -> dict[str, int]:
        """Address key -> id; of several rows about one person the first says who they are."""
        people: dict[str, Values] = {}
        for row in strangers:
            people.setdefault(row.key, row.person)
        return self._bulk.add_people([*people.values()])

    def _subscribe(
        self, absent: Sequence[Incoming], ids: dict[str, int]
    ) -> Collection[tuple[int, int]]:
        """The (subscriber id, list id) of those that were not there."""
        wanted = {
            (ids[row.key], list_id): row
            for row, list_id, _ in absent
            if list_id is not None and row.key in ids
        }
        added = self._bulk.add_subscriptions(
            [(*subject, *row.subscription) for subject, row in wanted.items()]
        )
        self._bulk.add_events(
            (*subject, *event)
            for subject, row in wanted.items()
            if subject in added
            for event in row.events
        )
        self._forget_engagement(pair for pair in wanted.items() if pair[0] in added)
        return added

    def _forget_engagement(self, subject_rows: Iterable[tuple[tuple[int, int], Ready]]) -> None:
        """Of those who refuse: they may have agreed on another list of the newsletter."""
        denied: dict[int, list[int]] = {}
        for (person_id, list_id), row in subject_rows:
            if row.tracking_consent == TrackingConsent.DENIED:
                denied.setdefault(list_id, []).append(person_id)
        for list_id, people in denied.items():
            engagement.forget_all(self._session, people, list_id)

    def _meet(self, known: _Standing, row: Ready) -> Fate:
        """A row about somebody who is on the list: only leaving and refusing count."""
        refuses = row.tracking_consent == TrackingConsent.DENIED
        if refuses and known.tracking_consent is not TrackingConsent.DENIED:
            subscription = self._session.get_one(Subscription, known.id)
            _, wording = OF_TRACKING[TrackingConsent.DENIED]
            subscriptions.set_tracking_consent(
                self._session, subscription, TrackingConsent.DENIED, _statement(row, wording)
            )
        leaves = row.status == SubscriptionStatus.UNSUBSCRIBED
        if known.status is SubscriptionStatus.UNSUBSCRIBED:
            return Fate.PRESENT if leaves else Fate.KEPT_UNSUBSCRIBED
        if leaves:
            subscription = self._session.get_one(Subscription, known.id)
            wording = STATEMENTS[SubscriptionStatus.UNSUBSCRIBED]
            subscriptions.end(self._session, subscription, _statement(row, wording))
            return Fate.ENDED
        return Fate.PRESENT


class _Covered:
    """The suppressions about a part's addresses: those there are, and those its rows ask for."""

    def __init__(self, session: Session, rows: Iterable[Incoming]) -> None:
        self._session = session
        keys = (key for incoming in rows for key in _suppression_keys(incoming.row))
        self._standing = suppressions.standing_among(session, keys)
        self._new: list[SuppressionRow] = []

    def covers(self, incoming: Incoming) -> bool:
        """No mail for the row's list gets to its person."""
        if not self._standing:
            return False
        lists = (EVERYWHERE, incoming.list_id)
        keys = _suppression_keys(incoming.row)
        return any((key, list_id) in self._standing for key in keys for list_id in lists)

    def suppress(self, incoming: Incoming) -> bool:
        """As the row asks; False when it does not, or it is so already."""
        any_new = False
        for asked in incoming.suppressed:
            if (asked.key, asked.list_id) not in self._standing:
                self._standing.add((asked.key, asked.list_id))
                self._new.append(asked)
                any_new = True
        return any_new

    def store(self) -> None:
        if self._new:
            suppressions.suppress_all(self._session, self._new)


def _suppression_keys(row: Ready) -> tuple[str, str]:
    return row.key, suppressions.domain_suppression(row.domain)


def _statement(row: Ready, wording: str) -> Evidence:
    return Evidence(method="import", source=row.source, wording=row.evidence or wording)
