"""Questions about a person's attributes in SQL, alike on both databases.

Every answer is true or false, never NULL: who lacks an attribute is answered as well. A value of
another type than was asked for is no error and no match.
"""

import json
from typing import Any, Protocol, TypeAlias

from sqlalchemy import (
    ColumnElement,
    Text,
    and_,
    cast,
    collate,
    func,
    literal,
    select,
    type_coerce,
)
from sqlalchemy.dialects.postgresql import JSONB, JSONPATH

from subscribers.filters.tree import Operator
from subscribers.models import Subscriber

Scalar: TypeAlias = str | int | float | bool
Path: TypeAlias = tuple[str, ...]
_SIGNS = {
    Operator.BELOW: "<",
    Operator.AT_MOST: "<=",
    Operator.ABOVE: ">",
    Operator.AT_LEAST: ">=",
}


class Attributes(Protocol):
    """How one database is asked."""

    def equals(self, path: Path, value: Scalar) -> ColumnElement[bool]:
        """The same value of the same type."""

    def has(self, path: Path, value: Scalar) -> ColumnElement[bool]:
        """An array with that value in it."""

    def exists(self, path: Path) -> ColumnElement[bool]:
        """Something that is neither null nor an empty text."""

    def ordered(self, path: Path, operator: Operator, value: Scalar) -> ColumnElement[bool]:
        """A number before or after a number, or a text a text, by code points."""

    def contains(self, path: Path, part: str) -> ColumnElement[bool]: ...

    def starts_with(self, path: Path, part: str) -> ColumnElement[bool]: ...


def attributes_of(dialect: str) -> Attributes:
    """For `postgresql` or `sqlite`."""
    return _Jsonb() if dialect == "postgresql" else _JsonText()


class _Jsonb:
    """PostgreSQL. Equality and membership are containment, which the index on attributes knows."""

    def equals(self, path: Path, value: Scalar) -> ColumnElement[bool]:
        same: ColumnElement[bool] = self._whole().contains(_json(_nested(path, value)))
        return same

    def has(self, path: Path, value: Scalar) -> ColumnElement[bool]:
        inside: ColumnElement[bool] = self._whole().contains(_json(_nested(path, [value])))
        return inside

    def exists(self, path: Path) -> ColumnElement[bool]:
        found = self._at(path)
        return _known(func.jsonb_typeof(found) != "null", found != _json(""))

    def ordered(self, path: Path, operator: Operator, value: Scalar) -> ColumnElement[bool]:
        sign = _SIGNS[operator]
        if isinstance(value, str):
            return self._of_text(path, collate(self._text(path), "C").bool_op(sign)(value))
        # Strict: an array is not looked into, and what is no number is silently no match.
        asked = cast(literal(f"strict {_route(path)} {sign} $value"), JSONPATH)
        given = _json({"value": value})
        return _known(func.jsonb_path_match(self._whole(), asked, given, True))

    def contains(self, path: Path, part: str) -> ColumnElement[bool]:
        return self._of_text(path, func.strpos(self._text(path), part) > 0)

    def starts_with(self, path: Path, part: str) -> ColumnElement[bool]:
        return self._of_text(path, func.substr(self._text(path), 1, len(part)) == part)

    def _of_text(self, path: Path, holds: ColumnElement[bool]) -> ColumnElement[bool]:
        return _known(func.jsonb_typeof(self._at(path)) == "string", holds)

    def _whole(self) -> Any:
        return type_coerce(Subscriber.attributes, JSONB)

    def _at(self, path: Path) -> Any:
        """Step by step: the operator for whole paths would look into arrays by number."""
        found = self._whole()
        for name in path:
            found = found.op("->", return_type=JSONB())(literal(name, Text))
        return found

    def _text(self, path: Path) -> Any:
        above = self._at(path[:-1])
        return above.op("->>", return_type=Text())(literal(path[-1], Text))


class _JsonText:
    """SQLite, whose JSON is text."""

    def equals(self, path: Path, value: Scalar) -> ColumnElement[bool]:
        kind, found = _extracted(path)
        return _known(*_is(kind, found, value))

    def has(self, path: Path, value: Scalar) -> ColumnElement[bool]:
        kind, _ = _extracted(path)
        each = func.json_each(Subscriber.attributes, _route(path)).table_valued("type", "value")
        found = select(literal(1)).select_from(each).where(*_is(each.c.type, each.c.value, value))
        return _known(kind == "array", found.correlate(Subscriber).exists())

    def exists(self, path: Path) -> ColumnElement[bool]:
        kind, found = _extracted(path)
        return _known(kind != "null", found != "")

    def ordered(self, path: Path, operator: Operator, value: Scalar) -> ColumnElement[bool]:
        kind, found = _extracted(path)
        return _known(_same_type(kind, value), found.bool_op(_SIGNS[operator])(value))

    def contains(self, path: Path, part: str) -> ColumnElement[bool]:
        kind, found = _extracted(path)
        return _known(kind == "text", func.instr(found, part) > 0)

    def starts_with(self, path: Path, part: str) -> ColumnElement[bool]:
        kind, found = _extracted(path)
        return _known(kind == "text", func.substr(found, 1, len(part)) == part)


def _known(*conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    """All of them hold; what cannot be told does not."""
    return func.coalesce(and_(*conditions), False)


def _json(value: object) -> ColumnElement[Any]:
    """As text, so that an index by the same condition can have it written out."""
    return cast(literal(json.dumps(value, ensure_ascii=False, allow_nan=False), Text), JSONB)


def _nested(path: Path, value: object) -> object:
    for name in reversed(path):
        value = {name: value}
    return value


def _extracted(path: Path) -> tuple[Any, Any]:
    """The type of what the path leads to, and its value."""
    column, route = Subscriber.attributes, _route(path)
    return func.json_type(column, route), func.json_extract(column, route)


def _route(path: Path) -> str:
    """No name holds a quote or a backslash: see `tree.is_path`."""
    return "$" + "".join(f'."{name}"' for name in path)


def _is(kind: Any, found: Any, value: Scalar) -> tuple[ColumnElement[bool], ...]:
    if isinstance(value, bool):
        return (kind == str(value).lower(),)
    return _same_type(kind, value), found == value


def _same_type(kind: Any, value: Scalar) -> ColumnElement[bool]:
    of_type: ColumnElement[bool] = kind.in_(
        ["text"] if isinstance(value, str) else ["integer", "real"]
    )
    return of_type
