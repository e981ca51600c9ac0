"""What becomes of the people in a file: consent, evidence, whoever left stays away."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from newsletter.core.clock import now
from newsletter.core.db import Sessions
from subscribers import by_hand, engagement, sign_up, subscriptions
from subscribers.audience import count_audience
from subscribers.engagement import Note
from subscribers.evidence import Evidence, consent_history
from subscribers.imports import importing, intake
from subscribers.imports.fates import Fate
from subscribers.imports.importing import CHUNK_ROWS
from subscribers.lists import find_list
from subscribers.models import (
    ConsentChange,
    ConsentEvent,
    Engagement,
    Subscriber,
    SubscriberList,
    Subscription,
    SubscriptionStatus,
    Suppression,
    SuppressionReason,
    TrackingConsent,
)
from subscribers.suppressions import suppress
from tests import factories
from tests.imports import Desk

ONE_CLICK = Evidence("one-click")
UNSUBSCRIBED = SubscriptionStatus.UNSUBSCRIBED


@pytest.fixture
def desk(sessions: Sessions, tmp_path: Path) -> Desk:
    return Desk(sessions, tmp_path)


def test_the_shipped_example_imports_and_is_as_described(desk: Desk) -> None:
    text = (factories.EXAMPLES / "subscribers.csv").read_bytes()
    report = desk.run(text)
    standing = desk.standing()
    assert report.counts == {Fate.ADDED: len(standing)}
    assert len(standing) >= 12
    assert {consent for _, consent in standing.values()} == {"granted", "denied", "unknown"}
    assert all(key.endswith("@example.org") for key in standing)


def test_every_column_is_kept_with_its_evidence(desk: Desk) -> None:
    desk.run(
        "email,name,locale,time_zone,attributes,status,tracking_consent,subscribed_at,evidence\n"
        'Ada@Example.org,Ada,de,Europe/Berlin,"{""plan"": ""pro""}",active,granted,'
        "2025-01-02T03:04:05+00:00,Signed up at the fair\n"
    )
    with desk.sessions.reading() as session:
        person = session.scalars(select(Subscriber)).one()
        subscription = session.scalars(select(Subscription)).one()
        event, tracking = session.scalars(select(ConsentEvent).order_by(ConsentEvent.id)).all()
    assert (person.email, person.name, person.locale) == ("Ada@example.org", "Ada", "de")
    assert (person.time_zone, person.attributes) == ("Europe/Berlin", {"plan": "pro"})
    assert subscription.subscribed_at.isoformat() == "2025-01-02T03:04:05+00:00"
    assert subscription.tracking_consent is TrackingConsent.GRANTED
    assert (event.method, event.source) == ("import", "people.csv:2")
    assert event.wording == tracking.wording == "Signed up at the fair"
    assert tracking.change is ConsentChange.TRACKING_GRANTED


def test_a_file_of_whose_rows_some_are_pending_says_so(desk: Desk) -> None:
    report = desk.run("email,status\nada@example.org,pending\nbob@example.org,active\n")
    assert report.line() == "2 rows: 2 added (1 active, 1 pending)."


def test_a_suppression_ends_the_subscription_and_stays_with_its_source(desk: Desk) -> None:
    desk.run("email\nada@example.org\n")
    text = "email,suppressed\nada@example.org,complaint\nnew@example.org,gone\n"
    assert desk.run(text).counts == {Fate.SUPPRESSED: 2}
    assert desk.run(text).counts == {Fate.PRESENT: 2}
    with desk.sessions.reading() as session:
        kept = session.scalars(select(Suppression).order_by(Suppression.id)).first()
        new = select(ConsentEvent.change).join(
            Subscriber, Subscriber.id == ConsentEvent.subscriber_id
        )
        said = session.scalars(new.where(Subscriber.email == "new@example.org")).all()
    assert kept
    assert (kept.key, kept.reason) == ("ada@example.org", SuppressionReason.COMPLAINT)
    assert kept.source == "import people.csv:2"
    assert {status for status, _ in desk.standing().values()} == {"unsubscribed"}
    assert said == [ConsentChange.UNSUBSCRIBED], "nobody states that they agreed"


def test_other_columns_become_attributes_and_what_attributes_say_counts(desk: Desk) -> None:
    desk.run(
        "email,First Name,last-name,Favourite colour,plan,attributes,tags,,error\n"
        'ada@example.org,Ada,Reader,green,free,"{""plan"": ""pro""}","a, b,a",x,was bad\n'
    )
    with desk.sessions.reading() as session:
        person = session.scalars(select(Subscriber)).one()
    assert person.name == "Ada Reader"
    assert person.attributes == {"favourite_colour": "green", "plan": "pro", "tags": ["a", "b"]}


def test_somebody_who_left_there_has_left_here_without_a_status(desk: Desk) -> None:
    desk.run("email,unsubscribed_at\nada@example.org,2025-01-02\nbob@example.org,\n")
    assert {key: status for key, (status, _) in desk.standing().items()} == {
        "ada@example.org": "unsubscribed",
        "bob@example.org": "active",
    }


def test_who_left_or_is_suppressed_is_never_revived(desk: Desk) -> None:
    desk.run("email\nada@example.org\nbob@example.org\n")
    with desk.sessions.writing() as session:
        ada = factories.person(session, "ada@example.org")
        subscription = subscriptions.find_subscription(session, ada.id, desk.list_id)
        assert subscription
        subscriptions.end(session, subscription, factories.EVIDENCE)
        for key in ("bob@example.org", "new@example.org"):
            suppress(session, key, reason=SuppressionReason.COMPLAINT, source="test")
    again = "ADA@example.org,active\nbob@example.org,active\nnew@example.org,\n"
    report = desk.run(f"email,status\n{again}")
    assert report.counts == {
        Fate.KEPT_UNSUBSCRIBED: 1,
        Fate.PRESENT: 1,
        Fate.KEPT_SUPPRESSED: 1,
    }
    assert desk.standing()["ada@example.org"][0] == "unsubscribed"
    with desk.sessions.reading() as session:
        counted = count_audience(session, [desk.list_id])
    assert (counted.mailable, counted.excluded) == (0, {"unsubscribed": 1, "suppressed": 2})


@pytest.mark.parametrize("rows_at_once", [1, CHUNK_ROWS])
def test_who_left_a_newsletter_is_put_on_none_of_its_other_lists(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, rows_at_once: int
) -> None:
    monkeypatch.setattr(importing, "CHUNK_ROWS", rows_at_once)
    with desk.sessions.writing() as session:
        issue = factories.stored_issue(session)
        one, two, _ = (factories.a_list(session, name, issue) for name in ("one", "two", "new"))
        factories.a_list(session, "alone")
        for name in ("ada", "dee"):
            (left,) = factories.subscribed(session, one, [f"{name}@example.org"])
            subscriptions.leave(session, left.subscriber_id, issue.newsletter_id, ONE_CLICK)
        subscriptions.request(session, factories.person(session, "dee@example.org"), one, ONE_CLICK)
        (left,) = factories.subscribed(session, one, ["bob@example.org"])
        factories.subscribed(session, two, ["bob@example.org"])
        subscriptions.end(session, left, ONE_CLICK)
    rows = (
        *("ada new active", "bob new active", "dee new pending", "ada alone active"),
        *("cyd one unsubscribed", "cyd two active", "eve two active", "eve one unsubscribed"),
        *("ada two unsubscribed", "fay new active", "fay two active"),
    )
    text = "".join(
        "{}@example.org,{},{}\n".format(*row.split()) for row in ("email list status", *rows)
    ).replace("email@example.org", "email")
    counts = {Fate.ADDED: 9, Fate.KEPT_UNSUBSCRIBED: 2}
    for rehearse, company in ((True, False), (True, True), (False, False)):
        how = {"rehearse": rehearse, "in_company": company, "list_named": _list_named}
        assert desk.run(text, "people.csv", **how).counts == counts, how
    again = {Fate.PRESENT: 9, Fate.KEPT_UNSUBSCRIBED: 2}
    assert desk.run(text, list_named=_list_named).counts == again
    with desk.sessions.reading() as session:
        counted = count_audience(session, [one.id, two.id])
        stood = session.execute(
            select(Subscriber.email, SubscriberList.slug, Subscription.status)
            .join(Subscription.subscriber)
            .join(Subscription.list)
        )
        standing = {f"{email.partition('@')[0]} {slug} {status}" for email, slug, status in stood}
    refused = {"ada new active", "cyd two active"}
    before = {"ada one unsubscribed", "dee one pending", "bob one unsubscribed", "bob two active"}
    assert standing == (set(rows) - refused) | before
    assert counted.mailable == 3, "bob, eve and fay"


def _list_named(session: Session, name: str) -> int:
    return find_list(session, name).id


def test_what_was_ended_here_and_left_by_the_file_is_not_put_back(desk: Desk) -> None:
    desk.run("email\nada@example.org\nbob@example.org\n")
    with desk.sessions.writing() as session:
        on = session.get_one(SubscriberList, desk.list_id)
        people = [factories.person(session, f"{name}@example.org") for name in ("ada", "bob")]
        for person in people:
            assert by_hand.take_off(session, person.id, on.id)
        left_at = subscriptions.find_subscription(session, people[1].id, on.id)
        assert left_at
        assert left_at.unsubscribed_at
        known = f"bob@example.org,unsubscribed,{left_at.unsubscribed_at.isoformat()}\n"
    text = f"email,status,unsubscribed_at\nada@example.org,unsubscribed,\n{known}"
    for _ in range(2):
        assert desk.run(text).counts == {Fate.PRESENT: 2}
    with desk.sessions.writing() as session:
        on = session.get_one(SubscriberList, desk.list_id)
        assert [by_hand.put_back(session, person.id, on) for person in people] == [False, True]
        said = [event.change for event in consent_history(session, people[0].id)]
    assert said[-2:] == [ConsentChange.UNSUBSCRIBED, ConsentChange.LEFT_AGAIN]


def test_who_leaves_or_is_given_up_while_their_row_is_on_its_way_stops_no_import(
    sqlite_sessions: Sessions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On PostgreSQL others commit between two statements of ours; here they act in between."""
    desk = Desk(sqlite_sessions, tmp_path)
    desk.run("email,status\nada@example.org,active\nbob@example.org,pending\n")
    seen = intake._Part._stand

    def meanwhile(part: intake._Part, people: Collection[int]) -> dict[Any, Any]:
        found = seen(part, people)
        session = part._session
        for address, act in (("ada@example.org", leave), ("bob@example.org", sign_up.give_up)):
            person = factories.person(session, address)
            standing = subscriptions.find_subscription(session, person.id, desk.list_id)
            if standing and standing.status is not UNSUBSCRIBED:
                act(session, standing)
        return found

    def leave(session: Session, standing: Subscription) -> None:
        subscriptions.end(session, standing, ONE_CLICK)

    monkeypatch.setattr(intake._Part, "_stand", meanwhile)
    left = "email,status\nada@example.org,unsubscribed\nbob@example.org,unsubscribed\n"
    assert desk.run(left).counts == {Fate.PRESENT: 1, Fate.ADDED: 1}
    assert {status for status, _ in desk.standing().values()} == {"unsubscribed"}


