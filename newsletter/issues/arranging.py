"""Move, add and take away entries in an issue's Markdown; every other byte stays. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from newsletter.core.errors import InputError, RefusedError
from newsletter.core.sentences import say
from newsletter.issues.markdown_writing import write_entry
from newsletter.issues.parsing import parse
from newsletter.issues.source import Entry, IssueSource, SourceForm

_LINES = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+\Z")
_NEW_SECTION = "## Reads"
_PLACE = "issue"


@dataclass(frozen=True, slots=True)
class Place:
    """An entry as the arranging page lists it.

    Attributes:
        number: counts all entries of the issue, from 1.
        section: the section's title.
    """

    number: int
    section: str
    title: str
    line: int
    can_rise: bool
    can_sink: bool


@dataclass(frozen=True, slots=True)
class _Block:
    """An entry's lines, without the empty ones behind it: indexes from 0, `end` excluded."""

    section: int
    start: int
    end: int


def places(source: IssueSource) -> list[Place]:
    """Every entry, in the order of the text."""
    found: list[Place] = []
    for section in source.sections:
        last = len(section.entries) - 1
        for number, entry in enumerate(section.entries):
            found.append(
                Place(
                    number=len(found) + 1,
                    section=section.title,
                    title=entry.title,
                    line=entry.line,
                    can_rise=number > 0,
                    can_sink=number < last,
                )
            )
    return found


def move(text: str, number: int, by: int) -> str:
    """The text with that entry one place up (`by` -1) or down (1), within its section.

    The empty lines between entries stay where they are.

    Raises:
        SourceError: the text cannot be read.
        InputError: there is no such entry, or it is the first or last of its section.
        RefusedError: the two cannot change places, such as with a code block left open.
    """
    lines, blocks = _cut(text)
    first, second = sorted((number - 1, number - 1 + by))
    if first < 0 or second >= len(blocks) or blocks[first].section != blocks[second].section:
        raise InputError("entry", say("it has no place to go to in its section"))
    upper, lower = blocks[first], blocks[second]
    pieces = [
        lines[: upper.start],
        _ended(lines[lower.start : lower.end], lines[upper.start : upper.end]),
        lines[upper.end : lower.start],
        _ended(lines[upper.start : upper.end], lines[lower.start : lower.end]),
        lines[lower.end :],
    ]
    wanted = _names(text)
    wanted[first], wanted[second] = wanted[second], wanted[first]
    return _checked("".join("".join(piece) for piece in pieces), wanted, _sections(text))


def remove(text: str, number: int) -> str:
    """The text without that entry and the empty lines behind it.

    Raises:
        SourceError: the text cannot be read.
        InputError: there is no such entry.
        RefusedError: without it the rest would be read differently.
    """
    lines, blocks = _cut(text)
    if not 1 <= number <= len(blocks):
        raise InputError("entry", say("there is no entry %(number)s", number=number))
    block = blocks[number - 1]
    behind = next((n for n in range(block.end, len(lines)) if lines[n].strip()), len(lines))
    wanted = _names(text)
    del wanted[number - 1]
    return _checked("".join(lines[: block.start] + lines[behind:]), wanted, _sections(text))


def move_to(text: str, number: int, section: int) -> str:
    """The text with that entry at the end of another section; sections count from 0.

    Raises:
        SourceError: the text cannot be read.
        InputError: there is no such entry or section, or the entry is in it.
        RefusedError: it would be read differently there, or what it leaves behind.
    """
    lines, blocks = _cut(text)
    rest, source = remove(text, number), _read(text)
    if not 0 <= section < len(source.sections):
        raise InputError("target", say("there is no such section"))
    block = blocks[number - 1]
    if block.section == section:
        raise InputError("target", say("the entry is in this section"))
    wanted = _names(rest)
    _, title = _names(text)[number - 1]
    wanted.insert(_behind(wanted, section), (section, title))
    written = "".join(lines[block.start : block.end]).rstrip("\r\n")
    return _checked(_put(rest, written, section), wanted, _sections(text))


