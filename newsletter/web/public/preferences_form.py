"""The preferences form: what was sent, checked; nothing is done when a field is wrong."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TypeVar

from newsletter.core.errors import InputError
from newsletter.core.sentences import Sentence, say
from newsletter.web.forms import Form
from subscribers import days, details
from subscribers.details import Details
from subscribers.models import TrackingConsent
from subscribers.preferences import Cadence, Wish

_IN_ORDER = ("until", "name", "locale", "time_zone")
_LATER = say("choose a later day: to end a pause, ask for your own link below")
_Choice = TypeVar("_Choice", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class Answers:
    """What somebody asks for by the form.

    Attributes:
        details: None where the form has no such fields.
        problems: by field, what was expected.
    """

    wish: Wish
    details: Details | None
    problems: dict[str, Sentence] = field(default_factory=dict)


def read(form: Form, time_zone: str, not_before: datetime | None) -> Answers:
    """The answers of a form; days begin in the time zone it names, else in `time_zone`.

    `not_before` bounds the pause of whoever may not shorten one; it is None for the owner.
    Only lists that the page showed are meant: a list that somebody joined meanwhile is not left.
    """
    problems: dict[str, Sentence] = {}

    def checked(check: Callable[[str], str], name: str) -> str:
        try:
            return check(form.one(name))
        except InputError as error:
            problems[error.place] = error.problem
            return ""

    said = None
    if not_before is None and "name" in form:
        said = Details(
            checked(details.name, "name"),
            checked(details.locale, "locale"),
            checked(details.time_zone, "time_zone"),
        )
        time_zone = said.time_zone
    wish = _wish(form, time_zone, problems)
    if wish.paused_until and not_before and wish.paused_until < not_before:
        problems["until"] = _LATER
    return Answers(wish, said, {name: problems[name] for name in _IN_ORDER if name in problems})


def _wish(form: Form, time_zone: str, problems: dict[str, Sentence]) -> Wish:
    kept = form.numbers("list")
    cadence = _choice(Cadence, form.one("cadence"))
    until = None
    if cadence is Cadence.PAUSE:
        try:
            until = days.until_day(form.one("until"), time_zone)
        except InputError as error:
            problems[error.place] = error.problem
    return Wish(
        {number: number in kept for number in form.numbers("shown")},
        cadence,
        until,
        _choice(TrackingConsent, form.one("tracking")),
    )


def _choice(kind: type[_Choice], text: str) -> _Choice | None:
    """What was chosen; a page shows no other choices, so anything else is none."""
    return kind(text) if text in list(kind) else None
