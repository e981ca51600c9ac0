"""The words of a segment's text, and the error that points at one of them. Pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from newsletter.core.errors import InputError
from newsletter.core.sentences import Sentence, say

_LONGEST_VIEW = 76
_TOKEN = re.compile(
    r"""(?P<space>\s+)
    | (?P<text>"(?:[^"\\\n]|\\["\\])*")
    | (?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2}(?![\w-]))
    | (?P<duration>[0-9]+[hdw](?!\w))
    | (?P<share>[0-9]+(?:\.[0-9]+)?%)
    | (?P<number>-?[0-9]+(?:\.[0-9]+)?(?![\w.]))
    | (?P<word>[^\W\d]\w*)
    | (?P<sign><=|>=|!=|[=<>(),.])""",
    re.VERBOSE,
)


class SegmentError(InputError):
    """A segment that cannot be read.

    Attributes:
        offset: characters before the place where reading stopped.
        line: counted from 1.
        column: counted from 1.
        expected: what should stand there.
        picture: the line, and below it a mark at the place.
    """

    def __init__(self, text: str, offset: int, expected: Sentence) -> None:
        before = text[:offset]
        self.offset = offset
        self.line = before.count("\n") + 1
        self.column = offset - (before.rfind("\n") + 1) + 1
        self.expected = expected
        self.picture = _picture(text, offset, self.column)
        place = f"segment:{self.line}:{self.column}"
        super().__init__(place, say("expected %(expected)s", expected=expected))

    def __str__(self) -> str:
        return f"{super().__str__()}\n{self.picture}"


@dataclass(frozen=True, slots=True)
class Token:
    """One word, where it stands, and what kind: `text`, `number`, …, `sign`, `end`."""

    kind: str
    text: str
    offset: int


def tokens(text: str) -> Iterator[Token]:
    """In order; the last is of kind `end`.

    Raises:
        SegmentError: something that is no word of the language.
    """
    offset = 0
    while offset < len(text):
        found = _TOKEN.match(text, offset)
        if found is None or found.lastgroup is None:
            raise SegmentError(text, offset, _expected_character(text, offset))
        if found.lastgroup != "space":
            yield Token(found.lastgroup, found.group(), offset)
        offset = found.end()
    yield Token("end", "", offset)


def _expected_character(text: str, offset: int) -> Sentence:
    if text[offset] == '"':
        return say('a closing double quote; inside a text write \\" and \\\\')
    if text[offset].isdigit() or text[offset] == "-":
        return say(
            "a number, a day such as 2026-01-31, a time such as 30d, or a share such as 10%%"
        )
    return say("a field, a value or an operator")


def unquoted(text: str) -> str:
    """What a text in double quotes means."""
    return re.sub(r"\\(.)", r"\1", text[1:-1])


def _picture(text: str, offset: int, column: int) -> str:
    line = text.split("\n")[text[:offset].count("\n")]
    begin = max(0, column - 1 - _LONGEST_VIEW // 2)
    view = "".join(c if c.isprintable() else " " for c in line[begin : begin + _LONGEST_VIEW])
    return f"  {view}\n  {' ' * (column - 1 - begin)}^"