def test_a_file_may_take_away_but_not_give_back(desk: Desk) -> None:
    desk.run("email,tracking_consent\nada@example.org,granted\nbob@example.org,denied\n")
    report = desk.run(
        "email,status,tracking_consent\nada@example.org,unsubscribed,denied\n"
        "bob@example.org,active,granted\n"
    )
    assert report.counts == {Fate.ENDED: 1, Fate.PRESENT: 1}
    assert desk.standing() == {
        "ada@example.org": ("unsubscribed", "denied"),
        "bob@example.org": ("active", "denied"),
    }


@pytest.mark.parametrize("apart", [0, CHUNK_ROWS + 5])
@pytest.mark.parametrize("rehearse", [True, False])
def test_a_later_row_about_the_same_address_counts_the_same_near_and_far(
    desk: Desk, apart: int, rehearse: bool
) -> None:
    between = "".join(f"r{n}@example.org,active,\n" for n in range(apart))
    report = desk.run(
        "email,status,tracking_consent\nada@example.org,active,granted\nbob@example.org,,\n"
        "cyd@example.org,unsubscribed,\n"
        f"{between}ADA@example.org,unsubscribed,denied\nbob@example.org,,\n"
        "cyd@example.org,active,\nada@example.org,active,granted\n",
        rehearse=rehearse,
    )
    assert report.counts == {
        Fate.ADDED: 3 + apart,
        Fate.ENDED: 1,
        Fate.PRESENT: 1,
        Fate.KEPT_UNSUBSCRIBED: 2,
    }
    standing = desk.standing()
    if rehearse:
        assert standing == {}
        return
    assert standing["ada@example.org"] == ("unsubscribed", "denied")
    assert standing["bob@example.org"] == ("active", "unknown")
    assert standing["cyd@example.org"] == ("unsubscribed", "unknown")


