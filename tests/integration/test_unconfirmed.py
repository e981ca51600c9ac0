"""Who never confirmed is forgotten in time, and nobody else."""

import time
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from sqlalchemy import func, select

from newsletter.broadcasts.models import DeliveryState
from newsletter.core.clock import now
from newsletter.core.db import Sessions
from newsletter.jobs import daily
from newsletter.jobs.celery import KEEP_HOUSE, create_app
from newsletter.jobs.embedded import sending
from newsletter.privacy import unconfirmed
from newsletter.privacy.unconfirmed import count_unconfirmed, forget_unconfirmed
from newsletter.sending.models import SystemMail
from subscribers import subscriptions
from subscribers.evidence import Evidence
from subscribers.models import (
    ConsentEvent,
    SignUpCount,
    Subscriber,
    SubscriberList,
    SubscriptionStatus,
)
from tests import factories
from tests.sign_up import Desk, path_of

ADA, BOB = "ada@example.org", "bob@example.org"


def days_later(desk: Desk, days: float) -> int:
    with time_machine.travel(now() + timedelta(days=days), tick=False):
        with desk.runtime.sessions.reading() as session:
            would = count_unconfirmed(session, desk.runtime.settings)
        assert forget_unconfirmed(desk.runtime.sessions, desk.runtime.settings) == would
    return would


def addresses(sessions: Sessions) -> list[str]:
    with sessions.reading() as session:
        return list(session.scalars(select(Subscriber.email).order_by(Subscriber.email)))


def test_who_never_confirmed_is_gone_without_a_trace_after_30_days(desk: Desk) -> None:
    desk.send(ADA)
    with desk.runtime.sessions.writing() as session:
        (mail,) = session.scalars(select(SystemMail))
        mail.state = DeliveryState.ACCEPTED
    assert days_later(desk, 29.9) == 0
    assert days_later(desk, 30.1) == 1
    assert addresses(desk.runtime.sessions) == []
    with desk.runtime.sessions.reading() as session:
        for table in (ConsentEvent, SystemMail):
            assert session.scalar(select(func.count()).select_from(table)) == 0
    assert days_later(desk, 30.1) == 0


def test_the_count_of_letters_outlives_the_person(desk: Desk) -> None:
    start = now()
    for month in range(5):
        with time_machine.travel(start + timedelta(days=31 * month), tick=False):
            forget_unconfirmed(desk.runtime.sessions, desk.runtime.settings)
            assert addresses(desk.runtime.sessions) == []
            desk.send(ADA)
            with desk.runtime.sessions.reading() as session:
                sent = len(desk.mails())
                assert sent == min(month + 1, 3)
    with desk.runtime.sessions.reading() as session:
        assert ADA not in " ".join(session.scalars(select(SignUpCount.key)))


def test_who_confirmed_asked_again_lately_or_was_imported_stays(desk: Desk) -> None:
    desk.send(ADA)
    desk.client.post(desk.confirm_path())
    with desk.runtime.sessions.writing() as session:
        readers = session.get_one(SubscriberList, desk.list_id)
        cyd = factories.person(session, "cyd@example.org")
        subscriptions.request(session, cyd, readers, Evidence("import", "people.csv:2"))
    with time_machine.travel(now() + timedelta(days=20), tick=False):
        desk.send(BOB)
    assert days_later(desk, 40) == 0
    assert addresses(desk.runtime.sessions) == [ADA, BOB, "cyd@example.org"]


@pytest.mark.parametrize("door", ["form", "old link"])
def test_a_letter_to_who_was_asked_before_has_its_evidence_and_its_seven_days(
    desk: Desk, door: str
) -> None:
    desk.send(ADA)
    old = desk.confirm_path()
    with time_machine.travel(now() + timedelta(days=27), tick=False):
        for _ in range(3):
            desk.send(ADA) if door == "form" else desk.client.post(f"{old}/again")
    assert [event.change for event in desk.evidence()] == ["requested"] * 2, "one for each letter"
    assert desk.evidence()[1].ip == "192.0.2.7"
    assert days_later(desk, 33.9) == 0
    with time_machine.travel(now() + timedelta(days=33.9), tick=False):
        assert desk.client.post(desk.confirm_path()).status_code == 200
    assert desk.status() is SubscriptionStatus.ACTIVE


