"""What we say, in the languages that somebody translated it into; English stands in the code.

A language is a file: `newsletter/locale/de/LC_MESSAGES/readers.po`. docs/decisions/0037.
"""

import gettext
import re
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from newsletter.core import catalogue_files, logs
from newsletter.core.sentences import Count, Sentence

if TYPE_CHECKING:
    from babel import Locale

ENGLISH = "en"
LOCALES = Path(__file__).parents[1] / "locale"
_RANGE = re.compile(r"(?P<tag>[\w-]+)(?:\s*;\s*q=(?P<q>[01](?:\.\d{0,3})?))?(?:\s*;.*)?", re.ASCII)
_MOST_PARTS = 4

log = logs.get(__name__)


class Translations:
    """Those of one domain, such as `desk`; a language that it is not in is English."""

    def __init__(self, domain: str) -> None:
        self._domain = domain

    def languages(self) -> tuple[str, ...]:
        """Their tags, English first."""
        return (ENGLISH, *_files(self._domain))

    def first(self, *tags: str) -> str:
        """The first of these that there is, its region given up if need be; else English."""
        ours = _by_lower_tag(self._domain)
        wanted = (shorter for tag in tags for shorter in _shorter(tag.lower().replace("_", "-")))
        return next(filter(None, map(ours.get, wanted)), ENGLISH)

    def shape(self, language: str, message: str, plural: str = "", n: int = 1) -> str:
        """The message as it is there, values not yet put in."""
        catalogue = _catalogue(self._domain, language)
        return catalogue.ngettext(message, plural, n) if plural else catalogue.gettext(message)

    def translated(self, language: str, said: Any) -> Any:
        """A sentence in that language; anything else comes back as it is."""
        if not isinstance(said, Sentence) or not said:
            return said  # a catalogue answers nothing with its own head
        if "page" in said.values:
            return self.translated(language, said.values["page"])
        shape = self.shape(language, said.message, said.plural, said.n)
        return shape % self.values(language, said.values)

    def values(self, language: str, values: Mapping[str, object]) -> dict[str, object]:
        """As they stand in a sentence: what the domain has words for is in our words."""
        return {name: self._value(language, value) for name, value in values.items()}

    def _value(self, language: str, value: object) -> object:
        if isinstance(value, StrEnum) and value:
            return self.shape(language, value)
        if isinstance(value, Count):
            from babel.numbers import format_decimal  # no process that sends needs it

            return format_decimal(int(value), locale=conventions(language))
        return self.translated(language, value)


DESK = Translations("desk")
READERS = Translations("readers")
"""Of pages and mails for readers, and of what stands around the text of an issue."""


def accepted(accept_language: str) -> list[str]:
    """The language tags of the header, the most wanted first (RFC 9110 section 12.5.4)."""
    ranges = [_RANGE.fullmatch(part.strip()) for part in accept_language.split(",")]
    wanted = [(float(found["q"] or 1), found["tag"]) for found in ranges if found]
    return [tag for q, tag in sorted(wanted, key=itemgetter(0), reverse=True) if q]


def _shorter(tag: str) -> list[str]:
    """`zh-hant-tw`, `zh-hant`, `zh` (RFC 4647 section 3.4); of the longest tags no more."""
    parts = tag.strip().split("-")[:_MOST_PARTS]
    return ["-".join(parts[:number]) for number in range(len(parts), 0, -1)]


def conventions(language: str) -> "Locale":
    """How days and numbers are written in it; as in English where nobody knows."""
    from babel import Locale, UnknownLocaleError  # no process that sends needs it

    try:
        return Locale.parse(language, sep="-")
    except (UnknownLocaleError, ValueError):
        return Locale(ENGLISH)


def forget() -> None:
    """Look for languages anew: somebody put one there."""
    _files.cache_clear()
    _by_lower_tag.cache_clear()
    _catalogue.cache_clear()


@cache
def _files(domain: str) -> Mapping[str, Path]:
    """By language."""
    files = sorted(LOCALES.glob(f"*/LC_MESSAGES/{domain}.po"))
    return {file.parts[-3].replace("_", "-"): file for file in files}


@cache
def _by_lower_tag(domain: str) -> Mapping[str, str]:
    return {tag.lower(): tag for tag in (ENGLISH, *_files(domain))}


@cache
def _catalogue(domain: str, language: str) -> gettext.NullTranslations:
    """Whatever is wrong with a file, pages and mails are made: what it spoils is English."""
    file = _files(domain).get(language)
    if file is None:
        return gettext.NullTranslations()
    try:
        return catalogue_files.read(file)
    except (ArithmeticError, LookupError, OSError, ValueError) as error:
        log.error("translation.unreadable", file=str(file), error=str(error))  # noqa: TRY400 - the error says what, and where
        return gettext.NullTranslations()
