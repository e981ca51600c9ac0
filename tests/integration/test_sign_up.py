"""Signing up by the page: what a visitor types, and what the owner of the address gets."""

from datetime import timedelta

import pytest
import time_machine
from sqlalchemy import func, select

from newsletter.core.clock import now
from newsletter.core.db import Sessions
from newsletter.core.sections import SenderSettings
from newsletter.core.tokens import TokenKeys
from subscribers import subscriptions, suppressions
from subscribers.lists import create_list
from subscribers.models import (
    Subscriber,
    SubscriberList,
    Subscription,
    SuppressionReason,
)
from tests import factories
from tests.sign_up import (
    ACTIVE,
    ADA,
    COMPANY,
    NAME,
    PENDING,
    UNSUBSCRIBED,
    Desk,
    open_desk,
    path_of,
    value_of,
)


def test_sign_up_confirm_welcome(desk: Desk) -> None:
    answer = desk.send()
    assert answer.status_code == 200
    assert "look into your mailbox" in answer.text
    assert (desk.status(), desk.mails()) == (PENDING, [("confirmation", ADA)])
    path = desk.confirm_path()
    assert "Confirm my subscription" in desk.page(path)
    assert desk.client.head(path).status_code == 200
    assert desk.status() is PENDING, "GET and HEAD only show"
    confirmed = desk.client.post(path)
    assert "You are subscribed" in confirmed.text
    assert desk.client.post(path).status_code == 200, "pressed twice"
    assert (desk.status(), desk.mails()) == (ACTIVE, [("confirmation", ADA), ("welcome", ADA)])


def test_every_change_has_its_evidence(desk: Desk) -> None:
    desk.change(wording="I want mail, often.")
    desk.headers["User-Agent"] = "Mozilla/5.0 Firefox/140.0"
    assert "I want mail, often." in desk.page()
    desk.send()
    desk.client.post(desk.confirm_path(), headers=desk.headers)
    asked, confirmed = desk.evidence()
    assert (asked.change, asked.method, asked.form) == ("requested", "form", "mornings: page")
    assert asked.source == "http://127.0.0.1:8000/s/mornings"
    assert asked.wording == "I want mail, often."
    assert {(e.ip, e.user_agent) for e in (asked, confirmed)} == {
        ("192.0.2.7", "Mozilla/5.0 Firefox/140.0")
    }
    assert (confirmed.change, confirmed.method) == ("confirmed", "confirmation")
    assert confirmed.wording == "Please confirm that you want to get Mornings by e-mail."
    assert confirmed.form == "mornings: confirmation"
    assert confirmed.source == "http://127.0.0.1:8000/confirm", "and not the key behind it"


def test_the_usual_wording_names_newsletter_and_list(desk: Desk) -> None:
    sentence = (
        "I want to get Field Notes (Mornings) by e-mail. I can leave with one click at any time."
    )
    assert sentence in desk.page()
    desk.send()
    (asked,) = desk.evidence()
    assert asked.wording == sentence


def test_nothing_the_visitor_typed_is_in_the_mail(desk: Desk) -> None:
    desk.change(fields=[NAME, COMPANY])
    typed = {"field_name": "Buy pills", "field_company": "https://evil.example"}
    assert desk.send(**typed).status_code == 200
    mail = desk.letter()
    for part in mail.walk():
        if not part.is_multipart():
            assert "pills" not in part.get_content()
            assert "evil" not in part.get_content()
    assert "evil" not in " ".join(str(value) for value in mail.values())


def test_a_stranger_changes_nothing_of_a_known_person(desk: Desk) -> None:
    with desk.runtime.sessions.writing() as session:
        readers = session.get_one(SubscriberList, desk.list_id)
        factories.subscribed(session, readers, [ADA])
        factories.person(session, ADA).attributes = {"company": "Engines"}
    desk.change(fields=[COMPANY])
    desk.send(field_company="Somebody else's")
    assert (desk.status(), desk.person().attributes) == (ACTIVE, {"company": "Engines"})
    assert desk.mails() == [("known", ADA)]
    assert "already" in desk.letter()["Subject"]


