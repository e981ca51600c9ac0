"""A builder's rows and the text of a segment say the same, or the rows say nothing."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from subscribers.filters.language import parse
from subscribers.filters.row_reading import RowsError, tree_of
from subscribers.filters.rows import (
    Drawing,
    Group,
    Kind,
    Match,
    Row,
    comparisons,
    draw,
)
from subscribers.filters.tree import Field, Filter, Moment
from subscribers.filters.writing import written
from tests import segment_trees


@settings(max_examples=150)
@given(segment_trees.trees(segment_trees.any_text()))
def test_what_is_drawn_means_what_it_was_drawn_from(tree: Filter) -> None:
    drawing = draw(tree)
    assert drawing is None or tree_of(drawing) == tree


@pytest.mark.parametrize(
    "text",
    [
        "status = active",
        'status = active and attributes.plan = "pro"',
        'name = "Ada" or on("daily") or sample(0.5%, "spring")',
        'not opened_within(30d) and (attributes.plan = "pro" or attributes.tags has "vip")',
        "attributes.score >= 10.5 and attributes.member = true",
        'not attributes."favourite colour".shade contains "red" and created_at < 2026-01-31',
        'email not in ("a@example.org", "b@example.org") and not name exists',
        'attributes."a.b" in (1, 2, 0.0000001)',
    ],
)
def test_the_usual_can_be_drawn(text: str) -> None:
    tree = parse(text)
    drawing = draw(tree)
    assert drawing
    assert written(tree_of(drawing)) == text


@pytest.mark.parametrize(
    "text",
    [
        'not (name = "a" and name = "b")',
        'not name = "a"',
        "not not name exists",
        'attributes.a in (1, "1")',
        '(name = "a" and (name = "b" or (name = "c" and name = "d"))) or name = "e"',
    ],
)
def test_what_rows_cannot_say_is_not_drawn(text: str) -> None:
    assert draw(parse(text)) is None


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (Row("name", "=", ""), "not empty"),
        (Row("name", "in", "\n"), "text"),
        (Row("name", "<", "a"), "comparison"),
        (Row("nothing", "=", "a"), "a field"),
        (Row("status", "=", "gone"), "one of pending, active"),
        (Row("created_at", "=", "yesterday"), "a day such as"),
        (Row("created_at", "=", "1700-01-01"), "a day from 1900"),
        (Row("attribute", "=", "a", path=""), "name of an attribute"),
        (Row("attribute", "=", "a", path='plan exists or "a"'), "name of an attribute"),
        (Row("attribute", "=", "1 or 2", path="a", kind="number"), "a number"),
        (Row("attribute", "=", "1e5", path="a", kind="number"), "a number"),
        (Row("attribute", "=", "NaN", path="a", kind="number"), "a number"),
        (Row("attribute", "=", "", path="a", kind="number"), "a number"),
        (Row("attribute", "=", "9" * 20, path="a", kind="number"), "at most 15 digits"),
        (Row("attribute", "=", "yes", path="a", kind="truth"), "true or false"),
        (Row("attribute", "<", "true", path="a", kind="truth"), "a text or a number"),
        (Row("opened", "within", "0"), "from 1 to 9,999"),
        (Row("opened", "within", "²"), "from 1 to 9,999"),
        (Row("opened", "within", "3", unit="y"), "one of h, d, w"),
        (Row("sample", "sample", "101"), "a share from"),
        (Row("on", "on", ""), "a list"),
    ],
)
def test_a_row_that_says_nothing_is_named(row: Row, expected: str) -> None:
    good = Row("name", "exists")
    with pytest.raises(RowsError) as caught:
        tree_of(Drawing((Group((good,)), Group((good, row)))))
    assert list(caught.value.problems) == ["1.1"]
    assert expected in caught.value.problems["1.1"]


def test_no_rows_are_no_segment() -> None:
    with pytest.raises(RowsError, match="at least one row"):
        tree_of(Drawing())


@given(st.sampled_from([*Field, *Moment, "attribute", "on", "sample"]))
def test_every_subject_can_be_compared(subject: str) -> None:
    assert len(comparisons(subject)) == len(set(comparisons(subject))) >= 2


def test_groups_are_joined_as_they_say() -> None:
    some = Group((Row("name", "exists"), Row("locale", "exists")), Match.ANY)
    one = Group((Row("attribute", "=", "1.50", path=" score ", kind=Kind.NUMBER),))
    text = written(tree_of(Drawing((some, one))))
    assert text == "(name exists or locale exists) and attributes.score = 1.5"
    assert written(tree_of(Drawing((some, one), Match.ANY))).count(" or ") == 2