def test_an_imported_request_is_kept_until_somebody_else_asks(desk: Desk) -> None:
    with desk.runtime.sessions.writing() as session:
        readers = session.get_one(SubscriberList, desk.list_id)
        ada = factories.person(session, ADA)
        subscriptions.request(session, ada, readers, Evidence("import", "people.csv:2"))
    assert days_later(desk, 40) == 0
    with time_machine.travel(now() + timedelta(days=20), tick=False):
        desk.send(ADA)
    assert days_later(desk, 49) == 0
    assert days_later(desk, 51) == 1


def test_who_left_and_asked_again_has_left_still(desk: Desk) -> None:
    desk.send(ADA)
    desk.client.post(desk.confirm_path())
    desk.client.post(path_of("u", desk.letter()))
    desk.send(ADA)
    assert desk.status() is SubscriptionStatus.PENDING
    assert days_later(desk, 31) == 1
    assert desk.status() is SubscriptionStatus.UNSUBSCRIBED
    assert desk.evidence()[-1].method == "retention"
    with time_machine.travel(now() + timedelta(days=32), tick=False):
        desk.send(ADA)
        desk.client.post(desk.confirm_path())
    assert desk.status() is SubscriptionStatus.ACTIVE, "by their own confirmation"


def test_who_is_on_another_list_loses_the_request_alone(desk: Desk) -> None:
    with desk.runtime.sessions.writing() as session:
        other = factories.a_list(session, "Evenings")
        factories.subscribed(session, other, [ADA])
    desk.send(ADA)
    assert days_later(desk, 31) == 1
    assert (addresses(desk.runtime.sessions), desk.status()) == ([ADA], None)
    assert [event.list_id for event in desk.evidence()] == [other.id]


@pytest.mark.parametrize(
    "known",
    [{"name": "Ada"}, {"attributes": {"plan": "pro"}}, {"locale": "en"}, {"time_zone": "UTC"}, {}],
)
def test_who_was_known_before_a_stranger_asked_stays(desk: Desk, known: dict[str, Any]) -> None:
    with desk.runtime.sessions.writing() as session:
        ada = factories.person(session, ADA)
        ada.created_at = now() - timedelta(days=0 if known else 1)
        for column, value in known.items():
            setattr(ada, column, value)
    desk.send(ADA)
    assert days_later(desk, 31) == 1
    assert (addresses(desk.runtime.sessions), desk.status()) == ([ADA], None)


def test_who_was_asked_for_two_lists_is_gone_with_the_second(desk: Desk) -> None:
    with desk.runtime.sessions.writing() as session:
        factories.a_list(session, "Evenings").newsletter_id = desk.newsletter_id
    desk.send(ADA)
    with time_machine.travel(now() + timedelta(days=10), tick=False):
        desk.post({"email": ADA}, "/s/evenings/embed")
    assert days_later(desk, 31) == 1
    assert addresses(desk.runtime.sessions) == [ADA]
    assert days_later(desk, 41) == 1
    assert addresses(desk.runtime.sessions) == []


def test_many_go_in_chunks(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unconfirmed, "CHUNK_ROWS", 2)
    for number in range(5):
        desk.json({"email": f"r{number}@example.org"})
    chunks: list[int] = []
    with time_machine.travel(now() + timedelta(days=31), tick=False):
        forget_unconfirmed(desk.runtime.sessions, desk.runtime.settings, chunks.append)
    assert chunks == [2, 2, 1]


def test_it_is_done_by_the_embedded_sender_beside_the_sending(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daily, "_FIRST_SECONDS", 0)
    with time_machine.travel(now() - timedelta(days=31), tick=False):
        desk.send(ADA)
    end = time.monotonic() + 30
    with sending(desk.runtime, [factories.memory()]):
        while addresses(desk.runtime.sessions):
            assert time.monotonic() < end
            time.sleep(0.02)


def test_beat_asks_for_it_every_hour(desk: Desk) -> None:
    schedule = create_app(desk.runtime.settings).conf.beat_schedule["keep house"]
    assert schedule["task"] == KEEP_HOUSE
    assert schedule["schedule"] == daily.PERIOD_SECONDS


def test_a_turn_that_fails_is_had_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daily, "_FIRST_SECONDS", 0.01)
    monkeypatch.setattr(daily, "PERIOD_SECONDS", 0.01)
    tries: list[int] = []

    def fails(*_: object) -> None:
        tries.append(1)
        if len(tries) == 1:
            raise RuntimeError("not today")

    monkeypatch.setattr(daily, "keep_house", fails)
    end = time.monotonic() + 30
    with daily.keeping_house(desk.runtime):
        while len(tries) < 2:
            assert time.monotonic() < end
            time.sleep(0.01)
