"""The texts that an issue had: kept when another takes their place, and found again."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from newsletter.core.clock import now
from newsletter.core.errors import NotFoundError
from newsletter.core.numbers import MOST
from newsletter.issues.models import Issue, IssueRevision

AUTOSAVES_TOGETHER = timedelta(minutes=5)
"""So long after its first save an autosaved text may be replaced by the same person's next."""


@dataclass(frozen=True, slots=True)
class Writer:
    """Who saves: a user of the desk, or a command (no id); the name as it is now."""

    user_id: int | None
    name: str


COMMAND = Writer(None, "command")
"""Whoever imports a file."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One text that an issue has or had."""

    number: int
    who: str
    at: datetime


def replace(
    session: Session, issue: Issue, text: str, writer: Writer, *, autosave: bool = False
) -> None:
    """Another text in the issue's place; the one before is kept, unless the two belong together."""
    at = now()
    belongs = (
        issue.is_autosaved
        and issue.saved_by == writer.user_id
        and at - issue.begun_at < AUTOSAVES_TOGETHER
    )
    if not belongs:
        session.add(
            IssueRevision(
                issue_id=issue.id,
                number=issue.revision,
                source=issue.source,
                saved_by=issue.saved_by,
                saved_by_name=issue.saved_by_name,
                created_at=issue.updated_at,
            )
        )
        issue.begun_at = at
    issue.revision += 1
    issue.source = text
    issue.saved_by, issue.saved_by_name = writer.user_id, writer.name
    issue.is_autosaved = autosave
    issue.updated_at = at


def text_of(session: Session, issue_id: int, number: int) -> str:
    """The text of that revision.

    Raises:
        NotFoundError: there is none.
    """
    issue = session.get_one(Issue, issue_id)
    if number == issue.revision:
        return issue.source
    if not 0 < number <= MOST:
        raise NotFoundError("revision", number)
    found = session.scalar(
        select(IssueRevision.source).where(
            IssueRevision.issue_id == issue_id, IssueRevision.number == number
        )
    )
    if found is None:
        raise NotFoundError("revision", number)
    return found


def revisions(session: Session, issue_id: int, *, most: int = 200) -> Sequence[Kept]:
    """Every text that is kept, the current one first."""
    issue = session.get_one(Issue, issue_id)
    earlier = session.execute(
        select(IssueRevision.number, IssueRevision.saved_by_name, IssueRevision.created_at)
        .where(IssueRevision.issue_id == issue_id)
        .order_by(IssueRevision.number.desc())
        .limit(most)
    )
    current = Kept(issue.revision, issue.saved_by_name, issue.updated_at)
    return [current, *(Kept(*row) for row in earlier)]
