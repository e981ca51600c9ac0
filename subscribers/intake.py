"""What becomes of understood rows: the people, subscriptions and evidence they add or end."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, String, select
from sqlalchemy.orm import Session

from newsletter.core.clock import now
from newsletter.core.given_rows import any_of
from subscribers import engagement, subscriptions, suppressions
from subscribers.bulk import Bulk, Values, as_json, bulk
from subscribers.fates import Fate, Fates, Incoming
from subscribers.imported import ImportedSubscriber, ImportedSubscription
from subscribers.models import (
    EVERYWHERE,
    ConsentChange,
    Subscriber,
    Subscription,
    SubscriptionStatus,
    TrackingConsent,
)
from subscribers.subscriptions import Evidence
from subscribers.suppressions import SuppressionRow

STATEMENTS = {
    SubscriptionStatus.ACTIVE: "The operator states that these people agreed to be mailed.",
    SubscriptionStatus.PENDING: "The file says that they asked and have not confirmed.",
    SubscriptionStatus.UNSUBSCRIBED: "The file says that they left.",
}
"""What evidence says where the file has no words of its own."""
_OF_TRACKING = {
    TrackingConsent.GRANTED: (
        ConsentChange.TRACKING_GRANTED,
        "The file says that they agreed to be measured.",
    ),
    TrackingConsent.DENIED: (
        ConsentChange.TRACKING_DENIED,
        "The file says that they refused to be measured.",
    ),
}


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
    for row in rows:
        subject = row.subject
        number = seen[subject]
        if number == len(parts):
            parts.append([])
        parts[number].append(row)
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
        self._now = self._bulk.time(now())

    def store(self) -> None:
        ids = self._known()
        standing = self._standing(ids.values())
        added = self._add_people(row for row in self._rows if row.key not in ids)
        ids |= added
        subscribed = self._subscribe(
            (row for row in self._rows if (ids.get(row.key), row.list_id) not in standing), ids
        )
        covered = _Covered(self._session, self._rows)
        late = []
        for row in self._rows:
            subject = ids.get(row.key), row.list_id
            fate: Fate | None = None
            if subject in subscribed:
                fate = Fate.KEPT_SUPPRESSED if covered.covers(row) else Fate.ADDED
            elif subject in standing:
                fate = self._meet(standing[subject], row)
            elif row.list_id is None and row.key in ids:
                fate = Fate.ADDED if row.key in added else Fate.PRESENT
            if fate:
                self._fates.note(Fate.SUPPRESSED if covered.suppress(row) else fate, row)
            else:
                late.append(row)
        covered.store()
        if late:  # somebody else was faster, by milliseconds, and is there for us to see now
            _Part(self._session, late, self._fates).store()

    def _known(self) -> dict[str, int]:
        """Address key -> id; those that are missing are strangers."""
        asked = any_of(self._session.get_bind().dialect.name, "keys", String())
        found = select(Subscriber.address_key, Subscriber.id).join(
            asked, Subscriber.address_key == asked.c.value
        )
        return dict(self._session.execute(found, {"keys": list({r.key for r in self._rows})}).all())

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

    def _add_people(self, strangers: Iterable[Incoming]) -> dict[str, int]:
        """Address key -> id; of several rows about one person the first says who they are."""
        people: dict[str, ImportedSubscriber] = {}
        for row in strangers:
            people.setdefault(row.key, row.person)
        return self._bulk.add_people([self._person(person) for person in people.values()])

    def _person(self, person: ImportedSubscriber) -> Values:
        address = person.address
        return (
            *(address.typed, address.key, address.domain),
            *(person.name, person.locale, person.time_zone, as_json(person.attributes)),
            self._time(person.created_at),
        )

    def _subscribe(self, absent: Iterable[Incoming], ids: dict[str, int]) -> set[tuple[int, int]]:
        """The (subscriber id, list id) of those that were not there."""
        rows = [
            (ids[row.key], row, row.list_id, row.person.subscription)
            for row in absent
            if row.key in ids and row.list_id is not None and row.person.subscription
        ]
        added = self._bulk.add_subscriptions(
            [
                self._subscription(person_id, list_id, standing)
                for person_id, _, list_id, standing in rows
            ]
        )
        self._bulk.add_events(
            (person_id, list_id, *event)
            for person_id, row, list_id, standing in rows
            if (person_id, list_id) in added
            for event in self._evidence(standing, row.source)
        )
        self._forget_engagement(rows, added)
        return added

    def _forget_engagement(
        self,
        rows: Iterable[tuple[int, Incoming, int, ImportedSubscription]],
        added: Collection[tuple[int, int]],
    ) -> None:
        """Of those who refuse: they may have agreed on another list of the newsletter."""
        denied: dict[int, list[int]] = {}
        for person_id, _, list_id, standing in rows:
            if (
                standing.tracking_consent is TrackingConsent.DENIED
                and (person_id, list_id) in added
            ):
                denied.setdefault(list_id, []).append(person_id)
        for list_id, people in denied.items():
            engagement.forget_all(self._session, people, list_id)

    def _subscription(
        self, subscriber_id: int, list_id: int, standing: ImportedSubscription
    ) -> Values:
        time = self._bulk.time
        return (
            *(subscriber_id, list_id, standing.status.value, standing.tracking_consent.value),
            self._time(standing.subscribed_at),
            time(standing.confirmed_at),
            self._left_at(standing),
            time(standing.paused_until),
            as_json(standing.answers),
        )

    def _evidence(self, standing: ImportedSubscription, source: str) -> Iterator[Values]:
        """In the order of the columns behind the list's id."""
        for event in standing.history:
            columns = event.evidence.to_columns()
            words = ("method", "source", "form", "ip", "user_agent", "wording")
            said = (columns[word] for word in words)
            yield (event.change.value, self._time(event.at), *said, event.reason, event.remark)
        if standing.history:
            return
        for change, at, ip, wording in _changes(standing):
            words = ("import", source[:300], "", ip[:45], "", standing.evidence or wording)
            yield (change.value, self._time(at), *words, None, "")

    def _left_at(self, standing: ImportedSubscription) -> Any:
        """Also of whoever came back: when they had left before."""
        if standing.status is SubscriptionStatus.UNSUBSCRIBED:
            return self._time(standing.unsubscribed_at)
        return self._bulk.time(standing.unsubscribed_at)

    def _time(self, moment: datetime | None) -> Any:
        """A value for the database; what the file does not say is now."""
        return self._bulk.time(moment) if moment else self._now

    def _meet(self, known: _Standing, row: Incoming) -> Fate:
        """A row about somebody who is on the list: only leaving and refusing count."""
        standing = row.person.subscription
        assert standing
        if standing.tracking_consent is TrackingConsent.DENIED is not known.tracking_consent:
            subscription = self._session.get_one(Subscription, known.id)
            _, wording = _OF_TRACKING[TrackingConsent.DENIED]
            evidence = _statement(row.source, standing, wording)
            subscriptions.set_tracking_consent(
                self._session, subscription, TrackingConsent.DENIED, evidence
            )
        if known.status is SubscriptionStatus.UNSUBSCRIBED:
            same = standing.status is SubscriptionStatus.UNSUBSCRIBED
            return Fate.PRESENT if same else Fate.KEPT_UNSUBSCRIBED
        if standing.status is SubscriptionStatus.UNSUBSCRIBED:
            subscription = self._session.get_one(Subscription, known.id)
            evidence = _statement(row.source, standing, STATEMENTS[standing.status])
            subscriptions.end(self._session, subscription, evidence)
            return Fate.ENDED
        return Fate.PRESENT