def add(text: str, entry: Entry, section: str = "") -> str:
    """The text with one more entry at the end of the section of that title.

    Without a title: of the last section that has entries; where none has, of a new section.

    Raises:
        SourceError: the text cannot be read.
        InputError: there is no such section.
        RefusedError: the end of the section is no place for an entry.
    """
    source = _read(text)
    chosen = _section_number(source, section)
    written, last = write_entry(entry).rstrip("\n"), len(source.sections) - 1
    if chosen is None:
        written = f"{_NEW_SECTION}\n\n{written}"
    to = last + 1 if chosen is None else chosen
    wanted = _names(text)
    wanted.insert(_behind(wanted, to), (to, entry.title))
    made = _put(text, written.replace("\n", _line_end(text)), min(to, last))
    return _checked(made, wanted, max(to, last) + 1)


def _put(text: str, written: str, section: int) -> str:
    """The text with these lines at the end of that section, after an empty one."""
    lines: list[str] = _LINES.findall(text)
    starts = [each.line - 1 for each in _read(text).sections] + [len(lines)]
    end = _last_text(lines, starts[section], starts[section + 1])
    before, behind, line_end = "".join(lines[:end]), "".join(lines[end:]), _line_end(text)
    gap = line_end if before.endswith(("\n", "\r")) else 2 * line_end
    return before + gap + written + line_end + behind


def _line_end(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _behind(names: Sequence[tuple[int, str]], section: int) -> int:
    """The place behind that section's last entry, among all."""
    return sum(each <= section for each, _ in names)


def _section_number(source: IssueSource, title: str) -> int | None:
    if title:
        for number, section in enumerate(source.sections):
            if section.title == title:
                return number
        raise InputError("section", say("there is no section %(title)r", title=title))
    with_entries = [number for number, section in enumerate(source.sections) if section.entries]
    return with_entries[-1] if with_entries else None


def _cut(text: str) -> tuple[list[str], list[_Block]]:
    source = _read(text)
    lines: list[str] = _LINES.findall(text)
    starts = [
        (number, entry.line - 1)
        for number, section in enumerate(source.sections)
        for entry in section.entries
    ]
    heads = sorted([s.line - 1 for s in source.sections] + [start for _, start in starts])
    ends = dict(zip(heads, [*heads[1:], len(lines)], strict=True))
    blocks = [_Block(number, at, _last_text(lines, at, ends[at])) for number, at in starts]
    return lines, blocks


def _last_text(lines: Sequence[str], start: int, end: int) -> int:
    """Behind the last line that is not empty."""
    return next((n + 1 for n in range(end - 1, start - 1, -1) if lines[n].strip()), start)


def _ended(block: list[str], like: list[str]) -> list[str]:
    """The block with the line end that stood where it goes: the last line may have had none."""
    *rest, last = block
    old = like[-1]
    return [*rest, last.rstrip("\r\n") + old[len(old.rstrip("\r\n")) :]]


def _read(text: str) -> IssueSource:
    source = parse(text, _PLACE)
    if source.form is not SourceForm.MARKDOWN:
        raise RefusedError(
            say("entries are arranged in Markdown: turn this text into Markdown first")
        )
    return source


def _names(text: str) -> list[tuple[int, str]]:
    """Every entry by the number of its section, from 0, and its title."""
    return [
        (number, entry.title)
        for number, section in enumerate(_read(text).sections)
        for entry in section.entries
    ]


def _sections(text: str) -> int:
    return len(_read(text).sections)


def _checked(text: str, wanted: list[tuple[int, str]], sections: int) -> str:
    """What was made, if it says what was meant: an open code block would swallow what follows."""
    try:
        is_meant = _names(text) == wanted and _sections(text) == sections
    except InputError:
        is_meant = False
    if not is_meant:
        raise RefusedError(say("the text would say something else then; move the lines by hand"))
    return text
