"""An issue as Markdown: what `markdown_form` reads. Pure.

A plain digest becomes Markdown that says the same, so that an editor can go on with links and
emphasis: every character that Markdown would take for its own is escaped.
"""

import re
from collections.abc import Iterator

import yaml

from newsletter.issues.source import Entry, IssueSource, Prose, Section

_FIELD = re.compile(r"(\{\{[^{}\n]*\}\})")
"""Stays as it is: merge fields are found before Markdown is."""

_SPECIAL = re.compile(r"[\\`*_\[\]<>&~|!]")
_AT_LINE_START = re.compile(r"^(\s*)([#+=-]|\d{1,9}(?=[.)]))", re.MULTILINE)
_LONGEST_LINE = 10_000


def write_issue(source: IssueSource) -> str:
    """The whole issue; the newsletter is not named: it is the one whose issue this becomes."""
    parts = [front_matter(source), *(_section(section) for section in source.sections)]
    return "\n".join(parts).rstrip("\n") + "\n"


def front_matter(source: IssueSource) -> str:
    """The lines up to the second `---`, with the keys that the issue has."""
    values = {
        "title": source.title,
        "date": source.date,
        "lang": source.lang if source.lang != "en" else "",
        "subject": source.subject,
        "preheader": source.preheader,
        "categories": list(source.categories),
    }
    kept = {key: value for key, value in values.items() if value}
    written = yaml.safe_dump(
        kept, allow_unicode=True, sort_keys=False, width=_LONGEST_LINE, default_flow_style=None
    )
    return f"---\n{written}---"


def write_entry(entry: Entry) -> str:
    """One entry, from its heading on, ending in a line break."""
    return "\n\n".join(_entry_parts(entry)) + "\n"


def escaped(text: str) -> str:
    """Plain text such that Markdown reads it as itself."""
    return "".join(
        piece if number % 2 else _escaped(piece) for number, piece in enumerate(_FIELD.split(text))
    )


def link(title: str, url: str) -> str:
    """`[title](url)`, whatever characters the two have."""
    return f"[{escaped(title)}]({_destination(url)})" if url else escaped(title)


def _section(section: Section) -> str:
    parts = [f"## {escaped(section.title)}"]
    if section.body:
        parts.append(_prose(section.body))
    for entry in section.entries:
        parts += _entry_parts(entry)
    return "\n\n".join(parts) + "\n"


def _entry_parts(entry: Entry) -> Iterator[str]:
    heading = f"### {link(entry.title, entry.url)}"
    meta = _meta(entry)
    yield f"{heading}\n{meta}" if meta else heading
    summary = " ".join(filter(None, (escaped(entry.lead), _prose(entry.summary))))
    if summary:
        yield _at_line_start(summary)
    if entry.audience:
        yield "\n".join(f"> {line}".rstrip() for line in _prose(entry.audience).split("\n"))


def _meta(entry: Entry) -> str:
    """An author without a source's link is written with the word alone, which the form reads."""
    if entry.source_url:
        named = link(entry.source_name or "Source", entry.source_url)
        return f"{escaped(entry.author)} · {named}" if entry.author else named
    return f"{escaped(entry.author)} · Source" if entry.author else ""


def _prose(prose: Prose | None) -> str:
    if prose is None:
        return ""
    return prose.text if prose.markdown else _at_line_start(escaped(prose.text))


def _escaped(text: str) -> str:
    return _SPECIAL.sub(r"\\\g<0>", text)


def _at_line_start(text: str) -> str:
    """What begins a heading, a list or a rule only where a line begins."""

    def shielded(found: re.Match[str]) -> str:
        mark = found[2]
        return f"{found[1]}{mark}\\" if mark.isdigit() else f"{found[1]}\\{mark}"

    return _AT_LINE_START.sub(shielded, text)


def _destination(url: str) -> str:
    """A URL in a link's brackets; percent signs stand for what would end it."""
    return re.sub(r"[\s<>()\\]", lambda found: f"%{ord(found[0]):02X}", url)
