"""An issue as Markdown with front matter.

Every `##` heading is a section. `###` headings in it are entries: `### [Title](url)` or
`### Title`. Right below the heading may stand a meta line, `Author · [Source](url)` or
`[Source](url)`: the link ends it, and nothing but `Author · ` stands before the link, so that no
summary is taken for one. `Author · Source`, the very word, is one too: it has no link yet, as in
the plain digest form. A `> ` paragraph that ends an entry says who should read it.
"""

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markdown_it.token import Token

from newsletter.core.sentences import Sentence, say
from newsletter.issues.commonmark import CommonMark
from newsletter.issues.front_matter import read_front_matter
from newsletter.issues.source import Entry, IssueSource, Prose, Section, SourceError, SourceForm

_DOT = " · "
_UNLINKED = " · Source"
_QUOTE_MARK = re.compile(r"^ {0,3}> ?", re.MULTILINE)
_SECTION, _ENTRY = 2, 3
_markdown = CommonMark()


@dataclass(frozen=True, slots=True)
class _Heading:
    """A heading of the top level; `start` and `end` are line indexes into the body."""

    level: int
    start: int
    end: int
    title: str
    url: str


@dataclass(frozen=True, slots=True)
class _Meta:
    """The line below an entry's heading."""

    author: str
    source_name: str
    source_url: str


def parse_markdown(text: str, place: str) -> IssueSource:
    """Read the Markdown form; `text` has LF line ends.

    Raises:
        SourceError: names file and line, and what was expected.
    """
    front = read_front_matter(text, place)
    body = _Body("\n".join(text.split("\n")[front.body_line - 1 :]), front.body_line, place)
    return IssueSource(
        place=place,
        form=SourceForm.MARKDOWN,
        date=front.date,
        sections=body.sections(),
        newsletter=front.texts.get("newsletter", ""),
        title=front.texts.get("title", ""),
        lang=front.texts.get("lang", "en"),
        subject=front.texts.get("subject", ""),
        preheader=front.texts.get("preheader", ""),
        categories=front.categories,
        lines=front.lines,
    )


