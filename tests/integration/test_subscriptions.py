"""Coming and leaving: evidence for every change, and nobody who left comes back by our doing."""

from datetime import timedelta

import pytest
import time_machine
from sqlalchemy import select

from newsletter.core.clock import now
from newsletter.core.db import Sessions
from newsletter.core.errors import NotFoundError, RefusedError
from newsletter.mail.address import Address
from subscribers import by_hand, lists, sign_up, subscriptions, suppressions
from subscribers.evidence import Evidence, consent_history
from subscribers.models import (
    ConsentChange,
    Subscription,
    SubscriptionStatus,
    SuppressionReason,
    TrackingConsent,
)
from tests import factories

ACTIVE, PENDING, UNSUBSCRIBED = (
    SubscriptionStatus.ACTIVE,
    SubscriptionStatus.PENDING,
    SubscriptionStatus.UNSUBSCRIBED,
)
PAGE = Evidence("page", source="192.0.2.1 browser", wording="Confirm")


def test_the_way_of_a_reader_is_witnessed(sessions: Sessions) -> None:
    with sessions.writing() as session:
        issue = factories.stored_issue(session)
        readers = factories.a_list(session, issue=issue)
        ada = factories.person(session, "ada@example.org")
        subscription = subscriptions.request(session, ada, readers, PAGE)
        assert subscription.status is PENDING
        assert subscriptions.confirm(session, subscription, PAGE)
        assert not subscriptions.confirm(session, subscription, PAGE)
        (left,) = subscriptions.leave(session, ada.id, issue.newsletter_id, PAGE)
        assert left.unsubscribed_at is not None
        assert subscriptions.leave(session, ada.id, issue.newsletter_id, PAGE) == []
        subscriptions.undo_leave(session, ada.id, issue.newsletter_id, left.unsubscribed_at, PAGE)
        subscriptions.set_tracking_consent(session, subscription, TrackingConsent.DENIED, PAGE)
        history = consent_history(session, ada.id)
    assert [event.change for event in history] == [
        ConsentChange.REQUESTED,
        ConsentChange.CONFIRMED,
        ConsentChange.UNSUBSCRIBED,
        ConsentChange.RESUMED,
        ConsentChange.TRACKING_DENIED,
    ]
    assert {(e.method, e.source, e.wording) for e in history} == {
        ("page", "192.0.2.1 browser", "Confirm")
    }


def test_the_operators_word_brings_nobody_back(sessions: Sessions) -> None:
    with sessions.writing() as session:
        readers = factories.a_list(session)
        (subscription,) = factories.subscribed(session, readers, ["ada@example.org"])
        ada = factories.person(session, "ADA@example.org")
        subscriptions.end(session, subscription, PAGE)
        with pytest.raises(RefusedError, match="only they can come back"):
            subscriptions.subscribe(session, ada, readers, PAGE)
        assert subscriptions.request(session, ada, readers, PAGE).status is PENDING
        assert subscriptions.confirm(session, subscription, PAGE)
        assert subscription.status.value == "active"


def test_who_left_a_newsletter_is_put_on_none_of_its_lists_but_by_themselves(
    sqlite_sessions: Sessions,
) -> None:
    with sqlite_sessions.writing() as session:
        issue = factories.stored_issue(session)
        one, two, new = (factories.a_list(session, n, issue) for n in ("one", "two", "new"))
        elsewhere, alone = (
            factories.a_list(session, "elsewhere"),
            factories.a_list(session, "alone"),
        )
        for on in (one, two):
            factories.subscribed(session, on, ["ada@example.org", "bob@example.org"])
        (other,) = factories.subscribed(session, elsewhere, ["ada@example.org"])
        ada, bob = (factories.person(session, f"{name}@example.org") for name in ("ada", "bob"))
        subscriptions.leave(session, ada.id, issue.newsletter_id, PAGE)
        on_one = subscriptions.find_subscription(session, bob.id, one.id)
        assert on_one
        subscriptions.end(session, on_one, PAGE)  # one list, by the preferences
        assert subscriptions.subscribe(session, bob, new, PAGE).status is ACTIVE
        subscriptions.request(session, ada, two, Evidence("form"))  # by a stranger
        with pytest.raises(RefusedError, match="left the newsletter of 'new'; only they can"):
            subscriptions.subscribe(session, ada, new, PAGE)
        subscriptions.end(session, other, PAGE)
        assert subscriptions.subscribe(session, ada, alone, PAGE).status is ACTIVE
        back = subscriptions.request(session, ada, one, PAGE)
        subscriptions.confirm(session, back, PAGE)
        assert subscriptions.subscribe(session, ada, new, PAGE).status is ACTIVE


