"""The link of a letter that asks to confirm: whom it brings, what with, and until when."""

from datetime import timedelta

import pytest
import time_machine
from sqlalchemy import select

from newsletter.core.clock import now
from newsletter.mail.address import Address
from subscribers import suppressions
from subscribers.models import (
    Suppression,
    SuppressionReason,
)
from tests.sign_up import (
    ACTIVE,
    ADA,
    COMPANY,
    ERASURE_KEY,
    NAME,
    PENDING,
    UNSUBSCRIBED,
    Desk,
    path_of,
)


def test_answers_become_the_persons_own_by_confirming(desk: Desk) -> None:
    desk.change(fields=[NAME, COMPANY])
    desk.send(field_name="Ada", field_company="Analytical Engines", field_other="ignored")
    assert (desk.person().name, desk.person().attributes) == ("", {})
    desk.client.post(desk.confirm_path())
    person = desk.person()
    assert (person.name, person.attributes) == ("Ada", {"company": "Analytical Engines"})


@pytest.mark.parametrize("confirms", [True, False])
def test_who_was_erased_comes_back_by_their_own_confirmation_alone(
    desk: Desk, confirms: bool
) -> None:
    desk.change(confirms=confirms)
    with desk.runtime.sessions.writing() as session:
        key = suppressions.erased_suppression(ERASURE_KEY, Address.parse(ADA).key)
        suppressions.suppress(session, key, reason=SuppressionReason.ERASED, source="test")
    desk.send()
    assert (desk.status(), desk.mails()) == (PENDING, [("confirmation", ADA)])
    with desk.runtime.sessions.reading() as session:
        assert session.scalars(select(Suppression)).all(), "a stranger lifts nothing"
    desk.client.post(desk.confirm_path())
    with desk.runtime.sessions.reading() as session:
        assert session.scalars(select(Suppression)).all() == []
    assert desk.status() is ACTIVE


def test_a_list_that_welcomes_nobody_sends_no_welcome(desk: Desk) -> None:
    desk.change(welcomes=False)
    desk.send()
    desk.client.post(desk.confirm_path())
    assert (desk.status(), len(desk.mails())) == (ACTIVE, 1)


def test_an_old_link_does_not_confirm_and_offers_a_new_one(desk: Desk) -> None:
    start = now()
    with time_machine.travel(start, tick=False):
        desk.send()
    old = desk.confirm_path()
    with time_machine.travel(start + timedelta(days=6.9), tick=False):
        assert desk.client.get(old).status_code == 200
    with time_machine.travel(start + timedelta(days=7.1), tick=False):
        for method in ("GET", "HEAD", "POST"):
            assert desk.client.request(method, old).status_code == 410
        assert desk.status() is PENDING
        page = desk.client.get(old).text
        assert "This link is too old" in page
        assert f'action="{old}/again"' in page
        first = desk.client.post(f"{old}/again")
        assert len(desk.mails()) == 2
        assert desk.client.post(f"{old}/again").text == first.text
        assert len(desk.mails()) == 2, "one a day"
        assert desk.client.get(f"{old}/again").status_code == 405
        assert desk.client.post(desk.confirm_path()).status_code == 200
        answer = desk.client.post(f"{old}/again")
        assert (answer.text, desk.status()) == (first.text, ACTIVE)


def test_a_link_whose_subscription_was_left_meanwhile_confirms_nothing(desk: Desk) -> None:
    desk.send()
    link = desk.confirm_path()
    desk.client.post(link)
    desk.client.post(path_of("u", desk.letter()))
    answer = desk.client.post(link)
    assert answer.status_code == 410
    assert "You are not subscribed" in answer.text
    assert 'href="/s/mornings"' in answer.text
    assert desk.status() is UNSUBSCRIBED


def test_a_link_from_before_they_left_does_not_confirm_what_a_stranger_asked_for(
    desk: Desk,
) -> None:
    start = now()
    with time_machine.travel(start, tick=False):
        desk.send()
        old = desk.confirm_path()
        desk.client.post(old)
    with time_machine.travel(start + timedelta(days=1.5), tick=False):
        desk.client.post(path_of("u", desk.letter()))
        desk.send()
        assert desk.status() is PENDING
        for method in ("GET", "HEAD", "POST"):
            assert desk.client.request(method, old).status_code == 410
        assert f'action="{old}/again"' in desk.client.get(old).text
        assert desk.status() is PENDING
        assert desk.client.post(desk.confirm_path()).status_code == 200
        assert desk.status() is ACTIVE, "by the letter of now"


def test_who_is_suppressed_meanwhile_gets_no_mail_by_confirming_or_asking_again(desk: Desk) -> None:
    start = now()
    with time_machine.travel(start, tick=False):
        desk.send()
    link = desk.confirm_path()
    with desk.runtime.sessions.writing() as session:
        suppressions.suppress(session, ADA, reason=SuppressionReason.GONE, source="test")
    with time_machine.travel(start + timedelta(days=8), tick=False):
        assert desk.client.post(f"{link}/again").status_code == 200
    with time_machine.travel(start + timedelta(days=2), tick=False):
        assert desk.client.post(link).status_code == 200
    assert (desk.status(), desk.mails()) == (ACTIVE, [("confirmation", ADA)])
