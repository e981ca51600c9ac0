"""Segments as an editor of segments sends them: JSON, read strictly. Pure."""

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any, TypeAlias

from newsletter.core.errors import InputError
from newsletter.core.sentences import Count, say
from subscribers.filters import tree as tree_of
from subscribers.filters.language import parse
from subscribers.filters.tree import (
    DAYS,
    HOURS,
    MAX_AMOUNT,
    MAX_DEPTH,
    SEVERAL,
    All,
    Attribute,
    Compare,
    Exists,
    Field,
    Filter,
    Moment,
    Not,
    On,
    Operator,
    Sample,
    Some,
    Value,
    Within,
)
from subscribers.filters.writing import JSON_VERSION, written

_Node: TypeAlias = Mapping[str, Any]


def from_json(data: object) -> Filter:
    """The tree that `writing.to_json` wrote, or somebody else in the same form.

    Raises:
        InputError: names the node, as in `filter.all[1].values`, and what was expected there.
        SegmentError: it is too long or has too many terms.
    """
    if not isinstance(data, Mapping) or set(data) != {"version", "filter"}:
        raise InputError("segment", say("expected an object with `version` and `filter`"))
    if data["version"] != JSON_VERSION:
        raise InputError("version", say("expected %(version)s", version=JSON_VERSION))
    return parse(written(_read(data["filter"], "filter", 0)))


def _read(node: object, place: str, depth: int) -> Filter:
    if depth > MAX_DEPTH:
        raise InputError(place, say("expected at most %(most)s levels", most=MAX_DEPTH))
    keys = frozenset(node) if isinstance(node, Mapping) else frozenset()
    if not isinstance(node, Mapping) or keys not in _LEAVES.keys() | _BRANCHES.keys():
        known = "; ".join(sorted(", ".join(sorted(k)) for k in _LEAVES.keys() | _BRANCHES.keys()))
        raise InputError(
            place, say("expected an object with the keys of one of: %(known)s", known=known)
        )
    if keys in _LEAVES:
        return _LEAVES[keys](node, place)
    return _BRANCHES[keys](node, place, depth + 1)


def _not(node: _Node, place: str, depth: int) -> Filter:
    return Not(_read(node["not"], f"{place}.not", depth))


def _all(node: _Node, place: str, depth: int) -> Filter:
    return All(_terms(node["all"], f"{place}.all", depth))


def _some(node: _Node, place: str, depth: int) -> Filter:
    return Some(_terms(node["some"], f"{place}.some", depth))


def _terms(terms: object, place: str, depth: int) -> tuple[Filter, ...]:
    if not isinstance(terms, list) or len(terms) < 2:  # noqa: PLR2004 - one is no alternative
        raise InputError(place, say("expected a list of at least two"))
    return tuple(_read(term, f"{place}[{n}]", depth) for n, term in enumerate(terms))


def _compare(node: _Node, place: str) -> Filter:
    field = _field(node["field"], f"{place}.field")
    operators = tree_of.operators_of(field)
    if node["operator"] not in operators:
        raise InputError(
            f"{place}.operator",
            say("expected one of: %(operators)s", operators=", ".join(operators)),
        )
    operator = Operator(node["operator"])
    values = node["values"]
    if not isinstance(values, list) or not values or (len(values) > 1) > (operator in SEVERAL):
        several = say("at least one value") if operator in SEVERAL else say("one value")
        raise InputError(f"{place}.values", say("expected a list of %(several)s", several=several))
    return Compare(
        field,
        operator,
        tuple(_value(field, operator, v, f"{place}.values[{n}]") for n, v in enumerate(values)),
    )


def _value(field: Field | Attribute, operator: Operator, value: Any, place: str) -> Value:
    if field in DAYS and isinstance(value, str):
        value = _day(value)
    expected = tree_of.expected_value(field, operator, value)
    if expected:
        raise InputError(place, say("expected %(expected)s", expected=expected))
    found: Value = value
    return found


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _exists(node: _Node, place: str) -> Filter:
    return Exists(_field(node["exists"], f"{place}.exists"))


def _on(node: _Node, place: str) -> Filter:
    return On(_text(node["on"], f"{place}.on"))


def _within(node: _Node, place: str) -> Filter:
    amount = node["amount"]
    if node["within"] not in list(Moment):
        raise InputError(
            f"{place}.within", say("expected one of: %(moments)s", moments=", ".join(Moment))
        )
    if node["unit"] not in list(HOURS):
        raise InputError(f"{place}.unit", say("expected one of: %(units)s", units=", ".join(HOURS)))
    if type(amount) is not int or not 0 < amount <= MAX_AMOUNT:
        raise InputError(
            f"{place}.amount",
            say("expected a whole number from 1 to %(most)s", most=Count(MAX_AMOUNT)),
        )
    return Within(Moment(node["within"]), amount, node["unit"])


def _sample(node: _Node, place: str) -> Filter:
    share = node["sample"]
    if type(share) is not int or not 0 < share <= tree_of.HUNDREDTHS:
        raise InputError(f"{place}.sample", say("expected hundredths of a percent, 1 to 10,000"))
    seed = node["seed"]
    return Sample(share, seed if seed == "" else _text(seed, f"{place}.seed"))


def _text(value: object, place: str) -> str:
    if not isinstance(value, str) or not value or not tree_of.is_usable(value):
        raise InputError(place, say("expected a text of printable characters, not empty"))
    return value


def _field(value: object, place: str) -> Field | Attribute:
    if isinstance(value, list) and tree_of.is_path(value):
        return Attribute(tuple(value))
    if value in list(Field):
        return Field(str(value))
    raise InputError(
        place,
        say(
            "expected one of %(fields)s, or a list of names that lead to an attribute",
            fields=", ".join(Field),
        ),
    )


_LEAVES: dict[frozenset[str], Callable[[_Node, str], Filter]] = {
    frozenset({"field", "operator", "values"}): _compare,
    frozenset({"exists"}): _exists,
    frozenset({"on"}): _on,
    frozenset({"within", "amount", "unit"}): _within,
    frozenset({"sample", "seed"}): _sample,
}
_BRANCHES: dict[frozenset[str], Callable[[_Node, str, int], Filter]] = {
    frozenset({"not"}): _not,
    frozenset({"all"}): _all,
    frozenset({"some"}): _some,
}
