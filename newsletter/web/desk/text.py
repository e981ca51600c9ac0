"""What the desk says, in English unless there is a catalogue of the reader's language.

`_("Saved %(name)s.", name=name)` and `n_("%(n)s person", "%(n)s people", n)`; what the domain says
comes as a `Sentence`. The texts of all are collected into `newsletter/locale/desk.pot`.
"""

from contextvars import ContextVar
from typing import Any

from markupsafe import Markup

from newsletter.core.catalogues import DESK, ENGLISH, accepted

_language: ContextVar[str] = ContextVar("language", default=ENGLISH)


def speak(accept_language: str) -> None:
    """For the rest of this request: the first language of the header that there is."""
    _language.set(DESK.first(*accepted(accept_language)))


def language() -> str:
    """The language tag of this request's pages."""
    return _language.get()


def _(message: str, **values: object) -> str:
    """The message in the reader's language, with its values put in."""
    return DESK.shape(language(), message) % _ours(values)


def n_(singular: str, plural: str, n: int, **values: object) -> str:
    """The form of the message for `n` things; `%(n)s` is how many."""
    return DESK.shape(language(), singular, plural, n) % {"n": n, **_ours(values)}


def translated(said: Any) -> Any:
    """A sentence of the domain in the reader's language; anything else comes back as it is."""
    return DESK.translated(language(), said)


def in_page(message: str, **values: object) -> Markup:
    """As `_`, for a page: values are escaped, the message is ours."""
    return Markup(DESK.shape(language(), message)) % _ours(values)  # noqa: S704 - see above


def in_page_n(singular: str, plural: str, n: int, **values: object) -> Markup:
    """As `n_`, for a page."""
    message = DESK.shape(language(), singular, plural, n)
    return Markup(message) % {"n": n, **_ours(values)}  # noqa: S704 - values are escaped


def _ours(values: dict[str, object]) -> dict[str, object]:
    return DESK.values(language(), values)