class _Body:
    """The text behind the front matter, cut at its headings."""

    def __init__(self, text: str, first_line: int, place: str) -> None:
        self._lines = text.split("\n")
        self._first_line = first_line
        self._place = place
        definitions: dict[str, Any] = {}
        self._tokens = _markdown.parse(text, definitions)
        self._refuse(definitions)
        self._blocks = [
            (token.map[0], token.type) for token in self._tokens if token.level == 0 and token.map
        ]

    def sections(self) -> tuple[Section, ...]:
        headings = self._headings()
        starts = [n for n, heading in enumerate(headings) if heading.level == _SECTION]
        before = headings[0].start if headings else len(self._lines)
        stray = self._prose(0, before)
        if stray is not None:
            raise self._error(stray.line, say("expected a section `## Title` before any text"))
        if headings and headings[0].level != _SECTION:
            raise self._error(
                self._line(headings[0].start),
                say("expected a section `## Title` before this heading"),
            )
        if not starts:
            raise self._error(self._first_line, say("expected at least one section `## Title`"))
        ends = [*starts[1:], len(headings)]
        return tuple(
            self._section(headings[start:end], self._end_of(headings, end))
            for start, end in zip(starts, ends, strict=True)
        )

    def _headings(self) -> list[_Heading]:
        found = []
        for number, token in enumerate(self._tokens):
            if token.type != "heading_open" or token.level or token.tag not in ("h1", "h2", "h3"):
                continue
            assert token.map
            children = self._tokens[number + 1].children or []
            start, end = token.map
            title, url = _text(children), _url_of_whole(children)
            heading = _Heading(int(token.tag[1]), start, end, title, url)
            problem = _problem(token, heading, children)
            if problem:
                raise self._error(self._line(heading.start), problem)
            found.append(heading)
        return found

    def _section(self, headings: list[_Heading], end: int) -> Section:
        head, *parts = headings
        first = parts[0].start if parts else end
        ends = [part.start for part in parts[1:]] + [end]
        return Section(
            title=head.title,
            line=self._line(head.start),
            body=self._prose(head.end, first),
            entries=tuple(self._entry(part, end) for part, end in zip(parts, ends, strict=False)),
        )

    def _entry(self, heading: _Heading, end: int) -> Entry:
        start = self._next_text(heading.end, end)
        meta = _meta(self._lines[start]) if start < end else None
        if meta:
            start += 1
        audience_start = self._closing_quote(start, end)
        return Entry(
            title=heading.title,
            line=self._line(heading.start),
            url=heading.url,
            author=meta.author if meta else "",
            source_name=meta.source_name if meta else "",
            source_url=meta.source_url if meta else "",
            summary=self._prose(start, audience_start),
            audience=self._quote(audience_start, end),
        )

    def _closing_quote(self, start: int, end: int) -> int:
        """Where the `> ` paragraph that ends the entry begins; `end` when there is none."""
        number = bisect_left(self._blocks, (end, "")) - 1
        line, kind = self._blocks[number]
        return line if kind == "blockquote_open" and line >= start else end

    def _quote(self, start: int, end: int) -> Prose | None:
        quoted = self._prose(start, end)
        if quoted is None:
            return None
        text = _QUOTE_MARK.sub("", quoted.text).strip()
        return Prose(text, quoted.line) if text else None

    def _prose(self, start: int, end: int) -> Prose | None:
        """The text of these lines without the empty ones around it; None when there is none."""
        start = self._next_text(start, end)
        text = "\n".join(self._lines[start:end]).rstrip()
        return Prose(text, self._line(start)) if text else None

    def _next_text(self, start: int, end: int) -> int:
        return next((n for n in range(start, end) if self._lines[n].strip()), end)

    def _end_of(self, headings: list[_Heading], number: int) -> int:
        return headings[number].start if number < len(headings) else len(self._lines)

    def _line(self, index: int) -> int:
        return self._first_line + index

    def _refuse(self, definitions: dict[str, Any]) -> None:
        """Each text is rendered by itself, where a definition elsewhere would be lost."""
        for label, definition in definitions.get("references", {}).items():
            raise self._error(
                self._line(definition["map"][0]),
                say(
                    "expected links in place, `[text](url)`, found a definition `[%(label)s]:`",
                    label=label.lower(),
                ),
            )

    def _error(self, line: int, problem: Sentence) -> SourceError:
        return SourceError(f"{self._place}:{line}", problem)


def _problem(token: Token, heading: _Heading, children: Sequence[Token]) -> Sentence | None:
    """What is wrong with a heading, if anything is."""
    if token.markup in ("-", "="):
        return say(
            "expected an empty line above `%(line)s`: text there becomes a heading",
            line=token.markup * 3,
        )
    if heading.level not in (_SECTION, _ENTRY):
        return say("expected `##`: the masthead is `title` above")
    if not heading.title:
        return say("expected a title behind the `#`")
    has_link = any(child.type == "link_open" for child in children)
    if has_link and (heading.level == _SECTION or not heading.url):
        return say("expected no link, or in an entry `### [Title](url)` around the whole title")
    return None


def _meta(line: str) -> _Meta | None:
    """The line as `Author · [Source](url)`, `[Source](url)` or `Author · Source`; else None."""
    children = _markdown.parseInline(line.strip())[0].children or []
    if line.strip().endswith(_UNLINKED) and all(child.type == "text" for child in children):
        return _Meta(_text(children).removesuffix(_UNLINKED).strip(), "Source", "")
    author = ""
    if children and children[0].type == "text" and children[0].content.endswith(_DOT):
        author = children.pop(0).content.removesuffix(_DOT).strip()
    url = _url_of_whole(children)
    return _Meta(author, _text(children), url) if url else None


def _text(children: Sequence[Token]) -> str:
    return "".join(child.content for child in children).strip()


def _url_of_whole(children: Sequence[Token]) -> str:
    """Where the one link leads that is all there is; empty when there is anything else."""
    opens = [number for number, child in enumerate(children) if child.type == "link_open"]
    if opens != [0] or children[-1].type != "link_close":
        return ""
    return str(children[0].attrGet("href") or "")
