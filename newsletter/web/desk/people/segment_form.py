"""The two sides of a segment's form: rows to fill in, and its text. Each follows the other."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

from newsletter.core.errors import InputError
from newsletter.web.desk.forms import Form
from newsletter.web.desk.problems import capitalised
from newsletter.web.desk.text import _
from subscribers.filters.language import parse
from subscribers.filters.row_reading import RowsError, tree_of
from subscribers.filters.rows import (
    EMPTY,
    MAX_ROWS,
    SAMPLE,
    Drawing,
    Group,
    Match,
    Row,
    comparisons,
    draw,
)
from subscribers.filters.tokens import SegmentError
from subscribers.filters.tree import Field, Filter, Moment
from subscribers.filters.writing import written

_PARTS = ("subject", "operator", "value", "path", "kind", "unit", "seed")


@dataclass(frozen=True, slots=True)
class Sides:
    """A segment as rows and as text.

    Attributes:
        drawing: None when rows cannot say what the text says.
        text: as typed, or as the rows are written.
        tree: what both mean; None when something is wrong.
        problems: what, by place: a row such as `0.2`, `text`, or `both`.
        picture: where the text stops making sense.
    """

    drawing: Drawing | None
    text: str
    tree: Filter | None
    problems: Mapping[str, str] = field(default_factory=dict)
    picture: str = ""

    @classmethod
    def of_text(cls, text: str) -> Self:
        """The text is what counts."""
        try:
            tree = parse(text)
        except SegmentError as error:
            said = _("Expected %(what)s.", what=error.expected)
            return cls(None, text, None, {"text": said}, error.picture)
        return cls(draw(tree), text, tree)

    @classmethod
    def of_rows(cls, drawing: Drawing, text: str) -> Self:
        """The rows are what counts; `text` stays while they say nothing."""
        try:
            tree = tree_of(drawing)
        except RowsError as error:
            said = {place: capitalised(problem) for place, problem in error.problems.items()}
            return cls(drawing, text, None, said)
        except InputError as error:
            return cls(drawing, text, None, {"both": capitalised(error.problem)})
        return cls(drawing, written(tree), tree)

    def without_haste(self) -> Self:
        """Rows that nobody has filled in yet are not complained of before somebody saves them."""
        groups = self.drawing.groups if self.drawing else ()
        begun = {
            f"{number}.{at}"
            for number, group in enumerate(groups)
            for at, row in enumerate(group.rows)
            if row.value or row.path
        }
        said = {
            place: text
            for place, text in self.problems.items()
            if place in begun or place in ("both", "text")
        }
        return replace(self, problems=said)

    @classmethod
    def beginning(cls) -> Self:
        """Of a segment that is not there yet."""
        return cls.of_rows(EMPTY, "")


def sent(form: Form) -> Sides:
    """What was sent, by the side that somebody changed since the page was shown.

    Raises nothing: who changed both to say different things is told so.
    """
    text, shown = form.one("text"), form.one("shown")
    drawing = drawing_of(form)
    if drawing is None:
        return Sides.of_text(text)
    rows = Sides.of_rows(drawing, text)
    if text == shown:
        return rows
    typed = Sides.of_text(text)
    if rows.tree is not None and written(rows.tree) == shown:
        return typed
    if rows.tree is not None and rows.tree == typed.tree:
        return rows
    said = _("Rows and text were both changed, and say different things. Mend one of them.")
    return Sides(drawing, text, None, {"both": said, **typed.problems}, typed.picture)


def drawing_of(form: Form) -> Drawing | None:
    """The rows that were sent; None when the page had none to fill in."""
    places = [place for place in form.all("row") if _is_place(place)][:MAX_ROWS]
    if not places:
        return None
    groups: dict[str, list[Row]] = {}
    for place in places:
        groups.setdefault(place.partition(".")[0], []).append(_row(form, place))
    return Drawing(
        tuple(
            Group(tuple(rows), _match(form.one(f"match.{number}")))
            for number, rows in groups.items()
        ),
        _match(form.one("match")),
    )


def _is_place(place: str) -> bool:
    return all(part.isascii() and part.isdecimal() for part in place.split(".", 1)) and (
        place.count(".") == 1
    )


def _row(form: Form, place: str) -> Row:
    """As typed: white space may be what somebody looks for."""
    parts = {part: form.text(f"{part}.{place}") for part in _PARTS if f"{part}.{place}" in form}
    row = replace(Row(), **parts)
    was = form.one(f"was.{place}")
    return begun(row.subject) if was and was != row.subject else _fitted(row)


def begun(subject: str) -> Row:
    """A row about another thing than before, to be filled in."""
    value = _FIRST_VALUES.get(subject, "")
    return _fitted(Row(subject, "", value))


_FIRST_VALUES: dict[str, str] = {
    Field.STATUS: "active",
    Field.TRACKING: "granted",
    SAMPLE: "10",
    **dict.fromkeys(Moment, "30"),
}


def _fitted(row: Row) -> Row:
    """With a comparison that its subject has."""
    try:
        known = comparisons(row.subject)
    except InputError:
        return row
    return row if row.operator in known else replace(row, operator=known[0])


def _match(text: str) -> Match:
    return Match.ANY if text == Match.ANY else Match.ALL


def changed(drawing: Drawing, deed: str) -> Drawing:
    """After a button: `row-G` adds a row to a group, `group` a group, `drop-G.R` takes one away."""
    verb, _sep, place = deed.partition("-")
    if verb == "group":
        return replace(drawing, groups=(*drawing.groups, Group((Row(value="active"),))))
    groups = []
    for number, group in enumerate(drawing.groups):
        rows = list(group.rows)
        if verb == "row" and place == str(number) and len(rows) < MAX_ROWS:
            rows.append(Row(value="active"))
        if verb == "drop":
            rows = [row for at, row in enumerate(rows) if place != f"{number}.{at}"]
        if rows:
            groups.append(replace(group, rows=tuple(rows)))
    return replace(drawing, groups=tuple(groups)) if groups else EMPTY
