"""What the rows of a builder mean; what is wrong with a row is said of that row. Pure."""

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal, InvalidOperation

from newsletter.core.errors import InputError
from newsletter.core.sentences import Count, Sentence, say
from subscribers.filters import tree as segment_tree
from subscribers.filters.language import parse
from subscribers.filters.rows import (
    ATTRIBUTE,
    EXISTS,
    NOT,
    ON,
    SAMPLE,
    WITHIN,
    Drawing,
    Group,
    Kind,
    Match,
    Row,
    comparisons,
    field_named,
)
from subscribers.filters.tree import (
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
)
from subscribers.filters.writing import written

_LONGEST = 40


class RowsError(InputError):
    """Rows that say nothing that can be asked.

    Attributes:
        problems: what was expected, by the row's place, such as `0.2`.
    """

    def __init__(self, problems: Mapping[str, Sentence]) -> None:
        self.problems = dict(problems)
        place, sentence = next(iter(self.problems.items()))
        super().__init__(place, sentence)


def tree_of(drawing: Drawing) -> Filter:
    """What rows mean.

    Raises:
        RowsError: names every row that cannot be read.
        SegmentError: together they are too long or too many.
    """
    problems: dict[str, Sentence] = {}
    groups: list[Filter] = []
    for number, group in enumerate(drawing.groups):
        terms = _terms(group, str(number), problems)
        if terms:
            groups.append(_together(terms, group.match))
    if problems or not groups:
        raise RowsError(problems or {"0.0": say("expected at least one row")})
    return parse(written(_together(groups, drawing.match)))


def _terms(group: Group, place: str, problems: dict[str, Sentence]) -> list[Filter]:
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


def _term(row: Row) -> Filter:
    """What one row means.

    Raises:
        InputError: what was expected in it.
    """
    if row.operator not in comparisons(row.subject):
        raise InputError("row", say("expected a comparison that this field has"))
    is_negated = row.operator.startswith(NOT) and row.operator != Operator.NOT_IN
    operator = row.operator.removeprefix(NOT) if is_negated else row.operator
    leaf = _leaf(row, operator)
    return Not(leaf) if is_negated else leaf


def _leaf(row: Row, operator: str) -> Leaf:
    if operator == ON:
        return On(_text(row.value, say("a list")))
    if operator == SAMPLE:
        return Sample(_hundredths(row.value), row.seed and _text(row.seed, say("a printable text")))
    if operator == WITHIN:
        return Within(Moment(row.subject), _amount(row.value), _unit(row.unit))
    asked = field_named(row.subject, _names(row.path) if row.subject == ATTRIBUTE else ())
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
            raise InputError("row", say("expected %(expected)s", expected=expected))
    return Compare(asked, operator, values)


def _value(asked: Field | Attribute, typed: str, kind: str) -> Value:
    if asked in DAYS:
        return _day(typed)
    if asked in CHOICES or not isinstance(asked, Attribute) or kind == Kind.TEXT:
        return typed
    if kind == Kind.TRUTH:
        if typed not in ("true", "false"):
            raise InputError("row", say("expected true or false"))
        return typed == "true"
    return _number(typed)


def _day(typed: str) -> date:
    try:
        return date.fromisoformat(typed.strip())
    except ValueError:
        raise InputError("row", say("expected a day such as 2026-01-31")) from None


def _number(typed: str) -> int | float:
    number = _decimal(typed, say("a number"))
    value = float(number)
    return int(value) if value.is_integer() and abs(value) < segment_tree.MAX_NUMBER else value


def _decimal(typed: str, expected: Sentence) -> Decimal:
    """Digits as people write them, not all that Python takes for a number."""
    plain = typed.strip()
    try:
        number = Decimal(plain)
    except InvalidOperation:
        raise InputError("row", say("expected %(expected)s", expected=expected)) from None
    if not number.is_finite() or not set(plain) <= set("-0123456789.") or len(plain) > _LONGEST:
        raise InputError("row", say("expected %(expected)s", expected=expected))
    return number


def _hundredths(typed: str) -> int:
    expected = say("a share from 0.01 to 100 percent")
    hundredths = _decimal(typed.strip().removesuffix("%"), expected) * 100
    if not 0 < hundredths <= HUNDREDTHS or hundredths % 1:
        raise InputError("row", say("expected %(expected)s", expected=expected))
    return int(hundredths)


def _amount(typed: str) -> int:
    plain = typed.strip()
    is_number = plain.isascii() and plain.isdigit() and len(plain) <= len(str(MAX_AMOUNT))
    if not is_number or int(plain) == 0:
        raise InputError(
            "row", say("expected a whole number from 1 to %(most)s", most=Count(MAX_AMOUNT))
        )
    return int(plain)


def _unit(typed: str) -> str:
    if typed not in HOURS:
        raise InputError("row", say("expected one of %(units)s", units=", ".join(HOURS)))
    return typed


def _text(typed: str, expected: Sentence) -> str:
    if not typed or not segment_tree.is_usable(typed):
        raise InputError("row", say("expected %(expected)s", expected=expected))
    return typed


def _names(path: str) -> tuple[str, ...]:
    """The names that lead to an attribute; with quotes in it, it is read as in a text."""
    expected = say("expected the name of an attribute, such as plan or address.city")
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
