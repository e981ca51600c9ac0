"""What a segment means, in plain Python: the SQL has to agree with it on both databases."""

import operator as compare
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from hashlib import sha256
from typing import Any
from unicodedata import normalize

from subscribers.filters.tree import (
    All,
    Attribute,
    Compare,
    Exists,
    Field,
    Filter,
    Leaf,
    Moment,
    Not,
    On,
    Operator,
    Sample,
    Some,
    Within,
)

NOTHING = object()
ORDER: dict[Operator, Callable[[Any, Any], bool]] = {
    Operator.BELOW: compare.lt,
    Operator.AT_MOST: compare.le,
    Operator.ABOVE: compare.gt,
    Operator.AT_LEAST: compare.ge,
}
NEGATED = (Operator.IS_NOT, Operator.NOT_IN)
PLAIN = {
    Operator.IS_NOT: Operator.IS,
    Operator.IN: Operator.IS,
    Operator.NOT_IN: Operator.IS,
}
PRIME = 2**31 - 1


@dataclass(frozen=True)
class Person:
    """One person, and the subscription they are looked at by."""

    address_key: str
    typed: str
    name: str
    locale: str
    time_zone: str
    attributes: Mapping[str, Any]
    created_at: datetime
    status: str
    tracking: str
    subscribed_at: datetime
    confirmed_at: datetime | None
    opened_at: datetime | None
    clicked_at: datetime | None
    active_on: frozenset[str] = field(default_factory=frozenset)
    id: int = 0


def matches(tree: Filter, person: Person, now: datetime) -> bool:
    match tree:
        case All(terms):
            return all(matches(term, person, now) for term in terms)
        case Some(terms):
            return any(matches(term, person, now) for term in terms)
        case Not(term):
            return not matches(term, person, now)
        case _:
            return leaf_matches(tree, person, now)


def leaf_matches(leaf: Leaf, person: Person, now: datetime) -> bool:
    match leaf:
        case Compare(of, operator, values):
            holds = any(compared(person, of, PLAIN.get(operator, operator), v) for v in values)
            return holds is not (operator in NEGATED)
        case Exists(of):
            return value_of(person, of) not in (NOTHING, None, "")
        case On(slug):
            return slug in person.active_on
        case Within(moment, amount, unit):
            hours = amount * {"h": 1, "d": 24, "w": 168}[unit]
            return happened_since(person, moment, now - timedelta(hours=hours))
        case Sample(hundredths, seed):
            return place_of(person.id, seed) < hundredths


def compared(person: Person, of: Field | Attribute, operator: Operator, wanted: Any) -> bool:
    found = value_of(person, of)
    if isinstance(of, Attribute):
        return attribute_compared(found, operator, wanted)
    if isinstance(wanted, date):
        return day_compared(found, operator, wanted)
    text: str = found
    if of in (Field.EMAIL, Field.DOMAIN) and not wanted.isascii() and operator is not Operator.IS:
        typed = person.typed.lower()
        typed = typed if of is Field.EMAIL else typed.partition("@")[2]
        composed = normalize("NFC", wanted).lower()
        return text_compared(text, operator, wanted.lower()) or text_compared(
            typed, operator, composed
        )
    wanted = wanted.lower() if of in (Field.EMAIL, Field.DOMAIN) else folded(wanted)
    if of is Field.LOCALE:
        wanted = wanted.replace("_", "-")
        if operator is Operator.IS:
            return text == wanted or text.startswith(wanted + "-")
    return text_compared(text, operator, wanted)


def text_compared(found: str, operator: Operator, wanted: str) -> bool:
    if operator is Operator.CONTAINS:
        return wanted in found
    return found.startswith(wanted) if operator is Operator.STARTS_WITH else found == wanted


def attribute_compared(found: Any, operator: Operator, wanted: Any) -> bool:
    if operator is Operator.HAS:
        return isinstance(found, list) and any(
            kind(each) == kind(wanted) and each == wanted for each in found
        )
    if kind(found) != kind(wanted):
        return False
    if operator in ORDER:
        return ORDER[operator](found, wanted)
    return found == wanted if kind(found) != "text" else text_compared(found, operator, wanted)


def day_compared(found: datetime | None, operator: Operator, day: date) -> bool:
    if found is None:
        return False
    begin = datetime.combine(day, time(), UTC)
    day_of = found.astimezone(UTC).date() if operator is Operator.IS else None
    if operator is Operator.IS:
        return day_of == day
    at = begin if operator in (Operator.BELOW, Operator.AT_LEAST) else begin + timedelta(days=1)
    after = operator in (Operator.ABOVE, Operator.AT_LEAST)
    return found >= at if after else found < at


def happened_since(person: Person, moment: Moment, since: datetime) -> bool:
    if moment in (Moment.OPENED, Moment.CLICKED) and person.tracking != "granted":
        return False
    found: datetime | None = getattr(person, f"{moment}_at")
    return found is not None and found >= since


def place_of(number: int, seed: str) -> int:
    digest = sha256(seed.encode()).digest()
    a, b, c = (1 + int.from_bytes(digest[n : n + 8]) % (PRIME - 1) for n in (0, 8, 16))
    scattered = (number % PRIME * a + b) % PRIME
    return (scattered * scattered % PRIME * c + scattered) % PRIME % 10_000


def value_of(person: Person, of: Field | Attribute) -> Any:
    if isinstance(of, Attribute):
        found: Any = person.attributes
        for name in of.path:
            found = found.get(name, NOTHING) if isinstance(found, dict) else NOTHING
        return found
    match of:
        case Field.EMAIL:
            return person.address_key
        case Field.DOMAIN:
            return person.address_key.rpartition("@")[2]
        case Field.LOCALE:
            return folded(person.locale).replace("_", "-")
        case Field.NAME | Field.TIME_ZONE:
            return folded(getattr(person, of))
        case _:
            return getattr(person, of)


def kind(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return "text" if isinstance(value, str) else "other"


def folded(text: str) -> str:
    return "".join(c.lower() if "A" <= c <= "Z" else c for c in text)
