"""What the desk says, in English unless there is a catalogue of the reader's language.

`_("Saved %(name)s.", name=name)` and `n_("%(n)s person", "%(n)s people", n)`; what the domain says
comes as a `Sentence`. The texts of all are collected into `web/locale/desk.pot`.
"""

import gettext
from collections.abc import Mapping
from contextvars import ContextVar
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

from babel.numbers import format_decimal
from markupsafe import Markup

from newsletter.core.sentences import Count, Sentence

DOMAIN = "desk"
LOCALES = Path(__file__).parents[1] / "locale"

_ENGLISH = "en"
_language: ContextVar[str] = ContextVar("language", default=_ENGLISH)


def speak(accept_language: str) -> None:
    """For the rest of this request: the first language of the header that there is."""
    wanted = (part.partition(";")[0].strip() for part in accept_language.split(","))
    _language.set(next(filter(None, map(_there_is, wanted)), _ENGLISH))


def language() -> str:
    """The language tag of this request's pages."""
    return _language.get()


def _(message: str, **values: object) -> str:
    """The message in the reader's language, with its values put in."""
    return _of(_language.get()).gettext(message) % _ours(values)


def n_(singular: str, plural: str, n: int, **values: object) -> str:
    """The form of the message for `n` things; `%(n)s` is how many."""
    return _of(_language.get()).ngettext(singular, plural, n) % {"n": n, **_ours(values)}


def translated(said: Any) -> Any:
    """A sentence of the domain in the reader's language; anything else comes back as it is."""
    if not isinstance(said, Sentence) or not said:
        return said  # a catalogue answers nothing with its own head
    if "page" in said.values:
        return translated(said.values["page"])
    catalogue = _of(_language.get())
    if said.plural:
        shape = catalogue.ngettext(said.message, said.plural, said.n)
    else:
        shape = catalogue.gettext(said.message)
    return shape % _ours(said.values)


def _ours(values: Mapping[str, object]) -> dict[str, object]:
    return {name: _our(value) for name, value in values.items()}


def _our(value: object) -> object:
    """A value as it stands in a sentence: what the domain has words for is in our words."""
    if isinstance(value, StrEnum) and value:
        return _of(_language.get()).gettext(value)
    if isinstance(value, Count):
        return format_decimal(int(value), locale=_language.get().replace("-", "_"))
    return translated(value)


def in_page(message: str, **values: object) -> Markup:
    """As `_`, for a page: values are escaped, the message is ours."""
    return Markup(_of(_language.get()).gettext(message)) % _ours(values)  # noqa: S704 - see above


def in_page_n(singular: str, plural: str, n: int, **values: object) -> Markup:
    """As `n_`, for a page."""
    message = _of(_language.get()).ngettext(singular, plural, n)
    return Markup(message) % {"n": n, **_ours(values)}  # noqa: S704 - values are escaped


def forget() -> None:
    """Look for languages anew: somebody put one there."""
    _catalogues.cache_clear()
    _of.cache_clear()


def _there_is(tag: str) -> str:
    """The tag of ours that speaks this language, its region given up if need be; else empty."""
    ours = {known.lower(): known for known in (*_catalogues(), _ENGLISH)}
    tag = tag.lower()
    return ours.get(tag) or ours.get(tag.partition("-")[0], "")


@cache
def _catalogues() -> tuple[str, ...]:
    """Tags of the languages that somebody translated the desk into."""
    return tuple(file.parts[-3].replace("_", "-") for file in LOCALES.glob(f"*/*/{DOMAIN}.mo"))


@cache
def _of(tag: str) -> gettext.NullTranslations:
    return gettext.translation(DOMAIN, LOCALES, [tag.replace("-", "_")], fallback=True)
