"""Approval: bound to what was frozen, by a second person, and never past an edit."""

import threading
from datetime import timedelta

import pytest
import time_machine
from sqlalchemy import select
from sqlalchemy.orm import Session

from newsletter.broadcasts import approval, control, planning, sent_issues
from newsletter.broadcasts.approval import SamePersonError
from newsletter.broadcasts.basis import ChangedError
from newsletter.broadcasts.models import Broadcast, BroadcastState
from newsletter.broadcasts.planning import Plan
from newsletter.broadcasts.sweep import sweep
from newsletter.core.clock import now
from newsletter.core.db import Sessions
from newsletter.core.errors import RefusedError
from newsletter.issues import editing
from newsletter.issues.models import Issue
from tests import factories
from tests.integration.test_sweep import wait_for_a_waiter

B = BroadcastState
ASKER, SECOND = "user 1: ada@example.org", "user 2: bob@example.org"
OTHER_TEXT = factories.MARKDOWN.replace("First summary", "Another summary")


def asked(session: Session, *, hold_minutes: int = 0, at_once: bool = True) -> Broadcast:
    """A broadcast that waits for approval."""
    issue = factories.stored_issue(session)
    issue.newsletter.wants_approval = True
    issue.newsletter.hold_minutes = hold_minutes
    readers = factories.a_list(session, issue=issue)
    factories.subscribed(session, readers, ["ada@example.org"])
    return planning.schedule(
        session,
        compiled(issue),
        [readers],
        start_at=None if at_once else now() + timedelta(hours=1),
        stale_after=timedelta(hours=24),
        asked_by=ASKER,
    )


def compiled(issue: Issue) -> Plan:
    return planning.prepare(issue, factories.settings(), today=factories.DAY)


def compiled_now(sessions: Sessions, broadcast_id: int) -> Plan:
    """As a page does it: outside of the transaction that writes."""
    with sessions.reading() as session:
        issue_id = session.get_one(Broadcast, broadcast_id).issue_id
    settings, day = factories.settings(), factories.DAY
    return planning.prepare_stored(sessions, issue_id, settings, today=day)


def approve(session: Session, broadcast_id: int, plan: Plan, *, by: str) -> Broadcast:
    """By somebody who has just looked."""
    seen = approval.asked_for(session, broadcast_id)
    return approval.approve(session, broadcast_id, plan, seen=seen, by=by)


def edit(session: Session, text: str = OTHER_TEXT) -> bool:
    stored = editing.store(
        session,
        factories.source(text),
        text,
        is_sent=lambda issue: sent_issues.was_sent(session, issue),
        settings=factories.settings(),
    )
    return stored.changed


def test_it_does_not_start_by_itself_and_a_second_person_lets_it(
    sqlite_sessions: Sessions,
) -> None:
    with sqlite_sessions.writing() as session:
        broadcast = asked(session, hold_minutes=10)
        plan, same = compiled(broadcast.issue), "user 1: ada@elsewhere.example"
        with pytest.raises(SamePersonError, match="a second person"):
            approve(session, broadcast.id, plan, by=same)
    with time_machine.travel(now() + timedelta(hours=2)):
        assert sweep(sqlite_sessions) == []
        plan = compiled_now(sqlite_sessions, broadcast.id)
        with sqlite_sessions.writing() as session:
            approved = approve(session, broadcast.id, plan, by=SECOND)
            assert approved.state is B.SCHEDULED
            assert approved.start_at - now() > timedelta(minutes=9)
            assert approved.not_after - approved.start_at == timedelta(hours=24)
            with pytest.raises(RefusedError, match="nobody has to approve"):
                approve(session, broadcast.id, plan, by=SECOND)


def test_a_time_that_has_come_meanwhile_is_now_and_one_gone_stale_is_refused(
    sqlite_sessions: Sessions,
) -> None:
    with sqlite_sessions.writing() as session:
        broadcast = asked(session, hold_minutes=10, at_once=False)
    plan, planned = compiled_now(sqlite_sessions, broadcast.id), broadcast.start_at
    with (
        time_machine.travel(planned + timedelta(hours=25)),
        sqlite_sessions.writing() as session,
        pytest.raises(RefusedError, match="gone stale"),
    ):
        approve(session, broadcast.id, plan, by=SECOND)
    with time_machine.travel(planned + timedelta(hours=2)), sqlite_sessions.writing() as session:
        approved = approve(session, broadcast.id, plan, by=SECOND)
        assert approved.start_at - planned >= timedelta(hours=2)
        assert approved.not_after - planned == timedelta(hours=24)