def test_one_letter_a_day_and_three_in_all_over_all_lists(desk: Desk) -> None:
    with desk.runtime.sessions.writing() as session:
        other = factories.a_list(session, "Evenings")
        other.newsletter_id = desk.newsletter_id
    start = now()
    for day, expected in ((0, 1), (0, 1), (0.9, 1), (1.1, 2), (2.2, 3), (3.3, 3), (400, 3)):
        with time_machine.travel(start + timedelta(days=day), tick=False):
            assert desk.send().status_code == 200
            desk.post({"email": ADA}, "/s/evenings/embed")
        assert len(desk.mails()) == expected, day


def test_tags_and_dots_make_no_other_mailbox_of_it(desk: Desk) -> None:
    spelt = ["ada@gmail.com", "a.d.a@gmail.com", "ada@googlemail.com"]
    spelt += [f"ada+{number}@gmail.com" for number in range(5)]
    start = now()
    for day, expected in ((0, 5), (0.9, 5), (1.1, 10), (1.2, 10)):
        with time_machine.travel(start + timedelta(days=day), tick=False):
            for address in spelt:
                desk.post({"email": address}, "/s/mornings/embed")
        assert len(desk.mails()) == expected, day
    desk.post({"email": "a.da@example.org"}, "/s/mornings/embed")
    assert desk.mails()[-1] == ("confirmation", "a.da@example.org")


def test_confirming_ends_the_count(desk: Desk) -> None:
    start = now()
    for day in range(3):
        with time_machine.travel(start + timedelta(days=1.1 * day), tick=False):
            desk.send()
    with time_machine.travel(start + timedelta(days=3), tick=False):
        desk.client.post(desk.confirm_path())
    with time_machine.travel(start + timedelta(days=5), tick=False):
        desk.send()
    assert [kind for kind, _ in desk.mails()] == [*["confirmation"] * 3, "welcome", "known"]


def test_who_was_told_that_they_are_on_the_list_can_leave_and_come_back(desk: Desk) -> None:
    with desk.runtime.sessions.writing() as session:
        readers = session.get_one(SubscriberList, desk.list_id)
        (ada,) = factories.subscribed(session, readers, [ADA])
    start = now()
    for day in range(4):
        with time_machine.travel(start + timedelta(days=1.1 * day), tick=False):
            desk.send()
    assert [kind for kind, _ in desk.mails()] == ["known"] * 3
    with time_machine.travel(start + timedelta(days=4), tick=False):
        with desk.runtime.sessions.writing() as session:
            subscriptions.leave(session, ada.subscriber_id, desk.newsletter_id, factories.EVIDENCE)
        desk.send()
        assert desk.mails()[-1] == ("confirmation", ADA)
        desk.client.post(desk.confirm_path())
    assert desk.status() is ACTIVE


@pytest.mark.parametrize("standing", ["new", "pending", "active", "left", "suppressed", "domain"])
def test_every_address_gets_the_same_answer(desk: Desk, standing: str) -> None:
    plain = desk.send("new@example.net")
    _stand(desk, standing)
    answer = desk.send()
    assert (answer.status_code, answer.text) == (plain.status_code, plain.text)
    program = desk.json({"email": "bob@example.net"})
    known = desk.json({"email": ADA})
    assert (known.status_code, known.json()) == (program.status_code, program.json())
    assert dict(known.headers) == dict(program.headers)


def _stand(desk: Desk, standing: str) -> None:
    with desk.runtime.sessions.writing() as session:
        readers = session.get_one(SubscriberList, desk.list_id)
        keys = {"suppressed": ADA, "domain": suppressions.domain_suppression("example.org")}
        if standing in keys:
            reason = SuppressionReason.MANUAL
            suppressions.suppress(session, keys[standing], reason=reason, source="test")
        elif standing == "pending":
            subscriptions.request(
                session, factories.person(session, ADA), readers, factories.EVIDENCE
            )
        elif standing != "new":
            (subscription,) = factories.subscribed(session, readers, [ADA])
            if standing == "left":
                subscriptions.end(session, subscription, factories.EVIDENCE)


@pytest.mark.parametrize("key", [ADA, "@example.org"])
@pytest.mark.parametrize("here", [True, False])
def test_a_suppressed_address_gets_no_mail_and_is_not_even_kept(
    desk: Desk, key: str, here: bool
) -> None:
    with desk.runtime.sessions.writing() as session:
        suppressions.suppress(
            session,
            key,
            reason=SuppressionReason.COMPLAINT,
            source="test",
            list_id=desk.list_id if here else 0,
        )
    assert desk.send().status_code == 200
    assert desk.mails() == []
    with desk.runtime.sessions.reading() as session:
        assert session.scalar(select(func.count(Subscriber.id))) == 0


