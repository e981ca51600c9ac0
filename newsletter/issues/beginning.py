"""A new issue at the desk: from a skeleton, or from a text that is there already."""

from dataclasses import replace
from datetime import date

from sqlalchemy.orm import Session

from newsletter.core.errors import InputError
from newsletter.core.sentences import say
from newsletter.issues.digest_form import is_digest
from newsletter.issues.editing import effective_subject
from newsletter.issues.markdown_writing import write_issue
from newsletter.issues.models import Issue, Newsletter
from newsletter.issues.parsing import parse, with_plain_line_ends
from newsletter.issues.placing import taken
from newsletter.issues.revisions import Writer
from newsletter.issues.source import IssueSource, SourceForm

_SKELETON = """\
---
date: {day}
subject: "{day}: what this issue is about"
preheader: The line that mail programs show beside the subject
---
## The Big Idea
One paragraph or more, {{{{ subscriber.name | default("dear reader") }}}}.

## Deep Reads
### [Title of the first read](https://example.org/first)
Author · [Source](https://example.org/first)
What it says, in a few sentences.

> Who should read it.

## Connecting Thread
What the reads have in common.
"""


def skeleton(day: date) -> str:
    """An issue to fill in."""
    return _SKELETON.format(day=day.isoformat())


def begin(session: Session, newsletter_id: int, text: str, writer: Writer) -> Issue:
    """Store a text as a new issue; a plain digest is turned into Markdown that says the same.

    Raises:
        SourceError: the text cannot be read, names another newsletter, or its date is taken.
    """
    newsletter = session.get_one(Newsletter, newsletter_id)
    text = with_plain_line_ends(text)
    source = parse(text, "text")
    if problem := taken(session, newsletter, source):
        raise problem
    issue = Issue(
        newsletter=newsletter,
        date=source.date,
        subject=effective_subject(source, newsletter.name),
        source=as_markdown(source, newsletter.name) or text,
        saved_by=writer.user_id,
        saved_by_name=writer.name,
    )
    session.add(issue)
    session.flush()
    return issue


def as_markdown(source: IssueSource, newsletter_name: str) -> str:
    """A plain digest as Markdown; empty where the text is Markdown already."""
    if source.form is SourceForm.MARKDOWN:
        return ""
    is_default = source.title == newsletter_name
    return write_issue(replace(source, title="") if is_default else source)


def dated(text: str, day: date) -> str:
    """A pasted text; one that says no date itself becomes an issue of that day.

    Raises:
        InputError: there is no text.
    """
    text = with_plain_line_ends(text).strip("\ufeff\n")
    if not text.strip():
        raise InputError("text", say("expected the text of an issue"))
    if text.startswith("---") or is_digest(text):
        return text
    heading = "" if text.startswith("## ") else "## The Big Idea\n"
    return f"---\ndate: {day.isoformat()}\n---\n{heading}{text}\n"
