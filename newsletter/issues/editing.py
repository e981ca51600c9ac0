"""Issues in the database: store a text, keep the texts it had, find an issue again."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

from sqlalchemy import select
from sqlalchemy.orm import Session

from newsletter.core.config import Settings
from newsletter.core.errors import NotFoundError, RefusedError
from newsletter.core.sentences import say
from newsletter.issues.models import Issue, Newsletter
from newsletter.issues.newsletters import add_newsletter, begun_by, only_newsletter
from newsletter.issues.revisions import COMMAND, replace
from newsletter.issues.source import IssueSource

_ID = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class Stored:
    """What storing a text did."""

    issue: Issue
    created: bool
    changed: bool
    newsletter_created: bool


def store(
    session: Session,
    source: IssueSource,
    text: str,
    *,
    is_sent: Callable[[Issue], bool],
    settings: Settings,
) -> Stored:
    """Store an issue, unique by newsletter and date; another text of the same date is a revision.

    `is_sent` says whether somebody has the issue already; a newsletter that this makes starts with
    the defaults of `settings`.

    Raises:
        RefusedError: the issue was sent and its text would change.
    """
    newsletter, newsletter_created = _newsletter_of(session, source, settings)
    issue = session.scalar(
        select(Issue)
        .where(Issue.newsletter_id == newsletter.id, Issue.date == source.date)
        .with_for_update()
    )
    if issue is None:
        issue = _begin(session, source, text, newsletter)
        return Stored(issue, created=True, changed=True, newsletter_created=newsletter_created)
    changed = issue.source != text
    if changed:
        if is_sent(issue):
            raise RefusedError(
                say(
                    "issue %(date)s was sent: its text does not change any more",
                    date=issue.date.isoformat(),
                )
            )
        _revise(session, issue, text, source)
    return Stored(issue, created=False, changed=changed, newsletter_created=newsletter_created)


def effective_subject(source: IssueSource, newsletter_name: str) -> str:
    """The subject as written, else title and date."""
    return source.subject or f"{source.title or newsletter_name} — {source.date.isoformat()}"


def find_issue(session: Session, text: str) -> Issue:
    """An issue by id, by date, or as `newsletter/date`.

    Raises:
        NotFoundError: there is none, or several newsletters have one of that date.
    """
    slug, _, rest = text.rpartition("/")
    query = select(Issue).join(Newsletter)
    if slug:
        query = query.where(Newsletter.slug == slug)
    day = _day(rest)
    if day is None and not _ID.fullmatch(rest):
        raise NotFoundError("issue", text, say("name a file, a date such as 2026-06-17, or an id"))
    query = query.where(Issue.date == day if day else Issue.id == int(rest))
    found = session.scalars(query.order_by(Newsletter.slug)).all()
    if not found:
        raise NotFoundError("issue", text, say("`newsletter issues list` shows them"))
    if len(found) > 1:
        names = " or ".join(f"{issue.newsletter.slug}/{rest}" for issue in found)
        raise NotFoundError("single issue", text, say("write %(names)s", names=names))
    return found[0]


def list_issues(session: Session) -> list[Issue]:
    """All issues, the newest first."""
    return list(session.scalars(select(Issue).order_by(Issue.date.desc(), Issue.id.desc())))


def _newsletter_of(
    session: Session, source: IssueSource, settings: Settings
) -> tuple[Newsletter, bool]:
    """The newsletter the text names, else the only one; made when it is the first of its name."""
    if not source.newsletter:
        only = only_newsletter(session)
        if only is not None:
            return only, False
    begun = begun_by(source, settings)
    found = session.scalar(select(Newsletter).where(Newsletter.slug == begun.slug))
    return (found, False) if found else (add_newsletter(session, begun), True)


def _begin(session: Session, source: IssueSource, text: str, newsletter: Newsletter) -> Issue:
    issue = Issue(
        newsletter=newsletter,
        date=source.date,
        subject=effective_subject(source, newsletter.name),
        source=text,
        source_name=source.place,
        saved_by_name=COMMAND.name,
    )
    session.add(issue)
    session.flush()
    return issue


def _revise(session: Session, issue: Issue, text: str, source: IssueSource) -> None:
    replace(session, issue, text, COMMAND)
    issue.subject = effective_subject(source, issue.newsletter.name)
    issue.source_name = source.place
    session.flush()


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
