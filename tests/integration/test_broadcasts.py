"""From an issue and lists to a frozen audience, and what steers a broadcast afterwards."""

from datetime import timedelta

import pytest
import time_machine
from sqlalchemy import select

from newsletter.broadcasts import accounting, claims, control, freezing, planning, sent_issues
from newsletter.broadcasts.models import (
    Broadcast,
    BroadcastState,
    Delivery,
    DeliveryState,
    PauseReason,
)
from newsletter.broadcasts.planning import PreflightError
from newsletter.broadcasts.sweep import sweep
from newsletter.core.clock import now
from newsletter.core.db import Sessions
from newsletter.core.errors import RefusedError
from newsletter.core.sections import TrackingMode
from newsletter.rendering.compiled import WireForm
from subscribers import subscriptions, suppressions
from subscribers.audience import count_audience
from subscribers.models import SuppressionReason, TrackingConsent
from tests import factories

B = BroadcastState
OFF, AGGREGATE, INDIVIDUAL = TrackingMode.OFF, TrackingMode.AGGREGATE, TrackingMode.INDIVIDUAL
UNKNOWN, GRANTED, DENIED = TrackingConsent


def test_the_audience_is_unique_over_lists_and_exclusions_have_reasons(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(freezing, "CHUNK_ROWS", 3)  # several chunks even for a few people
    with sessions.writing() as session:
        issue = factories.stored_issue(session)
        one = factories.a_list(session, "one", issue)
        two = factories.a_list(session, "two", issue)
        both = [f"both{n}@example.org" for n in range(4)]
        factories.subscribed(session, one, [*both, "ada@example.org", "gone@example.org"])
        factories.subscribed(session, two, [*[a.upper() for a in both], "bob@example.org"])
        (left,) = factories.subscribed(session, two, ["left@example.org"])
        subscriptions.end(session, left, factories.EVIDENCE)
        waiting = factories.person(session, "waiting@example.org")
        subscriptions.request(session, waiting, two, factories.EVIDENCE)
        # Left one list, still on the other: mailed.
        (half,) = factories.subscribed(session, one, ["half@example.org"])
        factories.subscribed(session, two, ["half@example.org"])
        subscriptions.end(session, half, factories.EVIDENCE)
        suppressions.suppress(
            session, "gone@example.org", reason=SuppressionReason.MANUAL, source="test"
        )
        counted = count_audience(session, [one.id, two.id])
        broadcast = factories.scheduled(session, issue, [one, two])
        broadcast.state = B.FREEZING
    freezing.freeze(sessions, broadcast.id, AGGREGATE)
    with sessions.reading() as session:
        frozen = session.get_one(Broadcast, broadcast.id)
        accounts = accounting.account(session, broadcast.id)
    mailed = factories.deliveries(sessions, broadcast.id)
    others = [f"{name}@example.org" for name in ("ada", "bob", "half")]
    assert {a.lower() for a in mailed} == {*both, *others}
    assert accounts.excluded == {"unsubscribed": 1, "unconfirmed": 1, "suppressed": 1}
    assert (frozen.state, frozen.candidates, accounts.gap) == (B.SENDING, 10, 0)
    assert (counted.mailable, counted.excluded) == (7, accounts.excluded)
    assert mailed["half@example.org"].list_id == two.id
    assert mailed["both0@example.org"].list_id == one.id


def test_who_comes_after_freezing_is_not_mailed(sessions: Sessions) -> None:
    broadcast_id = factories.sending(sessions, ["ada@example.org"])
    with sessions.writing() as session:
        readers = session.get_one(Broadcast, broadcast_id).lists[0].list
        factories.subscribed(session, readers, ["late@example.org"])
    freezing.freeze(sessions, broadcast_id, AGGREGATE)
    assert set(factories.deliveries(sessions, broadcast_id)) == {"ada@example.org"}


@pytest.mark.parametrize(
    ("mode", "consent", "unknown", "form"),
    [
        (INDIVIDUAL, GRANTED, AGGREGATE, WireForm.INDIVIDUAL),
        (INDIVIDUAL, UNKNOWN, AGGREGATE, WireForm.AGGREGATE),
        (INDIVIDUAL, UNKNOWN, INDIVIDUAL, WireForm.INDIVIDUAL),
        (INDIVIDUAL, DENIED, INDIVIDUAL, WireForm.NONE),
        (AGGREGATE, GRANTED, INDIVIDUAL, WireForm.AGGREGATE),
        (AGGREGATE, UNKNOWN, INDIVIDUAL, WireForm.AGGREGATE),
        (AGGREGATE, UNKNOWN, OFF, WireForm.NONE),
        (OFF, GRANTED, INDIVIDUAL, WireForm.NONE),
    ],
)
def test_a_copy_tells_no_more_than_mode_and_consent_allow(
    mode: TrackingMode, consent: TrackingConsent, unknown: TrackingMode, form: WireForm
) -> None:
    assert freezing.wire_form(mode, consent, unknown) is form


def test_the_same_issue_to_the_same_list_is_refused_unless_forced(sessions: Sessions) -> None:
    with sessions.writing() as session:
        issue = factories.stored_issue(session)
        one, two = (factories.a_list(session, name, issue) for name in ("one", "two"))
        first = factories.scheduled(session, issue, [one])
        with pytest.raises(RefusedError, match="already sent to list 'one'"):
            factories.scheduled(session, issue, [one, two])
        factories.scheduled(session, issue, [two])
        factories.scheduled(session, issue, [one], force=True)
        control.cancel(session, first.id)


def test_a_broadcast_cancelled_before_anybody_got_it_does_not_count(sessions: Sessions) -> None:
    with sessions.writing() as session:
        issue = factories.stored_issue(session)
        one = factories.a_list(session, "one", issue)
        control.cancel(session, factories.scheduled(session, issue, [one]).id)
        assert not sent_issues.was_sent(session, issue)
        assert factories.scheduled(session, issue, [one]).state is B.SCHEDULED


def test_an_issue_with_errors_is_not_sent(sessions: Sessions) -> None:
    broken = factories.MARKDOWN.replace("subscriber.name", "subscriber.nmae")
    with (
        sessions.writing() as session,
        pytest.raises(PreflightError, match="merge-field-unknown"),
    ):
        factories.scheduled(session, factories.stored_issue(session, broken), [])


def test_a_scheduled_broadcast_starts_at_its_time(sessions: Sessions) -> None:
    start = now() + timedelta(hours=2)
    with sessions.writing() as session:
        issue = factories.stored_issue(session)
        readers = factories.a_list(session, issue=issue)
        factories.subscribed(session, readers, ["ada@example.org"])
        broadcast = factories.scheduled(session, issue, [readers], start_at=start)
    assert sweep(sessions) == []
    with time_machine.travel(start + timedelta(seconds=1)):
        assert sweep(sessions) == [broadcast.id]
        assert sweep(sessions) == [broadcast.id]


def test_a_stale_broadcast_ends_by_itself_with_its_reasons(sessions: Sessions) -> None:
    broadcast_id = factories.sending(sessions, ["ada@example.org", "bob@example.org"])
    with time_machine.travel(now() + timedelta(hours=25)):
        sweep(sessions)
        with sessions.reading() as session:
            accounts = accounting.account(session, broadcast_id)
            assert session.get_one(Broadcast, broadcast_id).state is B.DONE
    assert accounts.reasons_of(DeliveryState.SKIPPED) == {"expired": 2}
    assert accounts.gap == 0


def test_pause_resume_cancel(sessions: Sessions) -> None:
    broadcast_id = factories.sending(sessions, ["ada@example.org"])

    def state() -> BroadcastState:
        with sessions.reading() as session:
            return session.get_one(Broadcast, broadcast_id).state

    with sessions.writing() as session:
        control.pause(session, broadcast_id, PauseReason.OPERATOR)
    assert state() is B.PAUSED
    with sessions.writing() as session, pytest.raises(RefusedError, match="cannot become paused"):
        control.pause(session, broadcast_id, PauseReason.OPERATOR)
    with sessions.writing() as session:
        control.resume(session, broadcast_id)
    assert state() is B.SENDING
    with sessions.writing() as session:
        control.cancel(session, broadcast_id)
    assert state() is B.CANCELLED
    assert factories.deliveries(sessions, broadcast_id)["ada@example.org"].reason == "cancelled"
    for act in (control.resume, control.cancel, control.retry_failed):
        with sessions.writing() as session, pytest.raises(RefusedError, match="cancelled"):
            act(session, broadcast_id)


def test_a_paused_broadcast_can_be_cancelled_while_freezing(sessions: Sessions) -> None:
    with sessions.writing() as session:
        issue = factories.stored_issue(session)
        broadcast = factories.scheduled(session, issue, [factories.a_list(session, issue=issue)])
        broadcast.state = B.FREEZING
        control.pause(session, broadcast.id, PauseReason.OPERATOR)
        control.resume(session, broadcast.id)
        assert broadcast.state is B.FREEZING
        control.cancel(session, broadcast.id)
        session.refresh(broadcast)
        assert str(broadcast.state) == "cancelled"


def test_a_gap_pauses_instead_of_done(sessions: Sessions) -> None:
    broadcast_id = factories.sending(sessions, ["ada@example.org"])
    with sessions.writing() as session:
        session.get_one(Broadcast, broadcast_id).candidates = 2
        session.query(Delivery).update({"state": DeliveryState.ACCEPTED})
    with sessions.writing() as session:
        assert not accounting.finish(session, broadcast_id)
    with sessions.reading() as session:
        broadcast = session.get_one(Broadcast, broadcast_id)
    assert broadcast.state is B.PAUSED
    assert "UNACCOUNTED 1" in broadcast.pause_detail


def test_only_failed_rows_are_retried(sessions: Sessions) -> None:
    broadcast_id = factories.sending(sessions, [f"r{n}@example.org" for n in range(4)])
    ends = [DeliveryState.ACCEPTED, DeliveryState.FAILED, DeliveryState.IN_DOUBT]
    with sessions.writing() as session:
        rows = session.scalars(select(Delivery).order_by(Delivery.id)).all()
        for row, state in zip(rows, [*ends, DeliveryState.SKIPPED], strict=True):
            row.state = state
        accounting.finish(session, broadcast_id)
    with sessions.writing() as session:
        assert control.retry_failed(session, broadcast_id) == 1
    with sessions.writing() as session:
        claimed = claims.claim(session.connection(), broadcast_id, limit=10, lease_seconds=60)
    assert [row.recipient.address for row in claimed.rows] == ["r1@example.org"]


def test_the_frozen_content_stays_whatever_becomes_of_the_issue(sessions: Sessions) -> None:
    broadcast_id = factories.sending(sessions, ["ada@example.org"])
    with sessions.writing() as session:
        before = planning.frozen_content(session, broadcast_id)
        issue = session.get_one(Broadcast, broadcast_id).issue
        issue.source = issue.source.replace("First summary", "Another summary")
        issue.newsletter.name = "Renamed"
    with sessions.reading() as session:
        after = planning.frozen_content(session, broadcast_id)
    assert after == before
    assert after.email.content_hash() == before.email.content_hash()
