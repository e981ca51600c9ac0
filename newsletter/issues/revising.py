"""Save an issue's text so that nobody overwrites anybody.

Whatever is saved is kept, also a text that cannot be read yet: `planning.prepare` reads it anew
before anything is sent. Date and subject of the issue are those of the last text that could.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from newsletter.core.errors import InputError, RefusedError
from newsletter.core.sentences import Count, say
from newsletter.issues.editing import effective_subject
from newsletter.issues.models import Issue
from newsletter.issues.parsing import MAX_BYTES, parse, with_plain_line_ends
from newsletter.issues.placing import misplaced, taken
from newsletter.issues.revisions import Writer, replace, text_of
from newsletter.issues.source import IssueSource, SourceError


class StaleError(RefusedError):
    """Somebody else saved meanwhile; nothing was overwritten.

    Attributes:
        text: what stands there now, saved by `who` (`user_id`) at `at` as `revision`.
    """

    def __init__(self, issue: Issue) -> None:
        self.user_id = issue.saved_by
        self.who = issue.saved_by_name
        self.at = issue.updated_at
        self.text = issue.source
        self.revision = issue.revision
        who = self.who or say("somebody")
        super().__init__(say("%(who)s changed the issue meanwhile: nothing was saved", who=who))


@dataclass(frozen=True, slots=True)
class Saved:
    """What saving did.

    Attributes:
        revision: the number that the next save has to name.
        problem: why the text, though kept, cannot be sent; None: it can be read.
    """

    revision: int
    at: datetime
    changed: bool
    problem: SourceError | None = None


def save(  # noqa: PLR0913 - named one by one
    session: Session,
    issue_id: int,
    text: str,
    *,
    writer: Writer,
    expected: int,
    is_sent: Callable[[Issue], bool],
    autosave: bool = False,
    beside: bool = False,
) -> Saved:
    """Keep a text as the issue's next revision, if `expected` is still the last one.

    The issue's row is locked: a save and a send do not cross, nor do two saves. An autosave takes
    the place of the one before it, where both are the same person's within some minutes; a text
    that was written `beside` the one before never does.

    Raises:
        StaleError: somebody else saved meanwhile; carries their text.
        RefusedError: the issue was sent, or is about to be.
        InputError: the text is too long.
    """
    issue = session.get_one(Issue, issue_id, with_for_update=True)
    text = with_plain_line_ends(text)
    if len(text.encode(errors="replace")) > MAX_BYTES:
        raise InputError(
            "text", say("expected at most %(most)s bytes of text", most=Count(MAX_BYTES))
        )
    if issue.source == text:
        issue.is_autosaved = issue.is_autosaved and autosave
        return Saved(issue.revision, issue.updated_at, changed=False, problem=_problem(issue))
    _check(issue, expected, is_sent)
    problem = _place(session, issue, text)
    issue.is_autosaved = issue.is_autosaved and not beside
    replace(session, issue, text, writer, autosave=autosave)
    issue.source_name = ""
    session.flush()
    return Saved(issue.revision, issue.updated_at, changed=True, problem=problem)


def restore(
    session: Session,
    issue_id: int,
    number: int,
    *,
    writer: Writer,
    expected: int,
    is_sent: Callable[[Issue], bool],
) -> Saved:
    """An earlier text as the newest revision; what stands there now is kept like any other.

    Raises:
        NotFoundError: there is no such revision. Else as `save`.
    """
    text = text_of(session, issue_id, number)
    return save(
        session, issue_id, text, writer=writer, expected=expected, is_sent=is_sent, beside=True
    )


def read(issue: Issue) -> IssueSource:
    """What the issue's text says.

    Raises:
        SourceError: it cannot be read, or says another newsletter or date than the issue has.
    """
    source = parse(issue.source, issue.source_name or f"issue {issue.id}")
    if problem := misplaced(issue, source):
        raise problem
    return source


def _check(issue: Issue, expected: int, is_sent: Callable[[Issue], bool]) -> None:
    if is_sent(issue):
        raise RefusedError(
            say(
                "issue %(date)s was sent: its text does not change any more",
                date=issue.date.isoformat(),
            )
        )
    if issue.revision != expected:
        raise StaleError(issue)


def _problem(issue: Issue) -> SourceError | None:
    try:
        read(issue)
    except SourceError as error:
        return error
    return None


def _place(session: Session, issue: Issue, text: str) -> SourceError | None:
    """Date and subject as the text says, if it can be read; else what is wrong with it."""
    try:
        source = parse(text, f"issue {issue.id}")
        if problem := taken(session, issue.newsletter, source, but=issue.id):
            return problem
    except SourceError as error:
        return error
    issue.date = source.date
    issue.subject = effective_subject(source, issue.newsletter.name)
    return None
