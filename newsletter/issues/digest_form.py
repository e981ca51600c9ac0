"""An issue in the plain digest form: as a digest is copied from a page, its characters plain text.

Engineering Reads — 2026-06-17#

The Big Idea#

One paragraph or more.

Deep Reads#

Title · Author · Source First sentence. The rest. Who should read it.

Categories: Blogs
"""

import re
from dataclasses import dataclass
from datetime import date

from newsletter.core.errors import InputError
from newsletter.core.sentences import say
from newsletter.core.slug import slugify
from newsletter.issues.source import Entry, IssueSource, Prose, Section, SourceError, SourceForm

_FIRST_LINE = re.compile(r"(?P<title>.*\S)\s+[—–-]\s+(?P<date>\d{4}-\d{2}-\d{2})\s*#?\s*")
_HEADING = re.compile(r"(?P<title>[^#]{1,100}?)\s*#")
_CATEGORIES = re.compile(r"Categories:\s*(?P<names>.*)")
_ENTRY = re.compile(
    r"(?P<title>[^·]+?) · (?:(?P<author>[^·]+?) · )?(?P<source>Source)(?: (?P<rest>.*))?"
)
_LONGEST_TITLE = 200
_SENTENCE_END = re.compile(r"(?<=[.!?…])[\"”’')\]]*\s+(?=[\"“‘'(\[]*[A-Z0-9À-ÖØ-Þ])")
_ABBREVIATION = re.compile(
    r"(?:\b(?:e\.g|i\.e|etc|vs|cf|al|approx|no|fig|mr|mrs|ms|dr|prof|st|jr|sr|inc|ltd|co)"
    r"|\b[A-Z](?:\.[A-Z])*)\.[\"”’')\]]*$",
    re.IGNORECASE,
)
_LONGEST_ABBREVIATION = 20


@dataclass(frozen=True, slots=True)
class _Paragraph:
    """Lines up to an empty one, joined by spaces; `line` counts from 1."""

    text: str
    line: int
    lines: int


def is_digest(text: str) -> bool:
    """The first line names a title and a date."""
    return _FIRST_LINE.fullmatch(text.strip().split("\n", 1)[0].strip()) is not None


def parse_digest(text: str, place: str) -> IssueSource:
    """Read the plain digest form; `text` has LF line ends.

    Raises:
        SourceError: names file and line, and what was expected.
    """
    head, *rest = _paragraphs(text)
    first = _FIRST_LINE.fullmatch(head.text)
    if first is None or head.lines > 1:
        raise SourceError(
            f"{place}:{head.line}",
            say("expected a line such as `Title — 2026-06-17`, followed by an empty line"),
        )
    if len(first["title"]) > _LONGEST_TITLE:
        raise SourceError(
            f"{place}:{head.line}", say("expected a title of %(most)s at most", most=_LONGEST_TITLE)
        )
    categories: tuple[str, ...] = ()
    if rest and (found := _CATEGORIES.fullmatch(rest[-1].text)):
        categories = tuple(n.strip() for n in found["names"].split(",") if n.strip())
        rest.pop()
    return IssueSource(
        place=place,
        form=SourceForm.DIGEST,
        date=_date(first["date"], f"{place}:{head.line}"),
        sections=_sections(rest, place),
        newsletter=_slug(first["title"], f"{place}:{head.line}"),
        title=first["title"],
        categories=categories,
        lines={"title": head.line, "date": head.line},
    )


def sentences(text: str) -> list[str]:
    """The text cut into sentences; joined by spaces they are the text again.

    Abbreviations, initials and decimals do not end a sentence.
    """
    found, start = [], 0
    for end in _SENTENCE_END.finditer(text):
        tail = text[max(start, end.end() - _LONGEST_ABBREVIATION) : end.end()].rstrip()
        if not _ABBREVIATION.search(tail):
            found.append(text[start : end.end()].strip())
            start = end.end()
    return [*found, text[start:].strip()] if text[start:].strip() else found


def _paragraphs(text: str) -> list[_Paragraph]:
    found: list[_Paragraph] = []
    lines: list[str] = []
    for number, line in enumerate([*text.split("\n"), ""], 1):
        if line.strip():
            lines.append(" ".join(line.split()))
        elif lines:
            found.append(_Paragraph(" ".join(lines), number - len(lines), len(lines)))
            lines = []
    return found


def _sections(paragraphs: list[_Paragraph], place: str) -> tuple[Section, ...]:
    grouped: list[tuple[_Paragraph, str, list[_Paragraph]]] = []
    for paragraph in paragraphs:
        heading = _HEADING.fullmatch(paragraph.text) if paragraph.lines == 1 else None
        if heading:
            grouped.append((paragraph, heading["title"], []))
        elif grouped:
            grouped[-1][2].append(paragraph)
        else:
            raise SourceError(
                f"{place}:{paragraph.line}", say("expected a heading such as `The Big Idea#`")
            )
    if not grouped:
        raise SourceError(
            f"{place}:1", say("expected at least one heading such as `The Big Idea#`")
        )
    return tuple(_section(head, title, body, place) for head, title, body in grouped)


def _section(head: _Paragraph, title: str, body: list[_Paragraph], place: str) -> Section:
    matched = [(paragraph, _ENTRY.fullmatch(paragraph.text)) for paragraph in body]
    if not any(found for _, found in matched):
        return Section(title, head.line, body=_prose(body))
    entries = []
    for paragraph, found in matched:
        if found is None:
            raise SourceError(
                f"{place}:{paragraph.line}",
                say("expected an entry like the others: `Title · Author · Source Summary`"),
            )
        entries.append(_entry(paragraph, found))
    return Section(title, head.line, entries=tuple(entries))


def _entry(paragraph: _Paragraph, found: re.Match[str]) -> Entry:
    """First sentence, middle, last sentence; a single sentence is the summary."""
    cut = sentences(found["rest"] or "")
    lead = cut[0] if len(cut) > 1 else ""
    middle = " ".join(cut[1:-1] if len(cut) > 1 else cut)
    return Entry(
        title=found["title"].strip(),
        line=paragraph.line,
        author=(found["author"] or "").strip(),
        source_name=found["source"],
        lead=lead,
        summary=_plain(middle, paragraph.line),
        audience=_plain(cut[-1], paragraph.line) if len(cut) > 1 else None,
    )


def _prose(body: list[_Paragraph]) -> Prose | None:
    return _plain("\n\n".join(p.text for p in body), body[0].line) if body else None


def _plain(text: str, line: int) -> Prose | None:
    return Prose(text, line, markdown=False) if text else None


def _slug(title: str, place: str) -> str:
    try:
        return slugify(title)
    except InputError as error:
        raise SourceError(
            place, say("%(problem)s; the Markdown form can name one", problem=error.problem)
        ) from None


def _date(text: str, place: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise SourceError(
            place, say("expected a day such as 2026-06-17, found %(text)s", text=text)
        ) from None
