"""Templates that speak the language of who reads them: the variable `lang`.

In them are `_`, `n_`, the filters `day` and `begun`, and sentences of the domain are translated
wherever they stand.
"""

from datetime import date
from typing import Any

from jinja2 import Environment, pass_context
from jinja2.runtime import Context
from markupsafe import Markup

from newsletter.core.catalogues import ENGLISH, READERS, conventions
from newsletter.core.sentences import Sentence

_RIGHT_TO_LEFT = ("ar", "fa", "he", "ur", "yi")


def teach(environment: Environment) -> None:
    """Before the first template is compiled."""
    environment.globals.update(_=_said, n_=_said_n)
    environment.filters.update(day=_day, begun=_begun)
    environment.finalize = _translated


def direction(lang: str) -> str:
    """`rtl` where lines begin at the right."""
    return "rtl" if lang.partition("-")[0] in _RIGHT_TO_LEFT else "ltr"


def said(sentence: Sentence, lang: str) -> str:
    """For templates whose macros know of no language."""
    return str(READERS.translated(READERS.first(lang), sentence))


def long_day(day: date, lang: str) -> str:
    """With the day of the week: `Wednesday, June 17, 2026`."""
    return _formatted(day, "full", READERS.first(lang))


@pass_context
def _said(context: Context, message: str, **values: object) -> str:
    language = _language(context)
    return _filled(context, READERS.shape(language, message), READERS.values(language, values))


@pass_context
def _said_n(context: Context, singular: str, plural: str, n: int, **values: object) -> str:
    language = _language(context)
    shape = READERS.shape(language, singular, plural, n)
    return _filled(context, shape, {"n": n, **READERS.values(language, values)})


def _filled(context: Context, shape: str, values: dict[str, object]) -> str:
    """In HTML the values are escaped; the message is ours."""
    escapes = context.eval_ctx.autoescape
    return Markup(shape) % values if escapes else shape % values  # noqa: S704 - see above


@pass_context
def _translated(context: Context, said: Any) -> Any:
    """Of all that templates put out, few are sentences: nothing is looked up for the rest."""
    return READERS.translated(_language(context), said) if isinstance(said, Sentence) else said


@pass_context
def _begun(context: Context, said: str) -> str:
    """As a sentence of its own, with a capital and a full stop."""
    text: str = READERS.translated(_language(context), said)
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "?", "!")) else ".")


@pass_context
def _day(context: Context, day: date) -> str:
    """As in `17 June 2026`."""
    language = _language(context)
    return _formatted(day, "long", "en-GB" if language == ENGLISH else language)


def _language(context: Context) -> str:
    """Macros that are imported without context, and style sheets, know of none."""
    return READERS.first(context.get("lang", ENGLISH))


def _formatted(day: date, length: Any, language: str) -> str:
    from babel.dates import format_date  # no process that sends needs it

    return str(format_date(day, length, locale=conventions(language)))