def test_unconfirmed_people_still_have_to_confirm(desk: Desk) -> None:
    desk.run(
        "email,status\nada@example.org,active\nbob@example.org,unsubscribed\n", unconfirmed=True
    )
    assert desk.standing() == {
        "ada@example.org": ("pending", "unknown"),
        "bob@example.org": ("unsubscribed", "unknown"),
    }


def test_who_had_left_before_they_asked_has_left_still_when_nobody_confirms(
    sqlite_sessions: Sessions, tmp_path: Path
) -> None:
    desk = Desk(sqlite_sessions, tmp_path)
    desk.run("email,status,unsubscribed_at\nada@example.org,pending,2025-01-02\n")
    with desk.sessions.writing() as session:
        found = session.scalars(select(Subscription)).one()
        left_at = found.unsubscribed_at
        subscriptions.end(session, found, ONE_CLICK)
        subscriptions.resume(session, found, ONE_CLICK)
        assert found.unsubscribed_at == left_at
        assert not sign_up.give_up(session, found)
    assert desk.standing()["ada@example.org"][0] == "unsubscribed"


def test_who_still_has_to_confirm_has_not_agreed_to_be_tracked(desk: Desk) -> None:
    desk.run(
        "email,status,tracking_consent\nada@example.org,active,granted\n"
        "bob@example.org,active,denied\ncyd@example.org,pending,granted\n",
        unconfirmed=True,
    )
    assert desk.standing() == {
        "ada@example.org": ("pending", "unknown"),
        "bob@example.org": ("pending", "denied"),
        "cyd@example.org": ("pending", "unknown"),
    }