def test_leaving_ends_every_list_of_the_newsletter_and_undo_only_what_it_ended(
    sessions: Sessions,
) -> None:
    with sessions.writing() as session:
        issue = factories.stored_issue(session)
        one, two, three = (factories.a_list(session, n, issue) for n in ("one", "two", "three"))
        elsewhere = factories.a_list(session, "of another newsletter")
        (earlier,) = factories.subscribed(session, one, ["ada@example.org"])
        (later,) = factories.subscribed(session, two, ["ada@example.org"])
        (other,) = factories.subscribed(session, elsewhere, ["ada@example.org"])
        ada = factories.person(session, "ada@example.org")
        waiting = subscriptions.request(session, ada, three, PAGE)
        subscriptions.end(session, earlier, PAGE)
        ended = subscriptions.leave(session, ada.id, issue.newsletter_id, PAGE)
        assert {s.id for s in ended} == {later.id, waiting.id}
        assert later.unsubscribed_at
        subscriptions.undo_leave(session, ada.id, issue.newsletter_id, later.unsubscribed_at, PAGE)
        session.flush()
        by_list = {
            s.list_id: s.status
            for s in session.scalars(
                select(Subscription).where(Subscription.subscriber_id == ada.id)
            )
        }
    assert by_list == {
        one.id: UNSUBSCRIBED,
        two.id: ACTIVE,
        three.id: PENDING,
        elsewhere.id: ACTIVE,
    }
    assert other.status is ACTIVE


def test_who_leaves_again_is_brought_back_by_no_earlier_undo_and_by_none_of_their_own(
    sqlite_sessions: Sessions,
) -> None:
    one_click = Evidence("one-click")
    with time_machine.travel(now(), tick=False) as clock, sqlite_sessions.writing() as session:
        issue = factories.stored_issue(session)
        one, two = (factories.a_list(session, name, issue) for name in ("one", "two"))
        (first,) = factories.subscribed(session, one, ["ada@example.org"])
        (second,) = factories.subscribed(session, two, ["ada@example.org"])
        who = session, first.subscriber_id, issue.newsletter_id
        subscriptions.end(session, first, PAGE)
        forwarded = first.unsubscribed_at
        clock.shift(5)
        assert subscriptions.leave(*who, one_click) == [second]
        assert subscriptions.leave(*who, one_click) == [], "a button pressed twice"
        assert forwarded
        assert second.unsubscribed_at
        assert subscriptions.undo_leave(*who, forwarded, PAGE) == []
        assert subscriptions.undo_leave(*who, second.unsubscribed_at, PAGE) == [second]
        assert (first.status, second.status) == (UNSUBSCRIBED, ACTIVE)
        changes = [event.change for event in consent_history(*who[:2])]
        assert changes.count(ConsentChange.LEFT_AGAIN) == 1
        clock.shift(timedelta(days=2))
        assert subscriptions.leave(*who, one_click) == [second]
        again = [event.change for event in consent_history(*who[:2])]
        assert again == [*changes, ConsentChange.UNSUBSCRIBED]


def test_undo_makes_nobody_active_who_left_long_ago_and_was_asked_for_since(
    sessions: Sessions,
) -> None:
    with sessions.writing() as session:
        issue = factories.stored_issue(session)
        readers = factories.a_list(session, issue=issue)
        ada = factories.person(session, "ada@example.org")
        subscription = subscriptions.request(session, ada, readers, PAGE)
        subscriptions.confirm(session, subscription, PAGE)

        def leave_and_undo() -> str:
            (left,) = subscriptions.leave(session, ada.id, issue.newsletter_id, PAGE)
            assert left.unsubscribed_at
            subscriptions.undo_leave(
                session, ada.id, issue.newsletter_id, left.unsubscribed_at, PAGE
            )
            return subscription.status.value

        subscriptions.leave(session, ada.id, issue.newsletter_id, PAGE)
        subscriptions.request(session, ada, readers, Evidence("form"))
        assert leave_and_undo() == "pending"
        subscriptions.confirm(session, subscription, PAGE)
        assert leave_and_undo() == "active"


