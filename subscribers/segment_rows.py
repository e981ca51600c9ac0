"""Segments as rows that people fill in: a field, a comparison, a value; in groups. Pure.

What rows cannot say stays text: `draw` either gives rows of which `tree_of` makes the very same
tree, or nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from enum import StrEnum

from newsletter.core.errors import InputError
from subscribers import segment_tree
from subscribers.segment_language import parse
from subscribers.segment_tree import (
    CHOICES,
    DAYS,
    HOURS,
    HUNDREDTHS,
    MAX_AMOUNT,
    SEVERAL,
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
from subscribers.segment_writing import written, written_name, written_number

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


class RowsError(InputError):
    """Rows that say nothing that can be asked.

    Attributes:
        problems: what was expected, by the row's place, such as `0.2`.
    """

    def __init__(self, problems: Mapping[str, str]) -> None:
        self.problems = dict(problems)
        place, sentence = next(iter(self.problems.items()))
        super().__init__(place, sentence)


def comparisons(subject: str) -> tuple[str, ...]:
    """What a subject can be compared by, in the order people look for it."""
    if subject in (ON, SAMPLE):
        return (subject, NOT + subject)
    if subject in set(Moment):
        return (WITHIN, NOT + WITHIN)
    found: list[str] = []
    for operator in operators_of(_field_named(subject, ("a",))):
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


def tree_of(drawing: Drawing) -> Filter:
    """What rows mean.

    Raises:
        RowsError: names every row that cannot be read.
        SegmentError: together they are too long or too many.
    """
    problems: dict[str, str] = {}
    groups: list[Filter] = []
    for number, group in enumerate(drawing.groups):
        terms = _terms(group, str(number), problems)
        if terms:
            groups.append(_together(terms, group.match))
    if problems or not groups:
        raise RowsError(problems or {"0.0": "expected at least one row"})
    return parse(written(_together(groups, drawing.match)))


def _terms(group: Group, place: str, problems: dict[str, str]) -> list[Filter]:
    terms: list[Filter] = []
    for number, row in enumerate(group.rows):
        try:
            terms.append(_term(row))
        except InputError as error:
            problems[f"{place}.{number}"] = error.problem
    return terms


def _together(terms: Sequence[Filter], match: Match) -> Filter:
    if len(terms) == 1:
        return terms[0]
    return All(tuple(terms)) if match is Match.ALL else Some(tuple(terms))


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


def _term(row: Row) -> Filter:
    """What one row means.

    Raises:
        InputError: what was expected in it.
    """
    if row.operator not in comparisons(row.subject):
        raise InputError("row", "expected a comparison that this field has")
    is_negated = row.operator.startswith(NOT) and row.operator != Operator.NOT_IN
    operator = row.operator.removeprefix(NOT) if is_negated else row.operator
    leaf = _leaf(row, operator)
    return Not(leaf) if is_negated else leaf


def _leaf(row: Row, operator: str) -> Leaf:
    if operator == ON:
        return On(_text(row.value, "a list"))
    if operator == SAMPLE:
        return Sample(_hundredths(row.value), row.seed and _text(row.seed, "a printable text"))
    if operator == WITHIN:
        return Within(Moment(row.subject), _amount(row.value), _unit(row.unit))
    asked = _field_named(row.subject, _names(row.path) if row.subject == ATTRIBUTE else ())
    if operator == EXISTS:
        return Exists(asked)
    return _compared(asked, Operator(operator), row)


def _compared(asked: Field | Attribute, operator: Operator, row: Row) -> Compare:
    typed = row.value.replace("\r\n", "\n")
    parts = [part for part in typed.split("\n") if part] if operator in SEVERAL else [typed]
    values = tuple(_value(asked, part, row.kind) for part in parts)
    for value in values or (None,):
        expected = segment_tree.expected_value(asked, operator, value)
        if expected:
            raise InputError("row", f"expected {expected}")
    return Compare(asked, operator, values)


def _value(asked: Field | Attribute, typed: str, kind: str) -> Value:
    if asked in DAYS:
        return _day(typed)
    if asked in CHOICES or not isinstance(asked, Attribute) or kind == Kind.TEXT:
        return typed
    if kind == Kind.TRUTH:
        if typed not in ("true", "false"):
            raise InputError("row", "expected true or false")
        return typed == "true"
    return _number(typed)


def _day(typed: str) -> date:
    try:
        return date.fromisoformat(typed.strip())
    except ValueError:
        raise InputError("row", "expected a day such as 2026-01-31") from None


def _number(typed: str) -> int | float:
    number = _decimal(typed, "a number")
    value = float(number)
    return int(value) if value.is_integer() and abs(value) < segment_tree.MAX_NUMBER else value


def _decimal(typed: str, expected: str) -> Decimal:
    """Digits as people write them, not all that Python takes for a number."""
    plain = typed.strip()
    try:
        number = Decimal(plain)
    except InvalidOperation:
        raise InputError("row", f"expected {expected}") from None
    if not number.is_finite() or not set(plain) <= set("-0123456789.") or len(plain) > _LONGEST:
        raise InputError("row", f"expected {expected}")
    return number


_LONGEST = 40


def _hundredths(typed: str) -> int:
    expected = "a share from 0.01 to 100 percent"
    hundredths = _decimal(typed.strip().removesuffix("%"), expected) * 100
    if not 0 < hundredths <= HUNDREDTHS or hundredths % 1:
        raise InputError("row", f"expected {expected}")
    return int(hundredths)


def _amount(typed: str) -> int:
    plain = typed.strip()
    is_number = plain.isascii() and plain.isdigit() and len(plain) <= len(str(MAX_AMOUNT))
    if not is_number or int(plain) == 0:
        raise InputError("row", f"expected a whole number from 1 to {MAX_AMOUNT:,}")
    return int(plain)


def _unit(typed: str) -> str:
    if typed not in HOURS:
        raise InputError("row", f"expected one of {', '.join(HOURS)}")
    return typed


def _text(typed: str, expected: str) -> str:
    if not typed or not segment_tree.is_usable(typed):
        raise InputError("row", f"expected {expected}")
    return typed


def _field_named(subject: str, path: tuple[str, ...]) -> Field | Attribute:
    if subject == ATTRIBUTE:
        return Attribute(path)
    if subject not in set(Field):
        raise InputError("row", "expected a field")
    return Field(subject)


def _names(path: str) -> tuple[str, ...]:
    """The names that lead to an attribute; with quotes in it, it is read as in a text."""
    expected = "expected the name of an attribute, such as plan or address.city"
    if '"' in path:
        try:
            read = parse(f"attributes.{path} exists")
        except InputError:
            raise InputError("row", expected) from None
        if isinstance(read, Exists) and isinstance(read.field, Attribute):
            return read.field.path
        raise InputError("row", expected)
    names = tuple(name.strip() for name in path.split("."))
    if not segment_tree.is_path(names):
        raise InputError("row", expected)
    return names


EMPTY = Drawing((Group((Row(value="active"),)),))
"""What a builder begins with: everybody who is mailed."""