def test_evidence_says_no_more_than_the_file_does(desk: Desk) -> None:
    desk.run(
        "email,status,opt_in_at,tracking_consent\nada@example.org,active,,granted\n"
        "bob@example.org,unsubscribed,2025-01-02,\ncyd@example.org,pending,,denied\n"
    )
    desk.run("email,status\nada@example.org,unsubscribed\n")
    with desk.sessions.reading() as session:
        said = session.execute(
            select(Subscriber.address_key, ConsentEvent.change, ConsentEvent.wording)
            .join(Subscriber, Subscriber.id == ConsentEvent.subscriber_id)
            .order_by(ConsentEvent.id)
        ).all()
    left = "The file says that they left."
    assert [(key[:3], str(change), wording) for key, change, wording in said] == [
        ("ada", "subscribed", "The operator states that these people agreed to be mailed."),
        ("ada", "tracking_granted", "The file says that they agreed to be measured."),
        ("bob", "subscribed", left),
        ("bob", "unsubscribed", left),
        ("cyd", "requested", "The file says that they asked and have not confirmed."),
        ("cyd", "tracking_denied", "The file says that they refused to be measured."),
        ("ada", "unsubscribed", left),
    ]


def test_from_where_somebody_agreed_is_kept_without_its_time(desk: Desk) -> None:
    desk.run(
        "email,status,opt_in_ip,confirm_ip\nada@example.org,active,192.0.2.1,192.0.2.2\n"
        "bob@example.org,unsubscribed,192.0.2.3,\ncyd@example.org,pending,192.0.2.4,192.0.2.5\n"
    )
    with desk.sessions.reading() as session:
        events = session.scalars(select(ConsentEvent).order_by(ConsentEvent.id)).all()
    assert [(str(event.change), event.ip) for event in events] == [
        ("requested", "192.0.2.1"),
        ("confirmed", "192.0.2.2"),
        ("subscribed", "192.0.2.3"),
        ("unsubscribed", ""),
        ("requested", "192.0.2.4"),
    ]


def test_who_refuses_tracking_on_another_list_is_not_known_by_it_any_more(desk: Desk) -> None:
    with desk.sessions.writing() as session:
        first = factories.a_list(session, "First", factories.stored_issue(session))
        readers = session.get_one(SubscriberList, desk.list_id)
        readers.newsletter_id = first.newsletter_id
        assert first.newsletter_id
        for address in ("ada@example.org", "bob@example.org"):
            (one,) = factories.subscribed(session, first, [address], TrackingConsent.GRANTED)
            note = Note(first.newsletter_id, one.subscriber_id, opened_at=now())
            engagement.noted(session, [note])
    desk.run("email,tracking_consent\nada@example.org,denied\nbob@example.org,granted\n")
    with desk.sessions.reading() as session:
        known = session.scalars(
            select(Subscriber.address_key).join(
                Engagement, Engagement.subscriber_id == Subscriber.id
            )
        ).all()
    assert known == ["bob@example.org"]
