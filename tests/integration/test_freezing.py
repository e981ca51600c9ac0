"""Freezing in chunks: it can stop anywhere and go on, and people may change meanwhile."""

from collections.abc import Callable

import pytest
from sqlalchemy import select

from newsletter.broadcasts import accounting, control, freezing
from newsletter.broadcasts.models import Broadcast, BroadcastState, Delivery, PauseReason
from newsletter.core.db import Sessions
from newsletter.core.sections import TrackingMode
from subscribers import subscriptions
from subscribers.models import Subscription
from tests import factories

PEOPLE = [f"r{n}@example.org" for n in (3, 1, 4, 0, 5, 9, 2, 6)]


@pytest.fixture(autouse=True)
def _few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(freezing, "CHUNK_ROWS", 3)


@pytest.fixture
def broadcast_id(sessions: Sessions) -> int:
    with sessions.writing() as session:
        issue = factories.stored_issue(session)
        readers = factories.a_list(session, issue=issue)
        factories.subscribed(session, readers, PEOPLE)
        broadcast = factories.scheduled(session, issue, [readers])
        broadcast.state = BroadcastState.FREEZING
    return broadcast.id


def freeze(sessions: Sessions, broadcast_id: int) -> None:
    freezing.freeze(sessions, broadcast_id, TrackingMode.AGGREGATE)


def after_the_first_chunk(monkeypatch: pytest.MonkeyPatch, act: Callable[[], None]) -> None:
    """Once, between two chunks."""
    write = freezing._Freezer.write_chunk

    def write_then_act(freezer: freezing._Freezer) -> bool:
        more = write(freezer)
        monkeypatch.setattr(freezing._Freezer, "write_chunk", write)
        act()
        return more

    monkeypatch.setattr(freezing._Freezer, "write_chunk", write_then_act)


def standing(sessions: Sessions, broadcast_id: int) -> tuple[BroadcastState, int, list[str]]:
    with sessions.reading() as session:
        rows = select(Delivery.address).order_by(Delivery.id)
        assert accounting.account(session, broadcast_id).gap == 0
        broadcast = session.get_one(Broadcast, broadcast_id)
        return broadcast.state, broadcast.candidates, list(session.scalars(rows))


def test_rows_are_written_in_the_order_of_the_addresses(
    sessions: Sessions, broadcast_id: int
) -> None:
    freeze(sessions, broadcast_id)
    assert standing(sessions, broadcast_id) == (BroadcastState.SENDING, 8, sorted(PEOPLE))


def test_a_freezing_that_was_killed_goes_on_behind_its_last_chunk(
    sessions: Sessions, broadcast_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die() -> None:
        raise KeyboardInterrupt

    after_the_first_chunk(monkeypatch, die)
    with pytest.raises(KeyboardInterrupt):
        freeze(sessions, broadcast_id)
    assert standing(sessions, broadcast_id) == (BroadcastState.FREEZING, 3, sorted(PEOPLE)[:3])
    freeze(sessions, broadcast_id)
    assert standing(sessions, broadcast_id) == (BroadcastState.SENDING, 8, sorted(PEOPLE))


def test_a_pause_stops_it_between_two_chunks_and_a_resumed_one_goes_on(
    sessions: Sessions, broadcast_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pause() -> None:
        with sessions.writing() as session:
            control.pause(session, broadcast_id, PauseReason.OPERATOR)

    after_the_first_chunk(monkeypatch, pause)
    freeze(sessions, broadcast_id)
    assert standing(sessions, broadcast_id)[:2] == (BroadcastState.PAUSED, 3)
    with sessions.writing() as session:
        control.resume(session, broadcast_id)
    freeze(sessions, broadcast_id)
    assert standing(sessions, broadcast_id) == (BroadcastState.SENDING, 8, sorted(PEOPLE))


def test_a_second_freezer_between_two_chunks_takes_over_and_nobody_is_counted_twice(
    sessions: Sessions, broadcast_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    after_the_first_chunk(monkeypatch, lambda: freeze(sessions, broadcast_id))
    freeze(sessions, broadcast_id)
    assert standing(sessions, broadcast_id) == (BroadcastState.SENDING, 8, sorted(PEOPLE))


def test_who_comes_or_leaves_between_two_chunks_is_counted_as_they_were(
    sessions: Sessions, broadcast_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def change() -> None:
        with sessions.writing() as session:
            readers = session.get_one(Broadcast, broadcast_id).lists[0].list
            factories.subscribed(session, readers, ["a@example.org", "z@example.org"])
            last = factories.person(session, "r9@example.org")
            leaving = session.scalars(select(Subscription).filter_by(subscriber_id=last.id)).one()
            subscriptions.end(session, leaving, factories.EVIDENCE)

    after_the_first_chunk(monkeypatch, change)
    freeze(sessions, broadcast_id)
    assert standing(sessions, broadcast_id) == (BroadcastState.SENDING, 8, sorted(PEOPLE))


def test_nothing_of_the_freezing_stays_on_the_pooled_connections(
    sessions: Sessions, broadcast_id: int
) -> None:
    freeze(sessions, broadcast_id)
    with sessions.writing() as session:
        session.get_one(Broadcast, broadcast_id).state = BroadcastState.FREEZING
    freeze(sessions, broadcast_id)
    assert standing(sessions, broadcast_id)[1] == 8
