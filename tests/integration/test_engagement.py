"""What readers who agreed did last: noted with the events, rebuilt from them, gone with consent."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from sqlalchemy import delete, select, update

from newsletter.broadcasts.models import Delivery, DeliveryState
from newsletter.core.db import Sessions
from newsletter.rendering.mail_tokens import TrackingToken
from newsletter.tracking import engaging, evidence
from newsletter.tracking.models import Event, EventKind
from newsletter.tracking.recording import Fetch, Visit, record
from subscribers import engagement, subscriptions
from subscribers.engagement import Note
from subscribers.models import Engagement, Subscription, TrackingConsent
from tests import factories
from tests.integration.conftest import BROWSER

ADA, BOB, CYD = "ada@example.org", "bob@example.org", "cyd@example.org"
SENT = datetime(2026, 6, 17, 6, tzinfo=UTC)
READ = SENT + timedelta(minutes=5)
HUMAN = Visit(user_agent=BROWSER["User-Agent"], at=READ)

Seen = dict[str, tuple[datetime | None, datetime | None]]


@dataclass
class Mailed:
    """Ada agreed, Bob never said, Cyd denied; all three have an issue."""

    sessions: Sessions
    deliveries: dict[str, Delivery]

    def fetch(self, who: str, kind: EventKind, visit: Visit = HUMAN) -> Fetch:
        row = self.deliveries[who]
        link = 1 if kind is EventKind.CLICK else None
        return Fetch(kind, TrackingToken(row.broadcast_id, row.id), visit, link)

    def hit(self, *fetches: Fetch) -> None:
        with self.sessions.writing() as session:
            record(session, fetches)

    def opened(self, who: str, at: datetime = READ) -> None:
        self.hit(self.fetch(who, EventKind.OPEN, replace(HUMAN, at=at)))

    def says(self, who: str, consent: TrackingConsent) -> None:
        with self.sessions.writing() as session:
            row = self.deliveries[who]
            assert row.list_id
            found = subscriptions.find_subscription(session, row.subscriber_id, row.list_id)
            assert found
            subscriptions.set_tracking_consent(session, found, consent, factories.EVIDENCE)

    def seen(self) -> Seen:
        names = {row.subscriber_id: who for who, row in self.deliveries.items()}
        with self.sessions.reading() as session:
            rows = session.scalars(select(Engagement)).all()
        return {names[row.subscriber_id]: (row.opened_at, row.clicked_at) for row in rows}

    def rebuilt(self) -> Seen:
        engaging.rebuild(self.sessions)
        return self.seen()


def made(sessions: Sessions) -> Mailed:
    broadcast_id = factories.sending(sessions, [ADA, BOB, CYD])
    with sessions.writing() as session:
        accepted = {"state": DeliveryState.ACCEPTED, "last_at": SENT}
        session.execute(update(Delivery).values(**accepted))
    mailed = Mailed(sessions, dict(factories.deliveries(sessions, broadcast_id)))
    mailed.says(ADA, TrackingConsent.GRANTED)
    mailed.says(CYD, TrackingConsent.DENIED)
    return mailed


@pytest.fixture
def mailed(sessions: Sessions) -> Iterator[Mailed]:
    with time_machine.travel(SENT, tick=False):
        yield made(sessions)


def test_hits_of_readers_who_agreed_are_noted_and_no_others(mailed: Mailed) -> None:
    for who in (ADA, BOB, CYD):
        mailed.hit(mailed.fetch(who, EventKind.OPEN), mailed.fetch(who, EventKind.CLICK))
    assert mailed.seen() == {ADA: (READ, READ)} == mailed.rebuilt()


def test_the_latest_of_each_kind_counts_whatever_the_order(mailed: Mailed) -> None:
    for hours in (3, 5, 1):
        mailed.opened(ADA, READ + timedelta(hours=hours))
    assert mailed.seen() == {ADA: (READ + timedelta(hours=5), None)} == mailed.rebuilt()


def test_a_group_of_hits_is_noted_at_once(mailed: Mailed) -> None:
    mailed.says(BOB, TrackingConsent.GRANTED)
    later = replace(HUMAN, at=READ + timedelta(hours=1))
    mailed.hit(
        mailed.fetch(BOB, EventKind.OPEN, later),
        mailed.fetch(ADA, EventKind.CLICK),
        mailed.fetch(BOB, EventKind.OPEN),
        mailed.fetch(BOB, EventKind.CLICK, later),
    )
    assert mailed.seen() == {ADA: (None, READ), BOB: (later.at, later.at)} == mailed.rebuilt()


@pytest.mark.parametrize(
    "visit",
    [
        Visit(method="HEAD", user_agent="Mozilla/5.0 (X11)", at=READ),
        Visit(user_agent="", at=READ),
        Visit(user_agent="SomeScanner/1.0 bot", at=READ),
        Visit(user_agent="Mozilla/5.0 (X11)", is_prefetch=True, at=READ),
        Visit(user_agent="Mozilla/5.0 (X11)", at=SENT + timedelta(seconds=1)),
    ],
)
def test_a_machines_click_is_nobodys(mailed: Mailed, visit: Visit) -> None:
    mailed.hit(mailed.fetch(ADA, EventKind.CLICK, visit))
    assert mailed.seen() == {} == mailed.rebuilt()


def test_whose_hit_it_was_is_known_when_its_evidence_has_gone(mailed: Mailed) -> None:
    mailed.hit(mailed.fetch(ADA, EventKind.CLICK))
    mailed.hit(mailed.fetch(ADA, EventKind.OPEN, replace(HUMAN, user_agent="Barracuda")))
    with mailed.sessions.writing() as session:
        evidence.empty(session, session.scalars(select(Event.id)).all())
    assert mailed.rebuilt() == {ADA: (None, READ)}


def test_hits_that_name_no_reader_are_noted_for_none(mailed: Mailed) -> None:
    token = TrackingToken(mailed.deliveries[ADA].broadcast_id, None)
    mailed.hit(Fetch(EventKind.OPEN, token, HUMAN))
    assert mailed.seen() == {} == mailed.rebuilt()


@pytest.mark.parametrize("consent", [TrackingConsent.DENIED, TrackingConsent.UNKNOWN])
def test_with_the_consent_goes_what_was_known(mailed: Mailed, consent: TrackingConsent) -> None:
    mailed.opened(ADA)
    mailed.says(ADA, consent)
    assert mailed.seen() == {} == mailed.rebuilt()


def test_what_was_before_a_denial_does_not_come_back_with_a_later_consent(mailed: Mailed) -> None:
    mailed.opened(ADA)
    with time_machine.travel(READ + timedelta(hours=1)):
        mailed.says(ADA, TrackingConsent.DENIED)
    mailed.opened(ADA, READ + timedelta(hours=2))
    with time_machine.travel(READ + timedelta(hours=3)):
        mailed.says(ADA, TrackingConsent.GRANTED)
    assert mailed.seen() == {} == mailed.rebuilt()
    mailed.opened(ADA, READ + timedelta(hours=4))
    assert mailed.seen() == {ADA: (READ + timedelta(hours=4), None)} == mailed.rebuilt()


def test_what_was_before_the_consent_is_not_noted_afterwards(mailed: Mailed) -> None:
    mailed.opened(BOB)
    with time_machine.travel(READ + timedelta(hours=1)):
        mailed.says(BOB, TrackingConsent.GRANTED)
    assert mailed.seen() == {} == mailed.rebuilt()


def test_rebuilding_mends_what_is_wrong_and_goes_on_in_chunks(
    mailed: Mailed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engaging, "CHUNK_ROWS", 2)
    for minutes in range(5):
        mailed.opened(ADA, READ + timedelta(minutes=minutes))
    expected = mailed.seen()
    with mailed.sessions.writing() as session:
        session.execute(update(Engagement).values(opened_at=READ + timedelta(days=9)))
    gone_through: list[int] = []
    engaging.rebuild(mailed.sessions, gone_through.append)
    assert mailed.seen() == expected == {ADA: (READ + timedelta(minutes=4), None)}
    assert gone_through == [2, 2, 1]
    with mailed.sessions.reading() as session:
        assert engaging.count_events(session) == 5


def test_what_pruned_events_told_stays(mailed: Mailed) -> None:
    mailed.opened(ADA)
    mailed.hit(mailed.fetch(ADA, EventKind.CLICK, replace(HUMAN, at=READ + timedelta(days=1))))
    with mailed.sessions.writing() as session:
        session.execute(delete(Event).where(Event.kind == EventKind.OPEN))
    assert mailed.rebuilt() == {ADA: (READ, READ + timedelta(days=1))}


def test_hits_beyond_the_rows_that_a_delivery_may_have_move_nothing(
    mailed: Mailed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last row counts them and keeps its own time: so does what is noted."""
    monkeypatch.setattr("newsletter.tracking.recording.MOST_ROWS", 2)
    for minutes in range(4):
        mailed.opened(ADA, READ + timedelta(minutes=minutes))
    assert mailed.seen() == {ADA: (READ + timedelta(minutes=1), None)} == mailed.rebuilt()


