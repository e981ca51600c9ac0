"""Saving: nobody overwrites anybody, nothing typed is lost, what was sent stays."""

from datetime import date, timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from newsletter.accounts.models import User
from newsletter.broadcasts import checking, issue_states, planning, sent_issues
from newsletter.broadcasts.issue_states import IssueState
from newsletter.broadcasts.models import BroadcastState, PauseReason
from newsletter.core.db import Sessions
from newsletter.core.errors import NotFoundError, RefusedError
from newsletter.issues import beginning, revising, revisions
from newsletter.issues.models import Issue, IssueRevision, Newsletter
from newsletter.issues.placing import next_free_day
from newsletter.issues.revising import Saved, StaleError
from newsletter.issues.revisions import COMMAND, Writer
from newsletter.issues.source import SourceError
from tests import factories
from tests.factories import DAY, MARKDOWN

OTHER = MARKDOWN.replace("First summary", "Another summary")


def user(session: Session, name: str) -> Writer:
    email = f"{name.lower()}@example.org"
    made = User(email=email, address_key=email, name=name, password_hash="")
    session.add(made)
    session.flush()
    return Writer(made.id, name)


def saved(
    session: Session, issue: Issue, text: str, writer: Writer, expected: int, **how: bool
) -> Saved:
    return revising.save(
        session,
        issue.id,
        text,
        writer=writer,
        expected=expected,
        is_sent=lambda each: sent_issues.was_sent(session, each),
        **how,
    )


def kept(session: Session, issue: Issue) -> list[str]:
    """Every text that the issue has or had, the oldest first."""
    found = revisions.revisions(session, issue.id)
    return [revisions.text_of(session, issue.id, each.number) for each in reversed(found)]


def test_two_editors_do_not_overwrite_each_other(sessions: Sessions) -> None:
    with sessions.writing() as session:
        issue = factories.stored_issue(session)
        ada, bo = user(session, "Ada"), user(session, "Bo")
    with sessions.writing() as session:
        assert saved(session, issue, OTHER, ada, 1).revision == 2
    with sessions.writing() as session, pytest.raises(StaleError) as stale:
        saved(session, issue, MARKDOWN + "Mine.\n", bo, 1)
    assert (stale.value.who, stale.value.text, stale.value.revision) == ("Ada", OTHER, 2)
    with sessions.writing() as session:
        assert saved(session, issue, MARKDOWN + "Mine.\n", bo, 2).revision == 3
    with sessions.reading() as session:
        assert kept(session, issue) == [MARKDOWN, OTHER, MARKDOWN + "Mine.\n"]
        names = [each.who for each in revisions.revisions(session, issue.id)]
    assert names == ["Bo", "Ada", "command"]


def test_the_same_text_from_an_old_page_is_no_conflict(sqlite_sessions: Sessions) -> None:
    with sqlite_sessions.writing() as session:
        issue = factories.stored_issue(session)
        ada, bo = user(session, "Ada"), user(session, "Bo")
        saved(session, issue, OTHER, ada, 1)
        again = saved(session, issue, OTHER.replace("\n", "\r\n"), bo, 1)
        assert (again.changed, again.revision) == (False, 2)


def test_autosaves_shortly_after_one_another_are_one_revision(sqlite_sessions: Sessions) -> None:
    with sqlite_sessions.writing() as session:
        issue = factories.stored_issue(session)
        ada, bo = user(session, "Ada"), user(session, "Bo")
        for number in range(3):
            saved(session, issue, f"{OTHER}{number}\n", ada, number + 1, autosave=True)
        assert kept(session, issue) == [MARKDOWN, f"{OTHER}2\n"]
        saved(session, issue, f"{OTHER}kept\n", ada, 4)
        saved(session, issue, f"{OTHER}next\n", ada, 5, autosave=True)
        saved(session, issue, f"{OTHER}of Bo\n", bo, 6, autosave=True)
        texts = [text.removeprefix(OTHER) for text in kept(session, issue)]
        assert texts[1:] == ["kept\n", "next\n", "of Bo\n"]
        issue.begun_at -= timedelta(minutes=6)
        saved(session, issue, f"{OTHER}later\n", bo, 7, autosave=True)
        assert len(kept(session, issue)) == 5


def test_an_autosaved_text_that_is_saved_by_hand_stays(sqlite_sessions: Sessions) -> None:
    with sqlite_sessions.writing() as session:
        issue = factories.stored_issue(session)
        ada = user(session, "Ada")
        saved(session, issue, OTHER, ada, 1, autosave=True)
        saved(session, issue, OTHER, ada, 2)
        saved(session, issue, MARKDOWN + "More.\n", ada, 2, autosave=True)
        assert kept(session, issue) == [MARKDOWN, OTHER, MARKDOWN + "More.\n"]


@pytest.mark.parametrize(
    ("broken", "problem"),
    [
        (MARKDOWN.replace("---\n## The", "## The"), "front matter"),
        (MARKDOWN.replace("date: 2026-06-17", "date: soon"), "a day"),
        ("", "expected"),
        (MARKDOWN.replace("field-notes", "elsewhere"), "another newsletter"),
        (MARKDOWN.replace("06-17", "06-18"), "another issue of 2026-06-18"),
    ],
)
def test_a_text_that_cannot_be_sent_is_kept_and_not_sent(
    sqlite_sessions: Sessions, broken: str, problem: str
) -> None:
    with sqlite_sessions.writing() as session:
        factories.stored_issue(session, MARKDOWN.replace("06-17", "06-18"))
        issue = factories.stored_issue(session)
        done = saved(session, issue, broken, COMMAND, 1)
        assert done.problem is not None
        assert problem in done.problem.problem
        assert (issue.source, issue.date, issue.subject) == (broken, DAY, "Measured twice")
        with pytest.raises(SourceError, match=problem):
            planning.prepare(issue, factories.settings(), today=DAY)
        looked = checking.check(broken, issue, factories.settings(), today=DAY)
        assert problem in looked.findings[0].text
        assert not looked.is_ready
        assert saved(session, issue, MARKDOWN, COMMAND, 2).problem is None


