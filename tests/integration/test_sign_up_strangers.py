"""What a stranger does with somebody's address, and what is left of it."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
import time_machine
from sqlalchemy import select

from newsletter.core.clock import now
from newsletter.core.db import Sessions
from newsletter.core.tokens import TokenKeys
from newsletter.rendering.mail_tokens import OwnerToken
from newsletter.web.public import sign_up
from subscribers import subscriptions
from subscribers.models import SubscriberList, Subscription, SubscriptionStatus
from tests import factories
from tests.sign_up import AT_EASE, Desk, open_desk

ADA = "ada@example.org"
NAME = {"key": "name", "label": "Your name", "required": False}
COMPANY = {"key": "company", "label": "Company", "required": False}


@pytest.fixture
def desk(sessions: Sessions, keys: TokenKeys, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setattr(sign_up, "ANSWER_SECONDS", 0)
    with open_desk(sessions, keys, signup=AT_EASE) as opened:
        opened.change(fields=[NAME, COMPANY])
        yield opened


def test_what_is_typed_stays_behind_what_is_known_also_when_they_confirm(desk: Desk) -> None:
    with desk.runtime.sessions.writing() as session:
        factories.person(session, ADA, "Ada").attributes = {"plan": "pro"}
    desk.send(ADA, field_name="Mallory", field_company="Engines")
    desk.client.post(desk.confirm_path())
    assert desk.person().name == "Ada"
    assert desk.person().attributes == {"plan": "pro", "company": "Engines"}


def test_who_types_after_them_changes_no_answer_that_waits(desk: Desk) -> None:
    desk.send(ADA, field_name="Ada", field_company="Engines")
    desk.send(ADA, field_name="Mallory", field_company="Elsewhere")
    desk.client.post(desk.confirm_path())
    assert (desk.person().name, desk.person().attributes) == ("Ada", {"company": "Engines"})


@pytest.mark.parametrize("way", ["letter", "preferences"])
def test_whoever_comes_back_has_not_left_and_nothing_typed_waits(desk: Desk, way: str) -> None:
    with desk.runtime.sessions.writing() as session:
        readers = session.get_one(SubscriberList, desk.list_id)
        (subscription,) = factories.subscribed(session, readers, [ADA])
        subscriptions.end(session, subscription, factories.EVIDENCE)
    desk.send(ADA, field_name="Ada")
    if way == "letter":
        desk.client.post(desk.confirm_path())
    else:
        chosen = {"list": str(desk.list_id), "shown": str(desk.list_id)}
        assert desk.client.post(_own_link(desk), data=chosen).status_code == 200
    with desk.runtime.sessions.reading() as session:
        (found,) = session.scalars(select(Subscription))
    assert found.status is SubscriptionStatus.ACTIVE
    assert (found.unsubscribed_at, found.answers) == (None, {})


def test_who_was_erased_after_three_letters_can_come_back(desk: Desk) -> None:
    for day in range(3):
        with time_machine.travel(now() + timedelta(days=1.1 * day), tick=False):
            desk.send(ADA)
    assert desk.client.post(f"{_own_link(desk)}/erase").status_code == 200
    assert desk.mails() == []
    with time_machine.travel(now() + timedelta(days=4), tick=False):
        desk.send(ADA)
        assert desk.mails() == [("confirmation", ADA)]
        desk.client.post(desk.confirm_path())
    assert desk.status() is SubscriptionStatus.ACTIVE


def _own_link(desk: Desk) -> str:
    until = int(now().timestamp()) + 60
    return f"/p/{OwnerToken(desk.newsletter_id, desk.person().id, until).mint(desk.runtime.keys)}"