def test_single_opt_in_is_at_once_for_the_new_and_never_for_who_left(desk: Desk) -> None:
    desk.change(confirms=False, fields=[NAME])
    answer = desk.send(field_name="Ada")
    assert "You are on the list" in answer.text
    assert (desk.status(), desk.mails(), desk.person().name) == (ACTIVE, [("welcome", ADA)], "Ada")
    (joined,) = desk.evidence()
    assert (joined.change, joined.method, joined.form) == ("subscribed", "form", "mornings: page")
    left = desk.client.post(path_of("u", desk.letter()))
    assert left.status_code == 200
    assert desk.status() is UNSUBSCRIBED
    again = desk.send()
    assert again.text == answer.text
    assert (desk.status(), desk.mails()[-1]) == (PENDING, ("confirmation", ADA))
    with desk.runtime.sessions.writing() as session:
        create_list(session, "Evenings", desk.newsletter_id).confirms = False
    other = [
        desk.client.post("/s/evenings", json={"email": email}) for email in (ADA, "eve@example.org")
    ]
    assert (other[0].status_code, other[0].json()) == (other[1].status_code, other[1].json())
    with desk.runtime.sessions.reading() as session:
        found = select(Subscription.status).join(SubscriberList)
        evenings = found.where(SubscriberList.slug == "evenings").order_by(Subscription.id)
        assert session.scalars(evenings).all() == [PENDING, ACTIVE]


def test_who_left_is_back_only_by_confirming(desk: Desk) -> None:
    _stand(desk, "left")
    desk.send()
    assert desk.status() is PENDING
    desk.client.post(desk.confirm_path())
    assert desk.status() is ACTIVE


def test_private_lists_and_lists_without_a_newsletter_have_no_form(desk: Desk) -> None:
    with desk.runtime.sessions.writing() as session:
        factories.a_list(session, "Orphans")
    desk.change(is_public=False)
    for path in ("/s/mornings", "/s/orphans", "/s/none", "/s/%00"):
        assert desk.client.get(path).status_code == 404
        assert desk.post({"email": ADA}, f"{path}/embed").status_code == 404
        answer = desk.client.post(path, json={"email": ADA})
        assert (answer.status_code, answer.json()["status"]) == (404, "not found")
    assert desk.mails() == []


@pytest.mark.parametrize(
    "email", ["", "ada", "ada@", "a b@example.org", "ada@example.org\r\nBcc: x@y.org", "\0@e.org"]
)
def test_what_is_no_address_is_said_beside_the_field(desk: Desk, email: str) -> None:
    desk.change(fields=[COMPANY])
    answer = desk.send(email, field_company="Engines")
    assert answer.status_code == 422
    assert '<a href="#email">Please type your address' in answer.text
    assert 'aria-describedby="email-error"' in answer.text
    assert value_of("field_company", answer.text) == "Engines", "nothing typed is lost"
    missing = desk.send(ADA)
    assert missing.status_code == 422
    assert '<a href="#field_company">Please fill in “Company”.</a>' in missing.text
    assert value_of("email", missing.text) == ADA
    assert desk.mails() == []


def test_what_is_typed_is_shown_again_as_text_alone(desk: Desk) -> None:
    desk.change(fields=[COMPANY])
    hostile = """'"></p><script>alert(1)</script>"""
    answer = desk.send(hostile, field_company=hostile)
    assert answer.status_code == 422
    assert "<script" not in answer.text
    assert value_of("email", answer.text) == value_of("field_company", answer.text) == hostile


def test_two_sign_ups_leave_one_person_and_one_mail(desk: Desk) -> None:
    for spelling in (ADA, "ADA@Example.org", " ada@example.org "):
        assert desk.send(spelling).status_code == 200
    assert len(desk.mails()) == 1
    with desk.runtime.sessions.reading() as session:
        assert session.scalar(select(func.count(Subscriber.id))) == 1
    assert len(desk.evidence()) == 1


def test_without_a_sender_the_form_says_that_it_cannot(sessions: Sessions, keys: TokenKeys) -> None:
    with open_desk(sessions, keys, sender=SenderSettings()) as desk:
        answer = desk.send()
        assert answer.status_code == 503
        assert "cannot answer right now" in answer.text
        with sessions.reading() as session:
            assert session.scalar(select(func.count(Subscriber.id))) == 0, "nothing half-done"
