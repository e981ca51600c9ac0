"""Pauses: who or what stopped a broadcast, and the one kind that ends by itself."""

from collections import Counter
from datetime import timedelta

import pytest
import time_machine

from newsletter.broadcasts import control, plain_groups
from newsletter.broadcasts.models import Broadcast, BroadcastState, DeliveryState, PauseReason
from newsletter.broadcasts.sweep import sweep
from newsletter.core.clock import now
from newsletter.core.db import Sessions
from newsletter.core.errors import RefusedError
from newsletter.core.tokens import TokenKeys
from newsletter.mail.replies import parse_reply
from newsletter.sending.feed import prepared_mail
from newsletter.sending.memory import MemoryTransport
from newsletter.sending.refusals import REFUSALS_TO_PAUSE
from tests import factories
from tests.odd_relays import refusing

B, P = BroadcastState, PauseReason
ADA, BOB = "ada@example.org", "bob@example.org"
USED_UP = parse_reply(454, "Throttling failure: Daily message quota exceeded")


def kept(sessions: Sessions, broadcast_id: int) -> Broadcast:
    with sessions.reading() as session:
        return session.get_one(Broadcast, broadcast_id)


def halt(sessions: Sessions, broadcast_id: int, reason: PauseReason) -> bool:
    with sessions.writing() as session:
        return control.halt(session, broadcast_id, reason, "what was seen")


@pytest.mark.parametrize("reason", PauseReason)
def test_a_pause_says_by_whom_and_why(sessions: Sessions, reason: PauseReason) -> None:
    broadcast_id = factories.sending(sessions, [ADA])
    assert halt(sessions, broadcast_id, reason)
    assert not halt(sessions, broadcast_id, reason), "of two workers one pauses"
    broadcast = kept(sessions, broadcast_id)
    assert broadcast.state is B.PAUSED
    assert broadcast.why_paused == f"{reason}: what was seen"
    assert (broadcast.resume_at is not None) == (reason is P.QUOTA)


def test_only_a_quotas_pause_ends_by_itself(sessions: Sessions) -> None:
    broadcasts = {
        reason: factories.sending(
            sessions, [ADA], factories.MARKDOWN.replace("field-notes", f"notes-{reason}"), reason
        )
        for reason in PauseReason
    }
    for reason, broadcast_id in broadcasts.items():
        halt(sessions, broadcast_id, reason)
    assert sweep(sessions) == []
    with time_machine.travel(now() + control.QUOTA_PAUSE + timedelta(seconds=1)):
        assert sweep(sessions) == [broadcasts[P.QUOTA]]
    resumed = kept(sessions, broadcasts[P.QUOTA])
    assert (resumed.state, resumed.why_paused, resumed.resume_at) == (B.SENDING, "", None)
    assert kept(sessions, broadcasts[P.HEALTH]).state is B.PAUSED


def test_an_operator_takes_over_a_pause_that_would_end_by_itself(sessions: Sessions) -> None:
    broadcast_id = factories.sending(sessions, [ADA])
    halt(sessions, broadcast_id, P.QUOTA)
    with sessions.writing() as session:
        control.pause(session, broadcast_id, P.OPERATOR)
    with time_machine.travel(now() + control.QUOTA_PAUSE + timedelta(seconds=1)):
        assert sweep(sessions) == []
    assert kept(sessions, broadcast_id).why_paused == "operator"
    with sessions.writing() as session, pytest.raises(RefusedError, match="cannot become paused"):
        control.pause(session, broadcast_id, P.OPERATOR)


def test_a_cancelled_broadcast_is_not_paused_any_more(sessions: Sessions) -> None:
    broadcast_id = factories.sending(sessions, [ADA])
    halt(sessions, broadcast_id, P.QUOTA)
    with sessions.writing() as session:
        control.cancel(session, broadcast_id)
    assert kept(sessions, broadcast_id).why_paused == ""
    with time_machine.travel(now() + control.QUOTA_PAUSE + timedelta(seconds=1)):
        assert sweep(sessions) == []
    assert kept(sessions, broadcast_id).state is B.CANCELLED


