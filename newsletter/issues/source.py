"""An issue as its text says it: values only, no database, no files."""

from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

from newsletter.core.errors import InputError


class SourceError(InputError):
    """The issue's text cannot be read: names the file and line, and what was expected."""


class SourceForm(StrEnum):
    """How an issue is written."""

    MARKDOWN = "markdown"
    DIGEST = "digest"


@dataclass(frozen=True, slots=True)
class Prose:
    """A run of text.

    Attributes:
        text: Markdown, or plain paragraphs separated by blank lines in the digest form.
        line: where it begins in the source, from 1.
        markdown: False in the plain digest form, whose characters mean only themselves.
    """

    text: str
    line: int
    markdown: bool = True


@dataclass(frozen=True, slots=True)
class Entry:
    """One linked item of a section.

    Attributes:
        url: where the title leads; empty when the source has none.
        source_name, source_url: the `[Source](url)` of the meta line; either may be empty.
        lead: the first sentence of the summary, set apart only in the plain digest form.
        summary: the rest (in Markdown: all of it but the audience).
        audience: who should read it: the last sentence of the plain digest form, or a `> `
            paragraph that ends a Markdown entry; None when there is neither.
    """

    title: str
    line: int
    url: str = ""
    author: str = ""
    source_name: str = ""
    source_url: str = ""
    lead: str = ""
    summary: Prose | None = None
    audience: Prose | None = None


@dataclass(frozen=True, slots=True)
class Section:
    """A named part of an issue: a list of entries, or prose.

    A section of entries may open with prose (`body`) before its first entry.
    """

    title: str
    line: int
    body: Prose | None = None
    entries: tuple[Entry, ...] = ()


@dataclass(frozen=True, slots=True)
class IssueSource:
    """One issue, parsed.

    Attributes:
        place: the name of the file it came from, for findings and errors.
        newsletter: the newsletter's slug; empty means the only one there is.
        title: the masthead; empty means the newsletter's name.
        subject: as written; empty means title and date.
        lines: line numbers of front-matter keys, for findings (`subject` -> 6).
    """

    place: str
    form: SourceForm
    date: date
    sections: tuple[Section, ...]
    newsletter: str = ""
    title: str = ""
    lang: str = "en"
    subject: str = ""
    preheader: str = ""
    categories: tuple[str, ...] = ()
    lines: dict[str, int] = field(default_factory=dict)