def test_an_earlier_leaving_holds_however_often_a_later_one_is_taken_back(
    sqlite_sessions: Sessions,
) -> None:
    with sqlite_sessions.writing() as session:
        issue = factories.stored_issue(session)
        one, two = (factories.a_list(session, name, issue) for name in ("one", "two"))
        (found,) = factories.subscribed(session, one, ["ada@example.org"])
        ada = found.subscriber
        who = session, ada.id, issue.newsletter_id
        subscriptions.leave(*who, PAGE)
        subscriptions.request(session, ada, one, Evidence("form"))  # by a stranger
        first_left = found.unsubscribed_at
        assert first_left
        for _ in range(2):
            by_hand.take_off(session, ada.id, one.id)
            assert by_hand.put_back(session, ada.id, one)
            subscriptions.leave(*who, PAGE)
            assert found.unsubscribed_at
            assert subscriptions.undo_leave(*who, found.unsubscribed_at, PAGE)
            subscriptions.request_again(session, ada, one, Evidence("form"))
            assert found.status is PENDING
            assert found.unsubscribed_at
            assert found.unsubscribed_at - first_left < timedelta(minutes=1)
            with pytest.raises(RefusedError, match="only they can come back"):
                subscriptions.subscribe(session, ada, two, PAGE)
        subscriptions.confirm(session, found, PAGE)
        subscriptions.end(session, found, PAGE)
        subscriptions.resume(session, found, PAGE)
        assert (found.status, found.unsubscribed_at) == (ACTIVE, None)


def test_who_was_taken_off_the_last_list_is_put_back_before_they_are_moved(
    sqlite_sessions: Sessions,
) -> None:
    with sqlite_sessions.writing() as session:
        issue = factories.stored_issue(session)
        one, two, new = (factories.a_list(session, name, issue) for name in ("one", "two", "new"))
        (asked,) = factories.subscribed(session, two, ["ada@example.org"])
        factories.subscribed(session, one, ["ada@example.org"])
        ada = asked.subscriber
        address = Address.stored(ada.email, ada.address_key)
        subscriptions.end(session, asked, PAGE)
        subscriptions.request(session, ada, two, PAGE)
        by_hand.take_off(session, ada.id, one.id)
        sign_up.give_up(session, asked)  # nobody's word
        with pytest.raises(RefusedError, match="take that back, put them on 'new', and then"):
            by_hand.may_join(session, address, new, None)
        assert by_hand.put_back(session, ada.id, one)
        by_hand.may_join(session, address, new, None)
        subscriptions.leave(session, ada.id, issue.newsletter_id, PAGE)
        with pytest.raises(RefusedError, match="left this newsletter; only they can"):
            by_hand.may_join(session, address, new, None)


def test_one_address_is_one_person_and_a_known_name_stays(sessions: Sessions) -> None:
    with sessions.writing() as session:
        ada = factories.person(session, "Ada@Example.org", "Ada")
        assert factories.person(session, "ada@example.org", "Eve").id == ada.id
        assert ada.name == "Ada"
        assert factories.person(session, "bob@example.org").name == ""
        assert factories.person(session, "bob@example.org", "Bob").name == "Bob"


def test_suppressions_are_kept_with_their_first_reason(sessions: Sessions) -> None:
    with sessions.writing() as session:
        key = "ada@example.org"
        assert suppressions.suppress(session, key, reason=SuppressionReason.GONE, source="a")
        assert not suppressions.suppress(session, key, reason=SuppressionReason.MANUAL, source="b")
        (kept,) = suppressions.each_suppression(session)
        assert (kept.reason, kept.source) == (SuppressionReason.GONE, "a")
        assert suppressions.lift(session, key)
        assert not suppressions.lift(session, key)
        assert not suppressions.is_suppressed(session, key)


def test_lists_are_found_by_name_and_sized_by_status(sessions: Sessions) -> None:
    with sessions.writing() as session:
        readers = lists.create_list(session, "Früh am Morgen")
        with pytest.raises(RefusedError, match="is there already"):
            lists.create_list(session, "fruh-am-morgen")
        assert lists.find_list(session, "Früh am Morgen").id == readers.id
        with pytest.raises(NotFoundError, match="there are: fruh-am-morgen"):
            lists.find_list(session, "late")
        factories.subscribed(session, readers, ["ada@example.org", "bob@example.org"])
        ((found, sizes),) = lists.list_sizes(session)
        assert (found.slug, sizes) == ("fruh-am-morgen", {ACTIVE: 2})
