"""Merge fields: `{{ subscriber.name | default("there") }}`, from a whitelist, never evaluated.

They are found in an issue's text before anything else looks at it, stand as placeholders in the
compiled mail, and get their values when one recipient's message is made.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import attrgetter

from newsletter.core.sentences import Sentence, say
from newsletter.rendering.compiled import MergeField
from subscribers.recipient import Recipient

_PLAIN: Mapping[str, Callable[[Recipient], str]] = {
    "subscriber.name": attrgetter("name"),
    "subscriber.email": attrgetter("address"),
    "subscriber.locale": attrgetter("locale"),
}
PLAIN_FIELDS = tuple(_PLAIN)
_ATTRIBUTE = re.compile(r"subscriber\.attributes\.[A-Za-z0-9_-]{1,60}")
EXPRESSION = re.compile(r"\{\{((?:[^{}\n]|\{(?!\{)|\}(?!\}))*)\}\}")
"""In one line and up to the next `{{`: what an unclosed one would swallow is not guessed."""

_FIELD = re.compile(
    r"""\s*([a-zA-Z_][\w.-]*)\s*(?:\|\s*default\(\s*(?:"([^"]*)"|'([^']*)')\s*\)\s*)?"""
)


@dataclass(frozen=True, slots=True)
class Found:
    """One `{{ … }}` of a text: where it stands, and the field, or what is wrong with it."""

    start: int
    end: int
    field: MergeField | None
    problem: Sentence | None = None


def find(text: str) -> list[Found]:
    """Every `{{ … }}` in the order of the text."""
    return [_read(found) for found in EXPRESSION.finditer(text)]


def value(field: MergeField, recipient: Recipient) -> str:
    """What stands in this recipient's mail: their value, or the default when it is empty."""
    if field.path.startswith("subscriber.attributes."):
        found = recipient.attributes.get(field.path.removeprefix("subscriber.attributes."))
        text = "" if found is None else str(found)
    else:
        text = _PLAIN[field.path](recipient)
    return text.strip() or field.default


def _read(found: re.Match[str]) -> Found:
    start, end = found.span()
    expression = _FIELD.fullmatch(found[1])
    if expression is None:
        return Found(
            start,
            end,
            None,
            say("expected a field such as {{ subscriber.name }}, found %(text)s", text=found[0]),
        )
    path = expression[1]
    if path not in PLAIN_FIELDS and not _ATTRIBUTE.fullmatch(path):
        known = ", ".join((*PLAIN_FIELDS, "subscriber.attributes.…"))
        problem = say("there is no field %(path)r; there are %(known)s", path=path, known=known)
        return Found(start, end, None, problem)
    return Found(start, end, MergeField(path, expression[2] or expression[3] or ""))
