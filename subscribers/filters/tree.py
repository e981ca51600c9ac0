"""A segment as a tree of values: its fields, its operators, and which of them go together."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import TypeAlias
from unicodedata import category

from newsletter.core.sentences import Sentence, say

MAX_CHARACTERS = 4_000
MAX_DEPTH = 20
MAX_TERMS = 100
MAX_NUMBER = 10**15
MAX_AMOUNT = 9_999
MAX_PATH = 8
FIRST_YEAR, LAST_YEAR = 1900, 2199
HUNDREDTHS = 10_000
"""A sample's share is counted in hundredths of a percent."""

Value: TypeAlias = str | int | float | bool | date


class Field(StrEnum):
    """What everybody has."""

    EMAIL = "email"
    DOMAIN = "domain"
    NAME = "name"
    LOCALE = "locale"
    TIME_ZONE = "time_zone"
    STATUS = "status"
    TRACKING = "tracking"
    SUBSCRIBED_AT = "subscribed_at"
    CONFIRMED_AT = "confirmed_at"
    CREATED_AT = "created_at"


@dataclass(frozen=True, slots=True)
class Attribute:
    """A person's attribute, found by the names that lead to it."""

    path: tuple[str, ...]


TAGS = Attribute(("tags",))


class Operator(StrEnum):
    """How a field is compared."""

    IS = "="
    IS_NOT = "!="
    BELOW = "<"
    AT_MOST = "<="
    ABOVE = ">"
    AT_LEAST = ">="
    IN = "in"
    NOT_IN = "not in"
    CONTAINS = "contains"
    STARTS_WITH = "starts_with"
    HAS = "has"


class Moment(StrEnum):
    """What can have happened within a time up to now."""

    SUBSCRIBED = "subscribed"
    CONFIRMED = "confirmed"
    CREATED = "created"
    OPENED = "opened"
    CLICKED = "clicked"


@dataclass(frozen=True, slots=True)
class Compare:
    """A field beside a value; beside several for `in` and `not in`."""

    field: Field | Attribute
    operator: Operator
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Exists:
    """The field has a value: it is there, and neither null nor an empty text."""

    field: Field | Attribute


@dataclass(frozen=True, slots=True)
class On:
    """Active on the list with this slug, whichever list they are mailed by."""

    slug: str


@dataclass(frozen=True, slots=True)
class Within:
    """It last happened at most so many hours, days or weeks ago."""

    moment: Moment
    amount: int
    unit: str

    @property
    def hours(self) -> int:
        return self.amount * HOURS[self.unit]


@dataclass(frozen=True, slots=True)
class Sample:
    """A share of all people: the same ones whenever the seed is the same."""

    hundredths: int
    seed: str = ""


@dataclass(frozen=True, slots=True)
class Not:
    term: "Filter"


@dataclass(frozen=True, slots=True)
class All:
    terms: "tuple[Filter, ...]"


@dataclass(frozen=True, slots=True)
class Some:
    """At least one of the terms."""

    terms: "tuple[Filter, ...]"


Leaf: TypeAlias = Compare | Exists | On | Within | Sample
Filter: TypeAlias = Leaf | Not | All | Some

HOURS = {"h": 1, "d": 24, "w": 24 * 7}
CHOICES = {
    Field.STATUS: ("pending", "active", "unsubscribed"),
    Field.TRACKING: ("unknown", "granted", "denied"),
}
DAYS = (Field.SUBSCRIBED_AT, Field.CONFIRMED_AT, Field.CREATED_AT)

_EQUALITY = (Operator.IS, Operator.IS_NOT)
_ORDER = (Operator.BELOW, Operator.AT_MOST, Operator.ABOVE, Operator.AT_LEAST)
SEVERAL = (Operator.IN, Operator.NOT_IN)
_PARTS = (Operator.CONTAINS, Operator.STARTS_WITH)


def operators_of(field: Field | Attribute) -> tuple[Operator, ...]:
    """Those that mean something for the field."""
    if isinstance(field, Attribute):
        return tuple(Operator)
    if field in DAYS:
        return (*_EQUALITY, *_ORDER)
    return (*_EQUALITY, *SEVERAL) if field in CHOICES else (*_EQUALITY, *SEVERAL, *_PARTS)


def expected_value(field: Field | Attribute, operator: Operator, value: object) -> Sentence | None:
    """What should stand there instead of this value; None when it may."""
    if isinstance(field, Attribute):
        return _expected_of_attribute(operator, value)
    if field in CHOICES:
        known = ", ".join(CHOICES[field])
        return None if value in CHOICES[field] else say("one of %(known)s", known=known)
    if field in DAYS:
        return _expected_day(value)
    return _expected_text(value)


def is_usable(text: str) -> bool:
    """No control characters and no halves of characters: not every database can keep those."""
    return not any(category(character) in ("Cc", "Cs") for character in text)


def is_path(path: Sequence[object]) -> bool:
    """Names that both databases find in JSON: no quotes, no backslashes, not too many."""
    return 0 < len(path) <= MAX_PATH and all(
        isinstance(name, str) and name and not set(name) & {'"', "\\"} and is_usable(name)
        for name in path
    )


def leaves(tree: Filter) -> Iterator[Leaf]:
    """The terms that hold no others."""
    if isinstance(tree, Not):
        yield from leaves(tree.term)
    elif isinstance(tree, All | Some):
        for term in tree.terms:
            yield from leaves(term)
    else:
        yield tree


def _expected_of_attribute(operator: Operator, value: object) -> Sentence | None:
    if operator in _PARTS or isinstance(value, str):
        return _expected_text(value)
    if isinstance(value, bool):
        return say("a text or a number") if operator in _ORDER else None
    if isinstance(value, int | float):
        return _expected_number(value)
    if isinstance(value, date):
        return say("a text: attributes have no dates, write the day in double quotes")
    return say("a text in double quotes, a number, or true or false")


def _expected_day(value: object) -> Sentence | None:
    if isinstance(value, date) and FIRST_YEAR <= value.year <= LAST_YEAR:
        return None
    return say(
        "a day from %(first)s to %(last)s, such as 2026-01-31", first=FIRST_YEAR, last=LAST_YEAR
    )


def _expected_text(value: object) -> Sentence | None:
    if not isinstance(value, str):
        return say("a text in double quotes")
    if value and is_usable(value):
        return None
    return say("a text of printable characters, not empty")


def _expected_number(value: float) -> Sentence | None:
    fits = abs(value) < MAX_NUMBER and float(f"{value:.15g}") == value
    return None if fits else say("a number of at most 15 digits")