def test_another_date_moves_the_issue(sqlite_sessions: Sessions) -> None:
    with sqlite_sessions.writing() as session:
        issue = factories.stored_issue(session)
        moved = MARKDOWN.replace("06-17", "06-20").replace("Measured", "Weighed")
        saved(session, issue, moved, COMMAND, 1)
        assert (issue.date, issue.subject) == (date(2026, 6, 20), "Weighed twice")


def test_a_sent_issue_does_not_change(sqlite_sessions: Sessions) -> None:
    with sqlite_sessions.writing() as session:
        issue = factories.stored_issue(session)
        factories.scheduled(session, issue, [factories.a_list(session, issue=issue)])
        with pytest.raises(RefusedError, match="was sent"):
            saved(session, issue, OTHER, COMMAND, 1)
        assert not saved(session, issue, MARKDOWN, COMMAND, 1).changed
        assert session.scalars(select(IssueRevision)).all() == []


def test_an_earlier_text_comes_back_as_the_newest(sqlite_sessions: Sessions) -> None:
    with sqlite_sessions.writing() as session:
        issue = factories.stored_issue(session)
        saved(session, issue, OTHER, COMMAND, 1)
        revising.restore(session, issue.id, 1, writer=COMMAND, expected=2, is_sent=lambda _: False)
        assert kept(session, issue) == [MARKDOWN, OTHER, MARKDOWN]
        with pytest.raises(NotFoundError):
            revisions.text_of(session, issue.id, 17)


def test_the_text_that_an_earlier_one_replaces_is_kept_also_if_autosaved(
    sqlite_sessions: Sessions,
) -> None:
    with sqlite_sessions.writing() as session:
        issue = factories.stored_issue(session)
        ada = user(session, "Ada")
        saved(session, issue, OTHER, ada, 1, autosave=True)
        revising.restore(session, issue.id, 1, writer=ada, expected=2, is_sent=lambda _: False)
        assert kept(session, issue) == [MARKDOWN, OTHER, MARKDOWN]


def test_a_pasted_digest_begins_as_markdown(sqlite_sessions: Sessions) -> None:
    file = next((factories.EXAMPLES / "issues").glob("*.txt"))
    with sqlite_sessions.writing() as session:
        newsletter = factories.stored_issue(session).newsletter
        text = file.read_text(encoding="utf-8")
        issue = beginning.begin(session, newsletter.id, text, COMMAND)
        assert issue.source.startswith("---\ntitle: Load Bearing\ndate: 2026-06-18\n")
        assert issue.source.count("\n### ") == 10
        with pytest.raises(SourceError, match="another issue of 2026-06-18"):
            beginning.begin(session, newsletter.id, text, COMMAND)


def test_bare_text_gets_the_date_that_was_chosen(sqlite_sessions: Sessions) -> None:
    with sqlite_sessions.writing() as session:
        newsletter = factories.stored_issue(session).newsletter
        day = next_free_day(session, newsletter.id, DAY)
        assert day == date(2026, 6, 18)
        text = beginning.dated("Just a thought.\r\n", day)
        issue = beginning.begin(session, newsletter.id, text, COMMAND)
        assert issue.source == "---\ndate: 2026-06-18\n---\n## The Big Idea\nJust a thought.\n"
        assert next_free_day(session, newsletter.id, DAY) == date(2026, 6, 19)
        skeleton = beginning.skeleton(date(2026, 6, 19))
        begun = beginning.begin(session, newsletter.id, skeleton, COMMAND)
        assert checking.check(skeleton, begun, factories.settings(), today=DAY).is_ready


def test_where_issues_stand(sessions: Sessions) -> None:
    with sessions.writing() as session:
        states: dict[int, IssueState | None] = {}
        for number, (state, why, said) in enumerate(
            [
                (None, None, None),
                (BroadcastState.SCHEDULED, None, IssueState.SCHEDULED),
                (BroadcastState.SENDING, None, IssueState.SENDING),
                (BroadcastState.PAUSED, PauseReason.QUOTA, IssueState.SENDING),
                (BroadcastState.PAUSED, PauseReason.BREAKER, IssueState.NEEDS_ATTENTION),
                (BroadcastState.DONE, None, IssueState.SENT),
                (BroadcastState.CANCELLED, None, None),
            ]
        ):
            text = MARKDOWN.replace("06-17", f"06-{17 + number}")
            issue = factories.stored_issue(session, text)
            states[issue.id] = said
            if state is not None:
                to = factories.a_list(session, f"List {number}", issue)
                broadcast = factories.scheduled(session, issue, [to])
                broadcast.state, broadcast.pause_reason = state, why
        session.flush()
        newsletter = session.scalars(select(Newsletter)).one()
        found = issue_states.issues_of(session, newsletter.id)
        assert [issue.id for issue in found] == sorted(states, reverse=True)
        known = issue_states.sendings(session, states)
        assert {each: known[each].state if each in known else None for each in states} == states
        older = issue_states.issues_of(session, newsletter.id, before=date(2026, 6, 19))
        assert [issue.date.day for issue in older] == [18, 17]
