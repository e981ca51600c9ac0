"""Segments of a list: counted, sampled, saved, and what a broadcast makes of one."""

import pytest
from sqlalchemy import select

from newsletter.broadcasts import accounting, freezing
from newsletter.broadcasts.models import Broadcast, BroadcastState
from newsletter.core.db import Sessions
from newsletter.core.errors import InputError, NotFoundError, RefusedError
from newsletter.core.sections import TrackingMode
from subscribers import lists, segments, subscriptions
from subscribers.audience import count_audience
from subscribers.filters.language import parse
from subscribers.filters.tokens import SegmentError
from subscribers.models import Subscriber, SubscriberList, Subscription, SubscriptionStatus
from tests import factories, segment_people
from tests.segment_evaluator import matches

ADA, BOB, CYD = "ada@example.org", "bob@example.org", "cyd@example.org"
PRO = 'attributes.plan = "pro"'


@pytest.fixture
def readers(sessions: Sessions) -> SubscriberList:
    """Ada and Bob have the plan, Cyd none; Bob left."""
    with sessions.writing() as session:
        readers = factories.a_list(session, "Mornings", factories.stored_issue(session))
        ada, bob, _ = factories.subscribed(session, readers, [ADA, BOB, CYD])
        for subscription in (ada, bob):
            person = session.get_one(Subscriber, subscription.subscriber_id)
            person.attributes = {"plan": "pro"}
        subscriptions.end(session, bob, factories.EVIDENCE)
    return readers


def test_people_of_the_list_are_counted_by_status(
    sessions: Sessions, readers: SubscriberList
) -> None:
    with sessions.reading() as session:
        found = segments.count(session, readers, parse(PRO))
        rest = segments.count(session, readers, parse(f"not {PRO}"))
    assert found.statuses == {SubscriptionStatus.ACTIVE: 1, SubscriptionStatus.UNSUBSCRIBED: 1}
    assert (found.people, rest.people) == (2, 1)


def test_a_count_is_that_of_the_tree(sessions: Sessions) -> None:
    tree = parse('tracking = granted and name exists or attributes.tags has "vip"')
    with sessions.writing() as session:
        on, people = segment_people.insert(session, 60)
        found = segments.count(session, on, tree).people
    assert found == sum(matches(tree, person, segment_people.NOW) for person in people) > 0


def test_a_sample_shows_the_newest_first_and_no_more_than_asked_for(
    sessions: Sessions, readers: SubscriberList
) -> None:
    with sessions.reading() as session:
        everybody = segments.sample(session, readers, parse("sample(100%)"), 10)
        two = segments.sample(session, readers, parse("sample(100%)"), 2)
    assert [person.email for person, _ in everybody] == [CYD, BOB, ADA]
    assert [person.email for person, _ in two] == [CYD, BOB]


def test_a_saved_segment_is_kept_in_canonical_form_and_found_by_name_or_slug(
    sessions: Sessions, readers: SubscriberList
) -> None:
    with sessions.writing() as session:
        segments.save(session, readers, "Paying People", 'tag="vip"  AND status=active')
    with sessions.reading() as session:
        for name in ("Paying People", "paying-people"):
            found = segments.find(session, readers, name)
            assert found.text == 'attributes.tags has "vip" and status = active'
        assert [each.slug for each in segments.list_segments(session)] == ["paying-people"]


def test_a_name_is_given_once_per_list(sessions: Sessions, readers: SubscriberList) -> None:
    with sessions.writing() as session:
        segments.save(session, readers, "Pro", PRO)
        evenings = factories.a_list(session, "Evenings")
        segments.save(session, evenings, "Pro", "sample(10%)")
        with pytest.raises(RefusedError, match="'mornings' has a segment 'pro' already"):
            segments.save(session, readers, "PRO", PRO)
        with pytest.raises(RefusedError, match="different segments named 'pro'"):
            segments.read(session, [readers, evenings], "pro")


def test_a_deleted_segment_is_gone(sessions: Sessions, readers: SubscriberList) -> None:
    with sessions.writing() as session:
        segments.forget(session, segments.save(session, readers, "Pro", PRO))
        with pytest.raises(NotFoundError, match="there is no segment 'pro'; there are: none yet"):
            segments.find(session, readers, "pro")


@pytest.mark.parametrize(
    ("name", "text", "error"),
    [
        ("Pro", "plan = pro", SegmentError),
        ("Pro", 'on("nowhere")', NotFoundError),
        ("---", PRO, InputError),
        ("x" * 201, PRO, InputError),
    ],
)
def test_what_makes_no_segment_is_not_saved(
    sessions: Sessions, readers: SubscriberList, name: str, text: str, error: type[Exception]
) -> None:
    with sessions.writing() as session:
        with pytest.raises(error):
            segments.save(session, readers, name, text)
        assert segments.list_segments(session) == []


def test_a_segment_is_read_by_name_or_as_a_filter(
    sessions: Sessions, readers: SubscriberList
) -> None:
    with sessions.writing() as session:
        segments.save(session, readers, "Pro", PRO)
        assert segments.read(session, [readers], "pro") == parse(PRO)
        segments.save(session, readers, "Sample 10", PRO)
        assert segments.read(session, [readers], "sample(10%)") == parse("sample(10%)")
        with pytest.raises(NotFoundError, match="no segment 'prof'; there are: pro, sample-10"):
            segments.read(session, [readers], "prof")
        with pytest.raises(SegmentError):
            segments.read(session, [readers], "status = gone")
        with pytest.raises(NotFoundError, match="no list 'nowhere'"):
            segments.read(session, [readers], 'list = "nowhere"')


