"""What reports count: by hour, domain, link and reason; over time; lists by day."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from itertools import pairwise

import pytest
import time_machine
from sqlalchemy import func, select, update

from newsletter.broadcasts import control
from newsletter.broadcasts.models import Broadcast, Delivery, DeliveryState
from newsletter.core.db import Sessions
from newsletter.core.erasure_key import ErasureKey
from newsletter.core.tokens import TokenKeys
from newsletter.jobs import daily
from newsletter.privacy import erasure, retention
from newsletter.reports import figures, growth, over_time, snapshots, tables
from newsletter.reports.counting import count
from newsletter.reports.details import LEAST_PEOPLE, DomainFigures
from newsletter.reports.figures import Report
from newsletter.reports.growth import SPANS, Way
from newsletter.reports.models import BroadcastCounts, ListCounts
from newsletter.sending import leases
from newsletter.tracking.classification import Reader
from newsletter.tracking.models import Event
from subscribers import subscriptions
from subscribers.models import ConsentEvent, LeaveReason, SubscriberList
from tests import factories
from tests.reported import (
    NOW,
    PRIVACY_PROXY,
    SCANNER,
    STARTED,
    Reported,
    clicked,
    left,
    opened,
    sent,
)

LARGE = [f"r{n}@large.example" for n in range(6)]
SMALL = [f"r{n}@small.example" for n in range(LEAST_PEOPLE - 1)]
READERS = [*LARGE, *SMALL]


@pytest.fixture(autouse=True)
def clock() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


def report(sessions: Sessions, of: Reported, *, shown: bool = False) -> Report:
    with sessions.reading() as session:
        broadcast = control.find_broadcast(session, of.broadcast_id)
        return (figures.shown if shown else figures.report)(session, broadcast)


def test_a_broadcast_by_hour_domain_link_and_reason(
    sessions: Sessions, clock: time_machine.Traveller
) -> None:
    of = sent(sessions, READERS)
    with sessions.writing() as session:
        refused = session.get_one(Delivery, of.rows[5].id)
        refused.state, refused.reason, refused.attempt = DeliveryState.FAILED, "mailbox full", 3
        opened(session, of, 0, 2.5)
        opened(session, of, 1, 2.5, PRIVACY_PROXY)
        opened(session, of, None, 47.99)
        opened(session, of, 0, 48.5)
        clicked(session, of, 0, 3.25)
        clicked(session, of, 0, 5.25)
        clicked(session, of, 6, 7.25, link=2)
        clicked(session, of, 1, 7.25, SCANNER, link=2)
        clicked(session, of, None, 9.25)
        said_at = NOW - timedelta(hours=3)
        clock.move_to(said_at)
        left(session, of, 0, said_at, LeaveReason.TOO_OFTEN)
        left(session, of, 7, said_at)
        clock.move_to(NOW)
    found = report(sessions, of)
    details = found.details
    assert details is not None
    assert details.first_at == STARTED
    assert [hour.accepted for hour in details.hours] == [9, *[0] * 47]
    opens = {n: dict(hour.opens) for n, hour in enumerate(details.hours) if hour.opens}
    clicks = {n: dict(hour.clicks) for n, hour in enumerate(details.hours) if hour.clicks}
    assert opens == {2: {Reader.HUMAN: 1, Reader.UNKNOWN: 1}, 47: {Reader.HUMAN: 1}}
    assert clicks == {
        **{hour: {Reader.HUMAN: 1} for hour in (3, 5, 9)},
        7: {Reader.HUMAN: 1, Reader.MACHINE: 1},
    }
    assert found.opens_by(Reader.HUMAN) == 3, "the one after the curve counts too"
    assert details.domains == (
        DomainFigures("large.example", 6, 5, 1, 1, 2),
        DomainFigures("", 4, 4, 0, 0, 1),
    ), "so few at a domain might be one person"
    first, second, *_ = found.links
    assert (first.clicks, first.readers) == ({Reader.HUMAN: 3}, {Reader.HUMAN: 1})
    assert second.readers == {Reader.HUMAN: 1, Reader.MACHINE: 1}
    assert (found.unsubscribed, details.reasons) == (2, {LeaveReason.TOO_OFTEN: 1})


def test_a_row_that_counts_many_hits_counts_them_all(sqlite_sessions: Sessions) -> None:
    of = sent(sqlite_sessions, READERS)
    with sqlite_sessions.writing() as session:
        clicked(session, of, 0, 3.25)
        session.execute(update(Event).values(hits=1_000))
    found = report(sqlite_sessions, of)
    assert found.details is not None
    assert found.clicks_by(Reader.HUMAN) == 1_000
    assert found.clicks.readers == {Reader.HUMAN: 1}
    assert found.details.hours[3].clicks == {Reader.HUMAN: 1_000}
    assert found.details.domains[0].clicks == 1_000
    assert found.links[0].readers == {Reader.HUMAN: 1}


def test_a_later_leaving_says_nothing_of_an_earlier_one(
    sqlite_sessions: Sessions, clock: time_machine.Traveller
) -> None:
    """Who had left before and uses the link of an old mail again ends nothing by it."""
    first = sent(sqlite_sessions, READERS)
    second = sent(sqlite_sessions, ["new@large.example"], day="2026-06-18", name="Evenings")
    with sqlite_sessions.writing() as session:
        session.execute(
            update(Delivery)
            .where(Delivery.broadcast_id == second.broadcast_id)
            .values(subscriber_id=first.rows[0].subscriber_id)
        )
        session.expire_all()
        second = Reported(
            second.broadcast_id,
            second.newsletter_id,
            [session.get_one(Delivery, second.rows[0].id)],
        )
        clock.move_to(NOW - timedelta(hours=5))
        left(session, first, 0, NOW - timedelta(hours=5), LeaveReason.NOT_RELEVANT)
        clock.move_to(NOW)
        left(session, second, 0, NOW)
    found = report(sqlite_sessions, second)
    assert found.details is not None
    assert (found.unsubscribed, found.details.reasons) == (1, {})


@pytest.fixture
def large(sqlite_sessions: Sessions, monkeypatch: pytest.MonkeyPatch) -> Reported:
    """A broadcast with more rows than are counted while somebody waits."""
    monkeypatch.setattr(snapshots, "SMALL_ROWS", len(READERS) - 1)
    of = sent(sqlite_sessions, READERS)
    with sqlite_sessions.writing() as session:
        clicked(session, of, 0, 3.25)
    return of


def test_a_large_broadcast_is_counted_beside_the_request(
    sqlite_sessions: Sessions, large: Reported, clock: time_machine.Traveller
) -> None:
    before = report(sqlite_sessions, large, shown=True)
    assert (before.counted_at, before.details, before.is_due) == (None, None, True)
    assert before.accounts.accepted == len(READERS), "outcomes are those of now"
    assert snapshots.refresh(sqlite_sessions, [large.broadcast_id]) == 1
    shown, fresh = (report(sqlite_sessions, large, shown=s) for s in (True, False))
    assert (shown.counted_at, shown.is_live, shown.is_due) == (NOW, False, False)
    assert (shown.details, shown.clicks, shown.links) == (fresh.details, fresh.clicks, fresh.links)
    with sqlite_sessions.writing() as session:
        clicked(session, large, 1, 4.25)
    assert report(sqlite_sessions, large, shown=True).clicks == shown.clicks
    clock.shift(timedelta(days=1))
    assert report(sqlite_sessions, large, shown=True).is_due


def test_what_is_old_or_takes_long_is_counted_seldom(clock: time_machine.Traveller) -> None:
    def is_stale(age: timedelta, since: timedelta, took_ms: int = 0) -> bool:
        return snapshots.is_stale(NOW - since - age, None, NOW - since, took_ms)

    hour, day = timedelta(hours=1), timedelta(days=1)
    assert is_stale(age=hour, since=hour / 8)
    assert not is_stale(age=hour, since=hour / 12)
    assert not is_stale(age=300 * day, since=29 * day)
    assert is_stale(age=300 * day, since=31 * day)
    assert not is_stale(age=hour, since=hour / 8, took_ms=20_000)
    assert not snapshots.is_stale(NOW, None, NOW, 0)
    assert snapshots.is_stale(STARTED, NOW, NOW - timedelta(seconds=1), 0), "it went on since"


def test_somebody_else_who_counts_is_left_to_it(sqlite_sessions: Sessions, large: Reported) -> None:
    with leases.hold(sqlite_sessions, "counting", 600):
        assert snapshots.refresh(sqlite_sessions, [large.broadcast_id]) == 0
    assert snapshots.refresh(sqlite_sessions, [large.broadcast_id]) == 1


def test_the_house_counts_what_is_large_and_the_lists(
    sqlite_sessions: Sessions,
    large: Reported,
    keys: TokenKeys,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(growth, "SMALL_ROWS", 3)
    daily.count_reports(factories.runtime(sqlite_sessions, keys))
    with sqlite_sessions.reading() as session:
        assert session.get_one(BroadcastCounts, large.broadcast_id).counted_at == NOW
        (kept,) = session.scalars(select(ListCounts)).all()
        assert (kept.active, kept.counted_at) == (len(READERS), NOW)
        found = growth.growth(session, kept.list_id, SPANS["month"])
    assert (found.active, found.total.all_came, found.is_due) == (len(READERS), len(READERS), False)


def test_pruned_figures_are_those_that_are_kept(
    sqlite_sessions: Sessions, large: Reported, clock: time_machine.Traveller
) -> None:
    other = sent(sqlite_sessions, ["x@large.example"], day="2026-06-18", name="Evenings")
    snapshots.refresh(sqlite_sessions, [large.broadcast_id])
    before, before_other = report(sqlite_sessions, large), report(sqlite_sessions, other)
    clock.shift(timedelta(days=400))
    with sqlite_sessions.reading() as session:
        found = retention.prunable(session, NOW + timedelta(days=30))
    retention.prune(sqlite_sessions, found)
    after, after_other = (report(sqlite_sessions, of, shown=True) for of in (large, other))
    assert after.is_pruned
    assert (after.accounts, after.clicks, after.details) == (
        before.accounts,
        before.clicks,
        before.details,
    )
    assert (after_other.accounts, after_other.details) == (before_other.accounts, None)
    assert {line.readers for line in after_other.links} == {None}
    with sqlite_sessions.reading() as session:
        assert snapshots.due(session) == []
    assert snapshots.refresh(sqlite_sessions, [large.broadcast_id]) == 0, "there is nothing left"
    assert [row[1] for row in tables.reasons(after_other).rows][:2] == [None, None]


def test_counts_that_pruning_overtook_are_thrown_away(
    sqlite_sessions: Sessions, large: Reported, clock: time_machine.Traveller
) -> None:
    with sqlite_sessions.reading() as session:
        counted = count(session, large.broadcast_id)
        found = retention.prunable(session, NOW + timedelta(days=30))
    retention.prune(sqlite_sessions, found)
    with sqlite_sessions.writing() as session:
        assert not snapshots.keep(session, large.broadcast_id, counted)


def test_broadcasts_stand_beside_those_before_them(sqlite_sessions: Sessions) -> None:
    days = [date(2026, 6, day) for day in (1, 3, 5, 9)]
    made = [
        sent(
            sqlite_sessions,
            READERS,
            day=day.isoformat(),
            started=STARTED - timedelta(days=20 - day.day),
            name=f"List {day.day}",
        )
        for day in days
    ]
    with sqlite_sessions.writing() as session:
        for clicks, of in enumerate(made):
            for number in range(clicks):
                clicked(session, of, number, 30.0)
    with sqlite_sessions.reading() as session:
        last = session.get_one(Broadcast, made[-1].broadcast_id)
        lines = over_time.lines(session, made[0].newsletter_id)
        usual = over_time.compare(over_time.earlier(session, last, made[0].newsletter_id))
        nothing = over_time.lines(session, made[0].newsletter_id + 1)
    assert [line.broadcast_id for line in lines] == [of.broadcast_id for of in reversed(made)]
    assert [line.clicks(Reader.HUMAN) for line in lines] == [3, 2, 1, 0]
    assert nothing == []
    assert usual.broadcasts == 3
    assert usual.usual["clicks"] == pytest.approx(1 / len(READERS))
    assert over_time.cadence_days(lines) == 2
    assert over_time.cadence_days(lines[:1]) is None
    table = tables.broadcasts(sqlite_sessions, made[0].newsletter_id)
    moments = [row[3] for row in table.rows]
    assert all(isinstance(moment, datetime) for moment in moments)
    assert all(str(later) > str(sooner) for later, sooner in pairwise(moments))


def test_a_list_by_day_and_week(sessions: Sessions, clock: time_machine.Traveller) -> None:
    of = sent(sessions, READERS)
    with sessions.writing() as session:
        readers = session.scalars(select(SubscriberList)).one()
        yesterday = NOW - timedelta(days=1)
        clock.move_to(yesterday)
        left(session, of, 0, yesterday, LeaveReason.NEVER_ASKED)
        left(session, of, 1, yesterday)
        asked = factories.person(session, "asks@example.org")
        wanted = subscriptions.request(session, asked, readers, factories.EVIDENCE)
        clock.move_to(NOW)
        assert subscriptions.confirm(session, wanted, factories.EVIDENCE)
        erasure.erase(session, of.rows[2].subscriber_id, ErasureKey(b"k" * 32), "test")
        session.execute(
            update(ConsentEvent)
            .where(ConsentEvent.subscriber_id == of.rows[3].subscriber_id)
            .values(method="import", at=NOW - timedelta(days=8))
        )
        list_id = readers.id
    with sessions.reading() as session:
        month = growth.growth(session, list_id, SPANS["month"])
        quarter = growth.growth(session, list_id, SPANS["quarter"])
        active = growth.growth(session, list_id + 1, SPANS["month"])
    days = dict(month.steps)
    assert len(days) == 30
    assert (min(days), max(days)) == (date(2026, 5, 22), date(2026, 6, 20))
    today, before = days[date(2026, 6, 20)], days[date(2026, 6, 19)]
    assert today.came == {Way.CONFIRMED: 1, Way.ADDED: len(READERS) - 2}
    assert (today.all_left, today.erased) == (0, 1)
    assert before.left == {LeaveReason.NEVER_ASKED: 1, "": 1}
    assert days[date(2026, 6, 12)].came == {Way.IMPORTED: 1}
    assert month.active == len(READERS) - 2
    assert len(quarter.steps) == 13
    assert quarter.total == month.total
    assert quarter.steps[-1][1].all_came == len(READERS) - 1
    assert (active.active, active.total.all_came) == (0, 0)


def test_growth_of_many_people_is_counted_beside_the_request(
    sqlite_sessions: Sessions, monkeypatch: pytest.MonkeyPatch, clock: time_machine.Traveller
) -> None:
    monkeypatch.setattr(growth, "SMALL_ROWS", 3)
    sent(sqlite_sessions, READERS)
    with sqlite_sessions.reading() as session:
        list_id = session.scalars(select(SubscriberList.id)).one()
        asked = growth.growth(session, list_id, SPANS["month"])
    assert (asked.counted_at, asked.is_due) == (None, True)
    assert growth.refresh(sqlite_sessions)
    assert not growth.refresh(sqlite_sessions), "it has just been counted"
    clock.shift(timedelta(hours=1))
    assert growth.refresh(sqlite_sessions)
    with sqlite_sessions.reading() as session:
        assert session.scalar(select(func.count()).select_from(ListCounts)) == 1
        found = growth.growth(session, list_id, SPANS["month"])
    assert found.total.came == {Way.ADDED: len(READERS)}
