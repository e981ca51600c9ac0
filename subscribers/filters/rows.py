"""Segments as rows that people fill in: a field, a comparison, a value; in groups. Pure.

What rows cannot say stays text: `draw` either gives rows of which `tree_of` makes the very same
tree, or nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from newsletter.core.errors import InputError
from newsletter.core.sentences import say
from subscribers.filters import tree as segment_tree
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
    Value,
    Within,
    operators_of,
)
from subscribers.filters.writing import written_name, written_number

ATTRIBUTE, ON, SAMPLE = "attribute", "on", "sample"
"""Subjects of rows besides the names of fields and moments."""
EXISTS, WITHIN = "exists", "within"
"""Comparisons besides the operators."""
NOT = "not "
MAX_ROWS = segment_tree.MAX_TERMS

_OWN_NEGATION = (Operator.CONTAINS, Operator.STARTS_WITH, Operator.HAS)
"""Operators that have no opposite of their own: rows negate them, and what is asked of a thing."""


class Match(StrEnum):
    """How many of several have to hold."""

    ALL = "all"
    ANY = "any"


class Kind(StrEnum):
    """What a value of an attribute is; of a field it is known."""

    TEXT = "text"
    NUMBER = "number"
    TRUTH = "truth"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a builder, every part as it was typed.

    Attributes:
        subject: a Field, a Moment, ATTRIBUTE, ON or SAMPLE.
        operator: one of `comparisons(subject)`.
        value: the value; for `in` and `not in` one a line; a list's short name; a share in percent.
        path: the names that lead to an attribute, between dots.
        kind: of an attribute's value.
        unit: of a time: h, d or w.
        seed: of a sample.
    """

    subject: str = Field.STATUS
    operator: str = Operator.IS
    value: str = ""
    path: str = ""
    kind: str = Kind.TEXT
    unit: str = "d"
    seed: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """Rows of which all or any have to hold."""

    rows: tuple[Row, ...]
    match: Match = Match.ALL


@dataclass(frozen=True, slots=True)
class Drawing:
    """Groups of which all or any have to hold."""

    groups: tuple[Group, ...] = ()
    match: Match = Match.ALL


def field_named(subject: str, path: tuple[str, ...]) -> Field | Attribute:
    """The field of a row; an attribute by the names that lead to it.

    Raises:
        InputError: there is no such field.
    """
    if subject == ATTRIBUTE:
        return Attribute(path)
    if subject not in set(Field):
        raise InputError("row", say("expected a field"))
    return Field(subject)


def comparisons(subject: str) -> tuple[str, ...]:
    """What a subject can be compared by, in the order people look for it."""
    if subject in (ON, SAMPLE):
        return (subject, NOT + subject)
    if subject in set(Moment):
        return (WITHIN, NOT + WITHIN)
    found: list[str] = []
    for operator in operators_of(field_named(subject, ("a",))):
        found.append(operator.value)
        if operator in _OWN_NEGATION:
            found.append(NOT + operator)
    return (*found, EXISTS, NOT + EXISTS)


def draw(tree: Filter) -> Drawing | None:
    """The rows that say what the tree says; None when rows cannot."""
    if isinstance(tree, All | Some):
        group = _group(tree)
        if group is not None:
            return Drawing((group,))
        groups = [_group(term) for term in tree.terms]
        drawn = tuple(group for group in groups if group is not None)
        return Drawing(drawn, _match(tree)) if len(drawn) == len(groups) else None
    group = _group(tree)
    return None if group is None else Drawing((group,))


def _match(tree: All | Some) -> Match:
    return Match.ALL if isinstance(tree, All) else Match.ANY


def _group(tree: Filter) -> Group | None:
    """A row by itself, or several beside each other."""
    terms: Iterable[Filter] = tree.terms if isinstance(tree, All | Some) else (tree,)
    rows = [_row(term) for term in terms]
    drawn = tuple(row for row in rows if row is not None)
    if len(drawn) < len(rows):
        return None
    return Group(drawn, _match(tree) if isinstance(tree, All | Some) else Match.ALL)


def _row(term: Filter) -> Row | None:
    if isinstance(term, Not):
        inner = term.term
        if isinstance(inner, Not | All | Some):
            return None
        is_said = not isinstance(inner, Compare) or inner.operator in _OWN_NEGATION
        return _leaf_row(inner, NOT) if is_said else None
    return None if isinstance(term, All | Some) else _leaf_row(term, "")


def _leaf_row(term: Leaf, negated: str) -> Row | None:
    match term:
        case Compare():
            return _compare_row(term, negated)
        case Exists(asked):
            return Row(_subject(asked), negated + EXISTS, path=_path(asked))
        case On(slug):
            return Row(ON, negated + ON, slug)
        case Within(moment, amount, unit):
            return Row(moment.value, negated + WITHIN, str(amount), unit=unit)
        case Sample(hundredths, seed):
            share = f"{Decimal(hundredths) / 100:f}"
            return Row(SAMPLE, negated + SAMPLE, share, seed=seed)


def _compare_row(term: Compare, negated: str) -> Row | None:
    kinds = {_kind(value) for value in term.values}
    if len(kinds) > 1:
        return None
    return Row(
        _subject(term.field),
        negated + term.operator,
        "\n".join(_typed(value) for value in term.values),
        _path(term.field),
        kinds.pop() if isinstance(term.field, Attribute) else Kind.TEXT,
    )


def _kind(value: Value) -> Kind:
    if isinstance(value, bool):
        return Kind.TRUTH
    return Kind.NUMBER if isinstance(value, int | float) else Kind.TEXT


def _typed(value: Value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return written_number(value) if isinstance(value, int | float) else str(value)


def _subject(asked: Field | Attribute) -> str:
    return ATTRIBUTE if isinstance(asked, Attribute) else asked.value


def _path(asked: Field | Attribute) -> str:
    """As people would write it; with quotes where a name has what stands between names."""
    if isinstance(asked, Field):
        return ""
    is_plain = all("." not in name and name.strip() == name for name in asked.path)
    return ".".join(asked.path) if is_plain else written_name(asked).removeprefix("attributes.")


EMPTY = Drawing((Group((Row(value="active"),)),))
"""What a builder begins with: everybody who is mailed."""