@pytest.mark.parametrize("text", ["!paying", "not paying", "-paying-people", "paying & people"])
def test_a_mistyped_filter_is_never_taken_for_a_name(
    sessions: Sessions, readers: SubscriberList, text: str
) -> None:
    with sessions.writing() as session:
        segments.save(session, readers, "Paying", PRO)
        segments.save(session, readers, "Paying People!", PRO)
        with pytest.raises((SegmentError, NotFoundError)):
            segments.read(session, [readers], text)
        for name in ("PAYING", "paying people!", "paying-people", " Paying "):
            assert segments.read(session, [readers], name) == parse(PRO)


@pytest.mark.parametrize("text", ["name exist", "status", "not name", "tag vip"])
def test_a_mistake_of_words_alone_is_shown_at_its_place(
    sessions: Sessions, readers: SubscriberList, text: str
) -> None:
    with sessions.reading() as session, pytest.raises(SegmentError, match=r"segment:1:\d: exp"):
        segments.read(session, [readers], text)


def test_a_broadcast_goes_to_those_inside_and_the_equation_says_who_was_not(
    sessions: Sessions, readers: SubscriberList
) -> None:
    with sessions.writing() as session:
        issue = factories.stored_issue(session)
        broadcast = factories.scheduled(session, issue, [readers], segment=parse(PRO))
        broadcast.state = BroadcastState.FREEZING
        inside = segments.condition(session, parse(PRO), readers.newsletter_id)
        foretold = count_audience(session, [readers.id], inside)
    assert broadcast.segment == PRO
    freezing.freeze(sessions, broadcast.id, TrackingMode.AGGREGATE)
    assert list(factories.deliveries(sessions, broadcast.id)) == [ADA]
    with sessions.reading() as session:
        accounts = accounting.account(session, broadcast.id)
    assert accounts.excluded == {"outside the segment": 1, "unsubscribed": 1} == foretold.excluded
    assert accounts.gap == 0
    assert "excluded 2 (1 outside the segment, 1 unsubscribed)" in accounts.line()


def test_a_segment_asks_about_the_subscription_that_somebody_is_mailed_by(
    sessions: Sessions, readers: SubscriberList
) -> None:
    """Ada is active on both, Cyd left the first: each is looked at by the list that mails them."""
    with sessions.writing() as session:
        issue = factories.stored_issue(session)
        evenings = factories.a_list(session, "Evenings", issue)
        factories.subscribed(session, evenings, [ADA, CYD])
        old = select(Subscription).where(Subscription.list_id == readers.id)
        for subscription in session.scalars(old):
            subscription.subscribed_at = segment_people.MOMENTS[-1]
        cyd = factories.person(session, CYD)
        mornings = subscriptions.find_subscription(session, cyd.id, readers.id)
        assert mornings
        subscriptions.end(session, mornings, factories.EVIDENCE)
        tree = parse("subscribed_at > 2020-01-01")
        broadcast = factories.scheduled(session, issue, [readers, evenings], segment=tree)
        broadcast.state = BroadcastState.FREEZING
    freezing.freeze(sessions, broadcast.id, TrackingMode.AGGREGATE)
    assert list(factories.deliveries(sessions, broadcast.id)) == [CYD]


def test_a_segment_that_names_an_unknown_list_schedules_nothing(
    sessions: Sessions, readers: SubscriberList
) -> None:
    with sessions.writing() as session:
        issue = factories.stored_issue(session)
        with pytest.raises(NotFoundError, match="no list 'nowhere'"):
            factories.scheduled(session, issue, [readers], segment=parse('on("nowhere")'))
        assert session.scalars(select(Broadcast)).all() == []


def test_without_a_segment_a_broadcast_keeps_none(
    sessions: Sessions, readers: SubscriberList
) -> None:
    with sessions.writing() as session:
        issue = factories.stored_issue(session)
        assert factories.scheduled(session, issue, [readers]).segment == ""


def test_a_segment_reaches_the_lists_of_its_own_newsletter_alone(
    sessions: Sessions, readers: SubscriberList
) -> None:
    with sessions.writing() as session:
        lists.create_list(session, "Evenings", readers.newsletter_id)
        factories.subscribed(session, factories.a_list(session, "Rivals"), [ADA])
        tree = parse('on("rivals")')
        for refused in (
            lambda: segments.count(session, readers, tree),
            lambda: segments.sample(session, readers, tree, 1),
            lambda: segments.condition(session, tree, readers.newsletter_id),
            lambda: segments.read(session, [readers], 'on("rivals")'),
            lambda: segments.save(session, readers, "Rivals", 'on("rivals")'),
        ):
            with pytest.raises(NotFoundError, match=r"there are: evenings, mornings$"):
                refused()
        saved = segments.save(session, readers, "Both", 'on("evenings")')
        with pytest.raises(NotFoundError, match="no list 'rivals'"):
            segments.change(session, saved, "Both", 'on("rivals")')
        segments.change(session, saved, "All", "sample(100%)")
        assert segments.find(session, readers, "all").text == "sample(100%)"
