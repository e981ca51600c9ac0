"""What becomes of rows that are ready: the people, subscriptions and evidence they add or end."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import BigInteger, String, select
from sqlalchemy.orm import Session

from newsletter.core.clock import now
from newsletter.core.given_rows import any_of
from subscribers import engagement, leavers, subscriptions
from subscribers.evidence import Evidence
from subscribers.imports.bulk import Bulk, Values, bulk, time_for
from subscribers.imports.covered import Covered
from subscribers.imports.fates import Fate, Fates, Incoming
from subscribers.imports.rows import OF_TRACKING, STATEMENTS, Ready
from subscribers.locking import lock_people
from subscribers.models import (
    ConsentMethod,
    Subscriber,
    Subscription,
    SubscriptionStatus,
    TrackingConsent,
)
from subscribers.subscriptions import UNDO_WITHIN

_ACTIVE, _LEFT = SubscriptionStatus.ACTIVE.value, SubscriptionStatus.UNSUBSCRIBED.value
"""Looked at for every row: as plain text, that is done in no time."""


def take_in(
    session: Session,
    rows: Iterable[Incoming],
    fates: Fates,
    *,
    likely_new: bool = False,
    is_kept: bool = True,
) -> None:
    """Store the rows, by a handful of statements whatever their number.

    `likely_new`: as were all rows before them; asking who is known may be left until one is. Of
    what is not kept nobody has to take a turn: whoever leaves does not wait for a rehearsal.
    """
    for part in _each_subject_once(rows):
        _Part(session, part, fates, is_kept=is_kept).store(likely_new=likely_new)


def _each_subject_once(rows: Iterable[Incoming]) -> list[list[Incoming]]:
    """Rows such that no address stands twice for a list in one part; repeated, it comes later.

    Thus it meets what the first one did, exactly as it would from far below in the file: an
    opt-out counts wherever it stands. So it is with rows for other lists behind one that says that
    they left: it may have been the newsletter.
    """
    rows = list(rows)
    if len({incoming.row.key for incoming in rows}) == len(rows):
        return [rows] if rows else []
    parts: list[list[Incoming]] = []
    seen: Counter[tuple[str, int | None]] = Counter()
    left: dict[str, int] = {}
    for incoming in rows:
        row = incoming.row
        subject = row.key, incoming.list_id
        number = seen[subject]
        if left and row.key in left:
            number = max(number, left[row.key] + (row.status == _ACTIVE))
            left[row.key] = number
        elif row.subscription and row.subscription[0] == _LEFT:
            left[row.key] = number
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
    left_at: datetime | None


_Subject = tuple[int, int]
"""(subscriber id, list id)."""


class _Part:
    """Some rows, no two of them about the same person on the same list."""

    def __init__(
        self, session: Session, rows: Sequence[Incoming], fates: Fates, *, is_kept: bool
    ) -> None:
        self._session = session
        self._rows = rows
        self._fates = fates
        self._is_kept = is_kept
        self._dialect = session.get_bind().dialect.name
        self._bulk: Bulk = bulk(session)
        self._ids: dict[str, int] = {}
        self._standing: dict[_Subject, _Standing] = {}
        self._closed: Collection[_Subject] = ()
        self._added: Collection[str] = ()
        self._subscribed: Collection[_Subject] = ()

    def store(self, *, likely_new: bool = False) -> None:
        if not likely_new:
            self._find()
        self._add_people()
        self._subscribe()
        covered = Covered(self._session, self._rows)
        if len(self._subscribed) == len(self._rows) and covered.concerns_nobody:
            self._fates.note_added([incoming.row for incoming in self._rows])
            return
        late = []
        for incoming in self._rows:
            if fate := self._fate(incoming, covered):
                suppressed = covered.suppress(incoming)
                self._fates.note(Fate.SUPPRESSED if suppressed else fate, incoming.row)
            else:
                late.append(incoming)
        covered.store()
        if late:  # people who are there after all, perhaps since a moment ago: now we look at them
            _Part(self._session, late, self._fates, is_kept=self._is_kept).store()

    def _fate(self, incoming: Incoming, covered: Covered) -> Fate | None:
        """None: somebody who is there was not known to be."""
        row, list_id, _ = incoming
        subject = self._ids.get(row.key), list_id
        if subject in self._subscribed:
            return Fate.KEPT_SUPPRESSED if covered.covers(incoming) else Fate.ADDED
        if subject in self._standing:
            return self._meet(self._standing[subject], row)
        if subject in self._closed:
            return Fate.KEPT_UNSUBSCRIBED
        if list_id is None and row.key in self._ids:
            return Fate.ADDED if row.key in self._added else Fate.PRESENT
        return None

    def _find(self) -> None:
        """Who of these people is known, and how they stand."""
        self._ids = self._known()
        self._standing = self._stand(self._ids.values())
        if self._is_kept and (moved := self._moved()):
            lock_people(self._session, moved)
            others = {of: found for of, found in self._standing.items() if of[0] not in moved}
            self._standing = others | self._stand(moved)
        self._closed = self._find_closed()

    def _moved(self) -> set[int]:
        """Of those who are known: whom rows put on another list, or take off one.

        They may be leaving just now, and we look at them again when that is done.
        """
        moved: set[int] = set()
        if self._dialect == "sqlite":  # nobody else writes
            return moved
        for row, list_id, _ in self._rows:
            person = self._ids.get(row.key)
            if person is None or list_id is None:
                continue
            known = self._standing.get((person, list_id))
            if known is None or self._is_news(known, row):
                moved.add(person)
        return moved

    def _known(self) -> dict[str, int]:
        """Address key -> id; those that are missing are strangers."""
        asked = any_of(self._dialect, "keys", String())
        found = select(Subscriber.address_key, Subscriber.id).join(
            asked, Subscriber.address_key == asked.c.value
        )
        return dict(
            self._session.execute(
                found, {"keys": list({each.row.key for each in self._rows})}
            ).all()
        )

    def _stand(self, people: Collection[int]) -> dict[_Subject, _Standing]:
        if not people:
            return {}
        asked = any_of(self._dialect, "ids", BigInteger())
        found = select(
            Subscription.subscriber_id,
            Subscription.list_id,
            Subscription.id,
            Subscription.status,
            Subscription.tracking_consent,
            Subscription.unsubscribed_at,
        ).join(asked, Subscription.subscriber_id == asked.c.value)
        rows = self._session.execute(found, {"ids": list(people)})
        return {(row[0], row[1]): _Standing(*row[2:]) for row in rows}

    def _add_people(self) -> None:
        """Of several rows about one person the first says who they are."""
        people: dict[str, Values] = {}
        for row, *_ in self._rows:
            if row.key not in self._ids:
                people.setdefault(row.key, row.person)
        added = self._bulk.add_people([*people.values()])
        self._added = added.keys()
        self._ids |= added

    def _subscribe(self) -> None:
        wanted = {
            (person_id, list_id): row
            for row, list_id, _ in self._rows
            if list_id is not None and (person_id := self._ids.get(row.key)) is not None
        }
        if self._standing:  # nobody's who is new
            taken = self._standing.keys() | set(self._closed)
            wanted = {subject: row for subject, row in wanted.items() if subject not in taken}
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
        self._subscribed = added

    def _forget_engagement(self, subject_rows: Iterable[tuple[_Subject, Ready]]) -> None:
        """Of those who refuse: they may have agreed on another list of the newsletter."""
        denied: dict[int, list[int]] = {}
        for (person_id, list_id), row in subject_rows:
            if row.tracking_consent == TrackingConsent.DENIED:
                denied.setdefault(list_id, []).append(person_id)
        for list_id, people in denied.items():
            engagement.forget_all(self._session, people, list_id)

    def _find_closed(self) -> Collection[_Subject]:
        """Where the file puts somebody on a list whose newsletter they left.

        Who is pending may come: they still have to confirm, and that is their own word.
        """
        if not self._standing:
            return ()
        asked = {
            (self._ids[row.key], list_id)
            for row, list_id, _ in self._rows
            if list_id is not None and row.key in self._ids and row.status == _ACTIVE
        }
        if not (asked := asked - self._standing.keys()):
            return ()
        theirs: dict[int, list[tuple[int, _Standing]]] = {person: [] for person, _ in asked}
        for (person, list_id), found in self._standing.items():
            if person in theirs:
                theirs[person].append((list_id, found))
        newsletter = leavers.newsletters_of(self._session)
        return {
            (person, list_id)
            for person, list_id in asked
            if leavers.is_gone(
                (found.status, found.left_at)
                for on, found in theirs[person]
                if newsletter[on] == newsletter[list_id]
            )
        }

    def _meet(self, known: _Standing, row: Ready) -> Fate | None:
        """A row about somebody who is on the list: only leaving and refusing count.

        None when their subscription is gone by now.
        """
        if self._is_news(known, row):
            return self._change(known.id, row)
        has_left = known.status is SubscriptionStatus.UNSUBSCRIBED
        return Fate.KEPT_UNSUBSCRIBED if has_left and row.status != _LEFT else Fate.PRESENT

    def _is_news(self, known: _Standing, row: Ready) -> bool:
        """The row takes something away that is there still."""
        denied = TrackingConsent.DENIED
        if row.tracking_consent == denied and known.tracking_consent is not denied:
            return True
        has_left = known.status is SubscriptionStatus.UNSUBSCRIBED
        return row.status == _LEFT and (not has_left or self._leaves_later(known, row))

    def _leaves_later(self, known: _Standing, row: Ready) -> bool:
        """What ended before may be taken back still, and the file is news."""
        if known.left_at is None or known.left_at <= now() - UNDO_WITHIN:
            return False
        said = time_for(self._dialect)
        return (row.left_at or "") > (said(known.left_at) or "")

    def _change(self, number: int, row: Ready) -> Fate | None:
        """Whoever changes it at the same time is waited for, and what they did counts."""
        subscription = self._session.get(
            Subscription, number, with_for_update=True, populate_existing=True
        )
        if subscription is None:
            return None
        if row.tracking_consent == TrackingConsent.DENIED:
            _, wording = OF_TRACKING[TrackingConsent.DENIED]
            subscriptions.set_tracking_consent(
                self._session, subscription, TrackingConsent.DENIED, _statement(row, wording)
            )
        has_left = subscription.status is SubscriptionStatus.UNSUBSCRIBED
        if row.status != _LEFT:
            return Fate.KEPT_UNSUBSCRIBED if has_left else Fate.PRESENT
        said = _statement(row, STATEMENTS[SubscriptionStatus.UNSUBSCRIBED])
        if has_left:
            last = leavers.last_leaving(self._session, subscription)
            if last is None or last.method != said.method:
                subscriptions.leave_again(self._session, subscription, said)
            return Fate.PRESENT
        subscriptions.end(self._session, subscription, said)
        return Fate.ENDED


def _statement(row: Ready, wording: str) -> Evidence:
    return Evidence(ConsentMethod.IMPORT, source=row.source, wording=row.evidence or wording)
