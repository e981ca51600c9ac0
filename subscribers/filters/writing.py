"""Segments written down: as canonical text, and as JSON for programs. Pure."""

import re
from datetime import date
from decimal import Decimal
from typing import Any

from subscribers.filters.tree import (
    CHOICES,
    SEVERAL,
    All,
    Attribute,
    Compare,
    Exists,
    Field,
    Filter,
    Leaf,
    Not,
    On,
    Sample,
    Some,
    Value,
    Within,
)

JSON_VERSION = 1

_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def written(tree: Filter) -> str:
    """The canonical text of a tree: `parse` makes the same tree of it."""
    match tree:
        case All(terms):
            return " and ".join(_enclosed(term) for term in terms)
        case Some(terms):
            return " or ".join(_enclosed(term) for term in terms)
        case Not(term):
            return f"not {_enclosed(term)}"
        case _:
            return _leaf(tree)


def _leaf(term: Leaf) -> str:
    match term:
        case Compare(field, operator, values):
            shown = ", ".join(_shown(field, value) for value in values)
            return (
                f"{written_name(field)} {operator} {f'({shown})' if operator in SEVERAL else shown}"
            )
        case Exists(field):
            return f"{written_name(field)} exists"
        case On(slug):
            return f"on({_quoted(slug)})"
        case Within(moment, amount, unit):
            return f"{moment}_within({amount}{unit})"
        case Sample(hundredths, seed):
            share = f"{Decimal(hundredths) / 100:f}%"
            return f"sample({share}, {_quoted(seed)})" if seed else f"sample({share})"


def to_json(tree: Filter) -> dict[str, Any]:
    """The tree as JSON for an editor of segments; `segment_reading.from_json` reads it."""
    return {"version": JSON_VERSION, "filter": _node(tree)}


def _node(tree: Filter) -> dict[str, Any]:
    match tree:
        case All(terms):
            return {"all": [_node(term) for term in terms]}
        case Some(terms):
            return {"some": [_node(term) for term in terms]}
        case Not(term):
            return {"not": _node(term)}
        case _:
            return _leaf_node(tree)


def _leaf_node(term: Leaf) -> dict[str, Any]:
    match term:
        case Compare(field, operator, values):
            plain = [value.isoformat() if isinstance(value, date) else value for value in values]
            return {"field": _field(field), "operator": operator.value, "values": plain}
        case Exists(field):
            return {"exists": _field(field)}
        case On(slug):
            return {"on": slug}
        case Within(moment, amount, unit):
            return {"within": moment.value, "amount": amount, "unit": unit}
        case Sample(hundredths, seed):
            return {"sample": hundredths, "seed": seed}


def _field(field: Field | Attribute) -> str | list[str]:
    return list(field.path) if isinstance(field, Attribute) else field.value


def _enclosed(term: Filter) -> str:
    return f"({written(term)})" if isinstance(term, All | Some) else written(term)


def written_name(field: Field | Attribute) -> str:
    """A field as texts name it, such as `attributes."favourite colour"`."""
    if isinstance(field, Field):
        return field.value
    names = [name if _WORD.fullmatch(name) else f'"{name}"' for name in field.path]
    return ".".join(["attributes", *names])


def _shown(field: Field | Attribute, value: Value) -> str:
    if isinstance(value, str):
        return value if field in CHOICES else _quoted(value)
    if isinstance(value, bool):
        return str(value).lower()
    return written_number(value) if isinstance(value, int | float) else str(value)


def written_number(value: float) -> str:
    """A number in digits, without an exponent."""
    return f"{Decimal(repr(value)):f}"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
