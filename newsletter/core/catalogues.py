"""What we say, in the languages that somebody translated it into; English stands in the code.

A language is a file: `newsletter/locale/de/LC_MESSAGES/readers.po`. docs/decisions/0037.
"""

import gettext
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

from newsletter.core.sentences import Count, Sentence

ENGLISH = "en"
LOCALES = Path(__file__).parents[1] / "locale"


class Translations:
    """Those of one domain, such as `desk`; a language that it is not in is English."""

    def __init__(self, domain: str) -> None:
        self._domain = domain

    def languages(self) -> tuple[str, ...]:
        """Their tags, English first."""
        return (ENGLISH, *_languages(self._domain))

    def first(self, *tags: str) -> str:
        """The first of these that there is, its region given up if need be; else English."""
        ours = {known.lower(): known for known in self.languages()}
        wanted = (tag.strip().lower().replace("_", "-") for tag in tags)
        found = (ours.get(tag) or ours.get(tag.partition("-")[0]) for tag in wanted)
        return next(filter(None, found), ENGLISH)

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

            return format_decimal(int(value), locale=language.replace("-", "_"))
        return self.translated(language, value)


DESK = Translations("desk")
READERS = Translations("readers")
"""Of pages and mails for readers, and of what stands around the text of an issue."""


def accepted(accept_language: str) -> list[str]:
    """The language tags of the header, in its order."""
    return [part.partition(";")[0].strip() for part in accept_language.split(",")]


def forget() -> None:
    """Look for languages anew: somebody put one there."""
    _languages.cache_clear()
    _catalogue.cache_clear()


@cache
def _languages(domain: str) -> tuple[str, ...]:
    files = sorted(LOCALES.glob(f"*/LC_MESSAGES/{domain}.po"))
    return tuple(file.parts[-3].replace("_", "-") for file in files)


@cache
def _catalogue(domain: str, language: str) -> gettext.NullTranslations:
    """Nothing has to be compiled before: a process reads each language once."""
    if language not in _languages(domain):
        return gettext.NullTranslations()
    from babel.messages.mofile import write_mo  # nor this
    from babel.messages.pofile import read_po

    compiled = BytesIO()
    file = LOCALES / language.replace("-", "_") / "LC_MESSAGES" / f"{domain}.po"
    with file.open("rb") as texts:
        write_mo(compiled, read_po(texts))
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)