def test_a_quota_used_up_stops_the_broadcast_until_the_window_reopens(
    sessions: Sessions, keys: TokenKeys
) -> None:
    prepared_mail.cache_clear()
    runtime = factories.runtime(sessions, keys)
    broadcast_id = factories.sending(sessions, [ADA, BOB])
    relay = factories.memory(ada=[USED_UP])
    assert not factories.deliver(runtime, relay, broadcast_id)
    assert "Daily message quota exceeded" in kept(sessions, broadcast_id).why_paused
    row = factories.deliveries(sessions, broadcast_id)[ADA]
    assert (row.state, row.attempt, row.reason) == (DeliveryState.PENDING, 0, "quota")
    with time_machine.travel(now() + 2 * control.QUOTA_PAUSE, tick=True):
        assert sweep(sessions) == [broadcast_id]
        factories.deliver(runtime, relay, broadcast_id)
    assert sorted(to for to, _ in relay.accepted) == [ADA, BOB]
    assert kept(sessions, broadcast_id).state is B.DONE


def test_after_a_quota_an_editors_resume_holds_for_those_who_were_refused_too(
    sessions: Sessions, keys: TokenKeys
) -> None:
    """The broadcast waits for the window; a row that did as well would come an hour late."""
    prepared_mail.cache_clear()
    runtime = factories.runtime(sessions, keys)
    broadcast_id = factories.sending(sessions, [ADA, BOB])
    relay = factories.memory(ada=[USED_UP])
    factories.deliver(runtime, relay, broadcast_id)
    with time_machine.travel(now() + timedelta(minutes=1), tick=True):
        with sessions.writing() as session:
            control.resume(session, broadcast_id)
        factories.deliver(runtime, relay, broadcast_id)
    assert sorted(to for to, _ in relay.accepted) == [ADA, BOB]


def test_a_mail_that_everybody_refuses_stops_before_the_whole_list_has_refused(
    sessions: Sessions, keys: TokenKeys
) -> None:
    prepared_mail.cache_clear()
    people = [f"reader{number}@example.org" for number in range(100)]
    broadcast_id = factories.sending(sessions, people)
    relay = refusing(parse_reply(554, "5.7.1 Spam message rejected"), *people)
    runtime = factories.runtime(sessions, keys)
    assert not factories.deliver(runtime, relay, broadcast_id, connections=4)
    broadcast = kept(sessions, broadcast_id)
    assert (broadcast.state, broadcast.pause_reason) == (B.PAUSED, P.HEALTH)
    assert "20 of the last 20 recipients refused the mail: 554" in broadcast.pause_detail
    states = Counter(row.state for row in factories.deliveries(sessions, broadcast_id).values())
    assert states.keys() == {DeliveryState.FAILED, DeliveryState.PENDING}
    assert REFUSALS_TO_PAUSE <= states[DeliveryState.FAILED] <= REFUSALS_TO_PAUSE + 4
    assert relay.accepted == []


def test_a_few_refusals_among_many_stop_nothing(sessions: Sessions, keys: TokenKeys) -> None:
    prepared_mail.cache_clear()
    people = [f"reader{number}@example.org" for number in range(100)]
    broadcast_id = factories.sending(sessions, people)
    relay = refusing(parse_reply(554, "5.7.1 Spam message rejected"), *people[::6])
    runtime = factories.runtime(sessions, keys)
    factories.deliver(runtime, relay, broadcast_id, connections=4)
    assert kept(sessions, broadcast_id).state is B.DONE
    assert len(relay.accepted) == 100 - len(people[::6])


def test_a_quota_used_up_till_the_end_leaves_nothing_open(sessions: Sessions) -> None:
    broadcast_id = factories.sending(sessions, [ADA])
    halt(sessions, broadcast_id, P.QUOTA)
    with time_machine.travel(now() + timedelta(hours=25)):
        sweep(sessions)
    assert kept(sessions, broadcast_id).state is B.DONE
    assert factories.deliveries(sessions, broadcast_id)[ADA].reason == "expired"


def test_a_defect_that_comes_again_and_again_stops_the_broadcast(
    sessions: Sessions, keys: TokenKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not in circles, with a connection a moment and nothing to see."""

    def broken(*_: object, **__: object) -> set[int]:
        raise ValueError("a statement that the database refuses")

    prepared_mail.cache_clear()
    monkeypatch.setattr(plain_groups, "write", broken)
    broadcast_id = factories.sending(sessions, [f"reader{n}@example.org" for n in range(20)])
    relay = MemoryTransport()
    factories.deliver(factories.runtime(sessions, keys), relay, broadcast_id)
    paused = kept(sessions, broadcast_id)
    assert (paused.state, paused.pause_reason) == (B.PAUSED, P.HEALTH)
    assert "a defect of the sender" in paused.pause_detail
    assert "ValueError" in paused.pause_detail
    states = {row.state for row in factories.deliveries(sessions, broadcast_id).values()}
    assert relay.accepted == []
    assert states <= {DeliveryState.PENDING, DeliveryState.CLAIMED}, "with its lease it is free"
