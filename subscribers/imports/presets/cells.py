"""What the cells of a file mean: addresses, names, times, choices, JSON, tags."""

import csv
import json
import math
import re
import unicodedata
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parseaddr
from enum import StrEnum
from functools import cache, lru_cache
from itertools import chain
from typing import Any, NoReturn, TypeVar
from zoneinfo import available_timezones

from newsletter.core.errors import InputError
from newsletter.core.sentences import say
from newsletter.mail.address import Address
from subscribers import details
from subscribers.details import BREAKING
from subscribers.imports.imported import Cells, ImportedSuppression
from subscribers.models import MAX_NAME_CHARACTERS, SubscriptionStatus, SuppressionReason

_E = TypeVar("_E", bound=StrEnum)

Standing = tuple[SubscriptionStatus, tuple[ImportedSuppression, ...]]
"""What another system's status means here."""

ACTIVE: Standing = (SubscriptionStatus.ACTIVE, ())
PENDING: Standing = (SubscriptionStatus.PENDING, ())
UNSUBSCRIBED: Standing = (SubscriptionStatus.UNSUBSCRIBED, ())


def _suppressed(reason: SuppressionReason) -> Standing:
    """Off the list as well: lifting the suppression is no consent."""
    return SubscriptionStatus.UNSUBSCRIBED, (ImportedSuppression(reason),)


GONE = _suppressed(SuppressionReason.GONE)
COMPLAINED = _suppressed(SuppressionReason.COMPLAINT)
BLOCKED = _suppressed(SuppressionReason.MANUAL)

MAX_LEVELS = 50
"""Of JSON, one inside the other."""
_GO_TIME = re.compile(r" ?(?:UTC|\+0000 UTC|\+0000)$")


def mailbox(cells: Cells, column: str) -> tuple[str, Address]:
    """(the name beside the address, if any; the address)."""
    text = cells.get(column, "")
    shown_name, address = parseaddr(text) if "<" in text else ("", "")
    return shown_name, Address.parse(address or text, place=column)


def shortened(name: str) -> str:
    """The name, not too long, and without line breaks and other control characters."""
    if not name.isprintable():
        breaking = (" " if unicodedata.category(c) in BREAKING else c for c in name)
        name = " ".join("".join(breaking).split())
    return name[:MAX_NAME_CHARACTERS].strip()


locale = lru_cache(1_000)(details.locale)


@lru_cache(1_000)
def time_zone(text: str) -> str:
    """A time zone's name in its usual spelling; other systems write `Europe/london`."""
    return details.time_zone(ZONES.get(text.lower(), text))


ZONES = {zone.lower(): zone for zone in available_timezones()}
"""Time zones by their names in small letters."""


def full_name(cells: Cells, *columns: str) -> str:
    """The words of these columns that are not empty."""
    return shortened(" ".join(filter(None, (cells.get(column, "") for column in columns))))


def one_of(cells: Cells, column: str, values: type[_E], default: _E) -> _E:
    text = cells.get(column, "")
    if not text:
        return default
    found: _E | None = _by_value(values).get(text.lower())
    return found or _not_one_of(column, text, values)


@cache
def _by_value(values: type[_E]) -> Mapping[str, _E]:
    return {value.value: value for value in values}


def standing(cells: Cells, column: str, known: Mapping[str, Standing]) -> Standing:
    """What the status in this column means; an unknown one is never guessed at."""
    text = cells.get(column, "")
    found = known.get(text.lower())
    return found or _not_one_of(column, text, known)


def _not_one_of(column: str, text: str, values: Iterable[str]) -> NoReturn:
    raise InputError(
        column,
        say("expected one of %(values)s, found %(text)r", values=", ".join(values), text=text),
    )


def yes_or_no(cells: Cells, column: str) -> bool:
    text = cells.get(column, "").lower()
    if text not in _YES_OR_NO:
        raise InputError(column, say("expected true or false, found %(text)r", text=text))
    return _YES_OR_NO[text]


_YES_OR_NO = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def time(cells: Cells, column: str) -> datetime | None:
    """None for an empty cell; a time without a zone is UTC."""
    text = cells.get(column, "")
    return moment(column, text) if text else None


def moment(place: str, text: str) -> datetime:
    """A time in ISO 8601, or as Go and Ruby print it."""
    try:
        found = datetime.fromisoformat(_GO_TIME.sub("+00:00", text) if text[-1] in "C0" else text)
        in_utc = (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError, IndexError):
        in_utc = None
    if in_utc is None or not _FIRST_YEAR <= in_utc.year <= _LAST_YEAR:
        raise InputError(
            place,
            say(
                "expected a time such as 2026-06-17T08:00:00+00:00 in the years "
                "%(first_year)s to %(last_year)s, found %(text)r",
                first_year=_FIRST_YEAR,
                last_year=_LAST_YEAR,
                text=text,
            ),
        )
    return in_utc


_FIRST_YEAR, _LAST_YEAR = 1900, 2199
"""Others are a slip of the finger, and some day one too many is added to them."""


def json_object(column: str, text: str) -> dict[str, Any]:
    """The object in this cell; empty for an empty cell."""
    if not text:
        return {}
    value = json_value(text)
    if not isinstance(value, dict):
        raise InputError(
            column,
            say(
                'expected a JSON object of at most %(most)s levels, such as {"plan": "pro"}',
                most=MAX_LEVELS,
            ),
        )
    return value


def json_value(text: str, most_levels: int = MAX_LEVELS) -> Any:
    """A JSON value that every database takes, else None."""
    if _is_deeper(text, most_levels):
        return None
    try:
        value = _JSON.decode(text)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()  # half a character is none
    except (ValueError, RecursionError):
        return None
    return None if "\\u0000" in text else value


def _is_deeper(text: str, most_levels: int) -> bool:
    """What is read without an end of the stack may still meet it when it is written."""
    if text.count("{") + text.count("[") <= most_levels:
        return False
    level = 0
    for bracket in _BRACKETS.findall(_STRING.sub("", text)):
        level += 1 if bracket in "{[" else -1
        if level > most_levels:
            return True
    return False


_STRING = re.compile(r'"(?:[^"\\]|\\.)*+"?')
_BRACKETS = re.compile(r"[{}\[\]]")


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _refuse(text)


_JSON = json.JSONDecoder(parse_constant=_refuse, parse_float=_finite)


def tags(text: str) -> list[str]:
    """Tags between commas, or a JSON list of them; Mailchimp puts each in quotes."""
    if not text:
        return []
    given = json_value(text) if text.startswith("[") else None
    words = given if isinstance(given, list) else _between_commas(text)
    named = (word["name"] if isinstance(word, dict) and "name" in word else word for word in words)
    return list(dict.fromkeys(filter(None, (str(word).strip() for word in named))))


def _between_commas(text: str) -> list[str]:
    if '"' not in text:
        return text.split(",")
    try:
        return list(chain(*csv.reader(text.splitlines(), skipinitialspace=True)))
    except csv.Error:  # a tag of a hundred thousand characters, in JSON lines
        return text.split(",")


def attributes(cells: Cells, used: frozenset[str], tagged: str = "") -> dict[str, Any]:
    """What other columns hold, by their names, and the tags of the column called `tagged`.

    Why a row was bad, in the file of those, is nothing about its person.
    """
    found: dict[str, Any] = {
        column: text for column, text in cells.items() if text and column and column not in used
    }
    found.pop("error", None)
    if tagged and (words := tags(cells.get(tagged, ""))):
        found["tags"] = words
    return found