@pytest.mark.parametrize("what", ["text", "postal address", "sender"])
def test_whatever_is_edited_voids_what_was_asked(sqlite_sessions: Sessions, what: str) -> None:
    with sqlite_sessions.writing() as session:
        broadcast = asked(session)
    with sqlite_sessions.writing() as session:
        newsletter = session.get_one(Broadcast, broadcast.id).issue.newsletter
        if what == "text":
            assert edit(session), "an issue that waits may be edited"
        elif what == "sender":
            newsletter.sender_name = "Somebody Else"
        else:
            newsletter.postal_address = "2 Another Street"
    plan = compiled_now(sqlite_sessions, broadcast.id)
    with sqlite_sessions.writing() as session:
        with pytest.raises(ChangedError, match="ask again"):
            approve(session, broadcast.id, plan, by=SECOND)
        approval.ask_again(session, broadcast.id, plan, by=SECOND)
        approve(session, broadcast.id, plan, by=ASKER)
        assert planning.frozen_content(session, broadcast.id).email == plan.email
        with pytest.raises(RefusedError, match="was sent"):
            edit(session, factories.MARKDOWN + "\n")


def test_an_edit_that_is_taken_back_is_none(sqlite_sessions: Sessions) -> None:
    with sqlite_sessions.writing() as session:
        broadcast = asked(session)
        edit(session)
        edit(session, factories.MARKDOWN)
    plan = compiled_now(sqlite_sessions, broadcast.id)
    with sqlite_sessions.writing() as session:
        assert approve(session, broadcast.id, plan, by=SECOND).state is B.SCHEDULED


def test_what_waits_is_taken_back_as_if_it_had_not_been_asked(sqlite_sessions: Sessions) -> None:
    with sqlite_sessions.writing() as session:
        broadcast = asked(session)
        with pytest.raises(RefusedError, match="waits for approval to be sent to list"):
            factories.scheduled(session, broadcast.issue, [broadcast.lists[0].list])
        control.undo(session, broadcast.id)
        assert not sent_issues.was_sent(session, broadcast.issue)
        factories.scheduled(session, broadcast.issue, [broadcast.lists[0].list])


def test_of_an_edit_and_an_approval_at_once_one_is_refused(postgresql: Sessions) -> None:
    """Whichever comes first: what is sent is what the second person saw, or nothing."""
    with postgresql.writing() as session:
        broadcast = asked(session)
    plan = compiled_now(postgresql, broadcast.id)
    came: list[object] = []

    def second() -> None:
        try:
            with postgresql.writing() as session:
                came.append(approve(session, broadcast.id, plan, by=SECOND).state)
        except RefusedError as error:
            came.append(type(error))

    thread = threading.Thread(target=second)
    with postgresql.writing() as session:
        edit(session)
        thread.start()
        wait_for_a_waiter(postgresql)
    thread.join()
    assert came == [ChangedError]
    _put_back(postgresql)
    editor = threading.Thread(target=lambda: came.append(_edited(postgresql)))
    with postgresql.writing() as session:
        approve(session, broadcast.id, plan, by=SECOND)
        editor.start()
        wait_for_a_waiter(postgresql)
    editor.join()
    assert came[1:] == ["refused"]
    with postgresql.reading() as session:
        assert session.scalars(select(Issue.source)).one() == factories.MARKDOWN


def test_of_an_edit_and_a_send_at_once_the_older_text_is_not_sent(postgresql: Sessions) -> None:
    with postgresql.writing() as session:
        issue = factories.stored_issue(session)
        readers = factories.a_list(session, issue=issue)
        plan = compiled(issue)
    came: list[object] = []

    def send() -> None:
        try:
            with postgresql.writing() as session:
                factories.scheduled(session, issue, [readers], plan=plan)
        except RefusedError as error:
            came.append(type(error))

    thread = threading.Thread(target=send)
    with postgresql.writing() as session:
        edit(session)
        thread.start()
        wait_for_a_waiter(postgresql)
    thread.join()
    assert came == [ChangedError]


def _put_back(sessions: Sessions) -> None:
    with sessions.writing() as session:
        edit(session, factories.MARKDOWN)


def _edited(sessions: Sessions) -> str:
    try:
        with sessions.writing() as session:
            edit(session)
    except RefusedError:
        return "refused"
    return "edited"
