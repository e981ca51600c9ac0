"""The YAML between the two `---` lines of a Markdown issue: typed, checked, with line numbers."""

import re
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime
from reprlib import repr as short_repr
from typing import Any, TypeGuard

import yaml

from newsletter.core.sentences import Sentence, say
from newsletter.issues.source import SourceError

_TEXT_KEYS = {"newsletter": 80, "title": 200, "lang": 35, "subject": 200, "preheader": 200}
"""With the most characters each may have."""

_KEYS = (*_TEXT_KEYS, "date", "categories")
_ONE_LINE = re.compile(r"[^\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]*")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")


@dataclass(frozen=True, slots=True)
class FrontMatter:
    """The checked values.

    Attributes:
        texts: newsletter, title, lang, subject, preheader, as far as they are there.
        lines: the source line of each key.
        body_line: the line on which the text behind the front matter begins.
    """

    date: date
    body_line: int
    texts: dict[str, str] = field(default_factory=dict)
    categories: tuple[str, ...] = ()
    lines: dict[str, int] = field(default_factory=dict)


def read_front_matter(text: str, place: str) -> FrontMatter:
    """Read the front matter with which `text` begins.

    Raises:
        SourceError: names the line of the key, and what was expected.
    """
    lines = text.split("\n")
    end = next((n for n, line in enumerate(lines) if n and line.rstrip() == "---"), None)
    if lines[0].rstrip() != "---" or end is None:
        raise SourceError(f"{place}:1", say("expected front matter between two lines `---`"))
    values, where = _mapping("\n".join(lines[1:end]), place)
    for key in values:
        if key not in _KEYS:
            raise SourceError(
                f"{place}:{where[key]}",
                say("unknown key %(key)r; expected %(keys)s", key=key, keys=", ".join(_KEYS)),
            )
    if values.get("date") is None:
        raise SourceError(
            f"{place}:{where.get('date', 1)}",
            say("expected a key `date`, such as `date: 2026-06-17`"),
        )
    check = _Check(values, where, place)
    return FrontMatter(
        date=check.date(),
        body_line=end + 2,
        texts={key: check.text(key) for key in _TEXT_KEYS if values.get(key) is not None},
        categories=check.categories(),
        lines=where,
    )


def _mapping(text: str, place: str) -> tuple[dict[str, Any], dict[str, int]]:
    """Values and source lines by key."""
    values: dict[str, Any] = {}
    where: dict[str, int] = {}
    try:
        loader = yaml.SafeLoader(text)
        for key_node, value_node in _pairs(loader.get_single_node(), place):
            key, line = str(key_node.value), key_node.start_mark.line + 2
            if key in values:
                raise SourceError(f"{place}:{line}", say("key %(key)r stands twice", key=key))
            where[key] = line
            values[key] = loader.construct_object(value_node, deep=True)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 2 if error.problem_mark else 1
        raise SourceError(
            f"{place}:{line}", say("not YAML: %(problem)s", problem=error.problem)
        ) from None
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        line = max(where.values(), default=1)
        said = " ".join(str(error).split())
        raise SourceError(
            f"{place}:{line}", say("not a value we can read: %(said)s", said=said)
        ) from None
    return values, where


def _pairs(node: yaml.Node | None, place: str) -> list[tuple[yaml.ScalarNode, yaml.Node]]:
    if node is None:
        return []
    pairs: list[tuple[Any, Any]] = node.value if isinstance(node, yaml.MappingNode) else []
    if not pairs or not all(isinstance(key, yaml.ScalarNode) for key, _ in pairs):
        raise SourceError(f"{place}:{node.start_mark.line + 2}", say("expected lines `key: value`"))
    return pairs


@dataclass(frozen=True, slots=True)
class _Check:
    """Each value against what its key expects."""

    values: dict[str, Any]
    where: dict[str, int]
    place: str

    def date(self) -> date:
        value = self.values["date"]
        if isinstance(value, date) and not isinstance(value, datetime):
            return value
        if isinstance(value, str) and _DAY.fullmatch(value):
            with suppress(ValueError):
                return date.fromisoformat(value)
        raise self._wrong("date", say("a day such as 2026-06-17"))

    def text(self, key: str) -> str:
        value: object = self.values[key]
        if not _is_line(value):
            raise self._wrong(key, say("one line of text; put it in quotes"))
        if len(value) > _TEXT_KEYS[key]:
            raise self._wrong(key, say("at most %(most)s characters", most=_TEXT_KEYS[key]))
        if key == "newsletter" and not _SLUG.fullmatch(value):
            raise self._wrong(key, say("a short name of a-z, 0-9 and hyphens"))
        if key == "lang" and not _LANGUAGE.fullmatch(value):
            raise self._wrong(key, say("a language tag such as en or pt-BR"))
        return value.strip()

    def categories(self) -> tuple[str, ...]:
        value = self.values.get("categories") or []
        if not isinstance(value, list) or not all(_is_line(item) for item in value):
            raise self._wrong("categories", say("a list of words such as [Blogs, Papers]"))
        return tuple(item.strip() for item in value if item.strip())

    def _wrong(self, key: str, expected: Sentence) -> SourceError:
        return SourceError(
            f"{self.place}:{self.where[key]}",
            say(
                "%(key)s: expected %(expected)s, found %(found)s",
                key=key,
                expected=expected,
                found=short_repr(self.values[key]),
            ),
        )


def _is_line(value: object) -> TypeGuard[str]:
    """Text in one line; YAML's escapes could bring in what the file itself may not hold."""
    return isinstance(value, str) and _ONE_LINE.fullmatch(value.strip()) is not None