class _Covered:
    """The suppressions about a part's addresses: those there are, and those its rows ask for."""

    def __init__(self, session: Session, rows: Iterable[Incoming]) -> None:
        self._session = session
        keys = (key for row in rows for key in suppressions.keys_of(row.person.address, None))
        self._standing = suppressions.standing_among(session, keys)
        self._new: list[SuppressionRow] = []

    def covers(self, row: Incoming) -> bool:
        """No mail for the row's list gets to its person."""
        if not self._standing:
            return False
        lists = (EVERYWHERE, row.list_id)
        keys = suppressions.keys_of(row.person.address, None)
        return any((key, list_id) in self._standing for key in keys for list_id in lists)

    def suppress(self, row: Incoming) -> bool:
        """As the row asks; False when it does not, or it is so already."""
        any_new = False
        for asked in row.suppressed:
            if (asked.key, asked.list_id) not in self._standing:
                self._standing.add((asked.key, asked.list_id))
                self._new.append(asked)
                any_new = True
        return any_new

    def store(self) -> None:
        if self._new:
            suppressions.suppress_all(self._session, self._new)


def _changes(
    standing: ImportedSubscription,
) -> Iterator[tuple[ConsentChange, datetime | None, str, str]]:
    """(change, when if the file says, IP address, wording): how it came to stand as it does."""
    left = standing.status is SubscriptionStatus.UNSUBSCRIBED
    wording = STATEMENTS[standing.status]
    is_pending = standing.status is SubscriptionStatus.PENDING
    confirmed = standing.confirmed_at or (standing.confirm_ip and not is_pending)
    if standing.opt_in_at or standing.opt_in_ip or not (left or confirmed):
        change = ConsentChange.REQUESTED if is_pending or confirmed else ConsentChange.SUBSCRIBED
        yield change, standing.opt_in_at, standing.opt_in_ip, wording
    if confirmed:
        yield ConsentChange.CONFIRMED, standing.confirmed_at, standing.confirm_ip, wording
    if left:
        yield ConsentChange.UNSUBSCRIBED, standing.unsubscribed_at, "", wording
    if standing.tracking_consent in _OF_TRACKING:
        change, wording = _OF_TRACKING[standing.tracking_consent]
        yield change, None, "", wording


def _statement(source: str, standing: ImportedSubscription, wording: str) -> Evidence:
    return Evidence(method="import", source=source, wording=standing.evidence or wording)
