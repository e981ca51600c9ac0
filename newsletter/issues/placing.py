"""Where an issue belongs: one newsletter, one date."""

from datetime import date, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from newsletter.core.sentences import Sentence, say
from newsletter.issues.models import Issue, Newsletter
from newsletter.issues.source import IssueSource, SourceError, SourceForm


def taken(
    session: Session, newsletter: Newsletter, source: IssueSource, *, but: int | None = None
) -> SourceError | None:
    """Why this text cannot be an issue of this newsletter; None: it can.

    `but` is the issue that it is the text of. The newsletter's row is locked where a date is
    looked for, so that two do not take the same one.
    """
    if problem := of_another(newsletter, source):
        return problem
    same_day = select(Issue.id).where(
        Issue.newsletter_id == newsletter.id, Issue.date == source.date
    )
    if but is None or session.scalar(same_day) != but:
        session.get_one(Newsletter, newsletter.id, with_for_update=True)
        if session.scalar(same_day) not in (None, but):
            return _date_taken(newsletter, source)
    return None


def misplaced(issue: Issue, source: IssueSource) -> SourceError | None:
    """Why a stored text does not fit the issue it is stored as; None: it does."""
    if problem := of_another(issue.newsletter, source):
        return problem
    return _date_taken(issue.newsletter, source) if source.date != issue.date else None


def next_free_day(session: Session, newsletter_id: int, since: date) -> date:
    """The first day from `since` on without an issue."""
    days = session.scalars(
        select(Issue.date)
        .where(Issue.newsletter_id == newsletter_id, Issue.date >= since)
        .order_by(Issue.date)
    )
    day = since
    for issued in days:
        if issued > day:
            break
        day = issued + timedelta(days=1)
    return day


def of_another(newsletter: Newsletter, source: IssueSource) -> SourceError | None:
    """The text names another newsletter; in the plain digest form it names none of ours.

    That form's first line is a masthead.
    """
    named = source.newsletter if source.form is SourceForm.MARKDOWN else ""
    if named in ("", newsletter.slug):
        return None
    return _error(
        source,
        "newsletter",
        say(
            "expected %(slug)s, or no line `newsletter`; found %(named)s: "
            "an issue does not move to another newsletter",
            slug=newsletter.slug,
            named=named,
        ),
    )


def _date_taken(newsletter: Newsletter, source: IssueSource) -> SourceError:
    day = source.date.isoformat()
    problem = say("%(name)s has another issue of %(day)s already", name=newsletter.name, day=day)
    return _error(source, "date", problem)


def _error(source: IssueSource, key: str, problem: Sentence) -> SourceError:
    return SourceError(f"{source.place}:{source.lines.get(key, 1)}", problem)