def test_an_erased_reader_is_not_noted(mailed: Mailed) -> None:
    with mailed.sessions.writing() as session:
        session.execute(delete(Subscription))
    mailed.opened(ADA)
    assert mailed.seen() == {} == mailed.rebuilt()


def test_whose_consent_is_being_changed_is_not_waited_for_and_not_noted(
    postgresql: Sessions,
) -> None:
    with time_machine.travel(SENT, tick=False):
        mailed = made(postgresql)
        mailed.says(BOB, TrackingConsent.GRANTED)
        with postgresql.writing() as session:
            ada = mailed.deliveries[ADA].subscriber_id
            theirs = update(Subscription).where(Subscription.subscriber_id == ada)
            session.execute(theirs.values(tracking_consent=TrackingConsent.DENIED))
            mailed.hit(mailed.fetch(ADA, EventKind.OPEN), mailed.fetch(BOB, EventKind.OPEN))
        assert mailed.seen() == {BOB: (READ, None)} == mailed.rebuilt()


def test_nothing_to_note_is_no_statement(sessions: Sessions) -> None:
    with sessions.writing() as session:
        engagement.noted(session, [])
        assert session.scalars(select(Engagement)).all() == []


def test_notes_of_one_reader_become_one_row(mailed: Mailed) -> None:
    row = mailed.deliveries[ADA]
    with mailed.sessions.writing() as session:
        notes = [
            Note(1, row.subscriber_id, opened_at=READ),
            Note(1, row.subscriber_id, clicked_at=SENT),
            Note(1, row.subscriber_id, opened_at=SENT),
        ]
        engagement.noted(session, notes)
    assert mailed.seen() == {ADA: (READ, SENT)}
