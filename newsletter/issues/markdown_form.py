"""An issue as Markdown with front matter.

Every `##` heading is a section. `###` headings in it are entries: `### [Title](url)` or
`### Title`. Right below the heading may stand a meta line, `Author · [Source](url)` or
`[Source](url)`: it is one only if it ends with a link and has nothing behind it, so that no summary
is taken for one. A `> ` paragraph that ends an entry says who should read it.
"""

import re
from dataclasses import dataclass

from markdown_it import MarkdownIt
from markdown_it.token import Token

from newsletter.issues.front_matter import read_front_matter
from newsletter.issues.source import Entry, IssueSource, Prose, Section, SourceError, SourceForm

_META = re.compile(r"(?:(?P<author>[^\[\]]+?) · )?\[(?P<name>[^\[\]]+)\]\((?P<url>[^\s()]+)\)")
_QUOTE_MARK = re.compile(r"^ {0,3}> ?", re.MULTILINE)
_blocks = MarkdownIt("commonmark")


@dataclass(frozen=True, slots=True)
class _Heading:
    """A heading of the top level; `start` and `end` are line indexes into the body."""

    level: int
    start: int
    end: int
    title: str
    url: str


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
        self._tokens = _blocks.parse(text)

    def sections(self) -> tuple[Section, ...]:
        headings = self._headings()
        starts = [n for n, heading in enumerate(headings) if heading.level == 2]  # noqa: PLR2004
        before = headings[0].start if headings else len(self._lines)
        stray = self._prose(0, before)
        if stray is not None:
            raise self._error(stray.line, "expected a section `## Title` before any text")
        if headings and headings[0].level != 2:  # noqa: PLR2004
            raise self._error(
                self._line(headings[0].start), "expected a section `## Title` before this heading"
            )
        if not starts:
            raise self._error(self._first_line, "expected at least one section `## Title`")
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
            title, url = _title(self._tokens[number + 1])
            heading = _Heading(int(token.tag[1]), token.map[0], token.map[1], title, url)
            if heading.level == 1:
                raise self._error(
                    self._line(heading.start), "expected `##`: the masthead is `title` above"
                )
            if not title:
                raise self._error(self._line(heading.start), "expected a title behind the `#`")
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
            entries=tuple(
                self._entry(part, stop) for part, stop in zip(parts, ends, strict=bool(parts))
            )
            if parts
            else (),
        )

    def _entry(self, heading: _Heading, end: int) -> Entry:
        start = self._next_text(heading.end, end)
        meta = _META.fullmatch(self._lines[start].strip()) if start < end else None
        if meta:
            start += 1
        audience_start = self._closing_quote(start, end)
        return Entry(
            title=heading.title,
            line=self._line(heading.start),
            url=heading.url,
            author=(meta["author"] or "").strip() if meta else "",
            source_name=meta["name"] if meta else "",
            source_url=meta["url"] if meta else "",
            summary=self._prose(start, audience_start),
            audience=self._quote(audience_start, end),
        )

    def _closing_quote(self, start: int, end: int) -> int:
        """Where the `> ` paragraph that ends the entry begins; `end` when there is none."""
        blocks = [
            token
            for token in self._tokens
            if token.level == 0 and token.map and start <= token.map[0] < end
        ]
        last = blocks[-1] if blocks else None
        if last is None or last.type != "blockquote_open" or not last.map:
            return end
        return last.map[0]

    def _quote(self, start: int, end: int) -> Prose | None:
        quoted = self._prose(start, end)
        if quoted is None:
            return None
        return Prose(_QUOTE_MARK.sub("", quoted.text).strip(), quoted.line)

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

    def _error(self, line: int, problem: str) -> SourceError:
        return SourceError(f"{self._place}:{line}", problem)


def _title(inline: Token) -> tuple[str, str]:
    """The heading's text, and its link if the whole heading is one."""
    children = inline.children or []
    text = "".join(child.content for child in children).strip()
    whole = (
        len(children) > 1
        and children[0].type == "link_open"
        and children[-1].type == "link_close"
        and sum(child.type == "link_open" for child in children) == 1
    )
    return text, str(children[0].attrGet("href") or "") if whole else ""
