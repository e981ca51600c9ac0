"""Segments as text, as trees, as JSON: one meaning, three forms."""

import json
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.core.errors import InputError
from subscribers.filters.language import parse
from subscribers.filters.reading import from_json
from subscribers.filters.tokens import SegmentError
from subscribers.filters.tree import (
    CHOICES,
    MAX_CHARACTERS,
    TAGS,
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
    Within,
    leaves,
)
from subscribers.filters.writing import to_json, written
from subscribers.models import SubscriptionStatus, TrackingConsent
from tests.segment_trees import any_text, trees


def mistake_in(text: str) -> SegmentError | None:
    try:
        parse(text)
    except SegmentError as error:
        return error
    return None


PLAN = Attribute(("plan",))
ACTIVE = Compare(Field.STATUS, Operator.IS, ("active",))
PRO = Compare(PLAN, Operator.IS, ("pro",))


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        (
            'status = active and attributes.plan = "pro" and clicked_within(30d)',
            All((ACTIVE, PRO, Within(Moment.CLICKED, 30, "d"))),
        ),
        ("status = active AND NOT status = active", All((ACTIVE, Not(ACTIVE)))),
        (
            'status = active or attributes.plan = "pro" and status = active',
            Some((ACTIVE, All((PRO, ACTIVE)))),
        ),
        (
            '(status = active or attributes.plan = "pro") and status = active',
            All((Some((ACTIVE, PRO)), ACTIVE)),
        ),
        ('list = "daily"', On("daily")),
        ('list != "daily"', Not(On("daily"))),
        ('list in ("daily", "weekly")', Some((On("daily"), On("weekly")))),
        ('tag = "vip"', Compare(TAGS, Operator.HAS, ("vip",))),
        ('tag not in ("vip")', Not(Compare(TAGS, Operator.HAS, ("vip",)))),
        ("name is null", Not(Exists(Field.NAME))),
        ("attributes.plan is not null", Exists(PLAN)),
        ("attributes.plan = null", Not(Exists(PLAN))),
        ("attributes.plan exists", Exists(PLAN)),
        ('attributes."a b".c > 2.50', Compare(Attribute(("a b", "c")), Operator.ABOVE, (2.5,))),
        ("attributes.plan in (1, true)", Compare(PLAN, Operator.IN, (1, True))),
        (
            "subscribed_at < 2026-01-31",
            Compare(Field.SUBSCRIBED_AT, Operator.BELOW, (date(2026, 1, 31),)),
        ),
        ("sample(10%)", Sample(1_000)),
        ('sample(0.25%, "spring")', Sample(25, "spring")),
        ('name = "say \\"yes\\" \\\\"', Compare(Field.NAME, Operator.IS, ('say "yes" \\',))),
    ],
)
def test_a_text_means_a_tree(text: str, tree: Filter) -> None:
    assert parse(text) == tree


@given(trees(any_text()))
def test_a_tree_written_and_read_again_is_the_same(tree: Filter) -> None:
    assert parse(written(tree)) == tree
    assert written(parse(written(tree))) == written(tree)


@given(trees(any_text()))
def test_a_tree_survives_json(tree: Filter) -> None:
    assert from_json(json.loads(json.dumps(to_json(tree)))) == tree


@given(
    st.text(max_size=60)
    | st.lists(
        st.sampled_from(
            [
                "status",
                "=",
                "active",
                "and",
                "or",
                "not",
                "(",
                ")",
                "in",
                ",",
                '"x"',
                "attributes",
                ".",
                "1",
                "10%",
                "30d",
                "is",
                "null",
                "exists",
                "sample",
                "opened_within",
                "tag",
                "list",
                "\n",
            ]
        )
    ).map(" ".join)
)
def test_whatever_is_written_is_read_or_refused_with_a_place(text: str) -> None:
    error = mistake_in(text)
    if error is None:
        assert parse(written(parse(text))) == parse(text)
        return
    assert 0 <= error.offset <= len(text)
    assert 1 <= error.column <= len(text.split("\n")[error.line - 1]) + 1
    assert error.picture.endswith("^")


@pytest.mark.parametrize(
    ("text", "line", "column", "expected"),
    [
        ("", 1, 1, "a field"),
        ("status", 1, 7, "one of =, !=, in, not in, exists"),
        ("status = gone", 1, 10, "one of pending, active, unsubscribed"),
        ("status < active", 1, 8, "one of ="),
        ("name = Ada", 1, 8, "a text in double quotes"),
        ("name = 'Ada'", 1, 8, "a field, a value or an operator"),
        ('name = "Ada', 1, 8, "a closing double quote"),
        ('name = ""', 1, 8, "not empty"),
        ('name = "a\x00b"', 1, 8, "printable"),
        ('name = "Ada" name = "Bob"', 1, 14, "`and`, `or` or the end"),
        ('status = active and\n  nam = "Ada"', 2, 3, "a field"),
        ("(status = active", 1, 17, "`)`"),
        ("subscribed_at < 2026-02-30", 1, 17, "a day"),
        ("subscribed_at < 0001-01-01", 1, 17, "from 1900 to 2199"),
        ('subscribed_at contains "x"', 1, 15, "one of"),
        ("attributes.day < 2026-01-31", 1, 18, "attributes have no dates"),
        ("attributes.plan < true", 1, 19, "a text or a number"),
        ("attributes.plan = 1e99", 1, 19, "a number, a day"),
        (f"attributes.plan = {'9' * 400}", 1, 19, "at most 15 digits"),
        ("attributes.plan = 0.1234567890123456", 1, 19, "at most 15 digits"),
        ("attributes.plan in ()", 1, 21, "a text in double quotes, a number"),
        ("attributes", 1, 11, "`.`"),
        ("attributes.", 1, 12, "the name of an attribute"),
        ('attributes."a\\"b" = 1', 1, 11, "without quotes"),
        ('attributes."" = 1', 1, 11, "none empty"),
        ("attributes" + ".a" * 9 + " = 1", 1, 11, "at most 8 names"),
        ("opened_within(30)", 1, 15, "a time such as"),
        ("opened_within(0d)", 1, 15, "a time such as"),
        ("opened_within(99999d)", 1, 15, "at most 9,999"),
        ("slept_within(30d)", 1, 1, "one of subscribed_within"),
        ("sample(0%)", 1, 8, "a share"),
        ("sample(101%)", 1, 8, "a share"),
        ("sample(0.001%)", 1, 8, "a share"),
        ("sample(10)", 1, 8, "a share"),
        ("on(daily)", 1, 4, "the short name of a list"),
        ("not " * 20 + "status = active", 1, 81, "at most 20 levels"),
        ("(" * 3000, 1, 21, "at most 20 levels"),
        ("status = active" + " and status = active" * 100, 1, 2001, "at most 100 terms"),
        (f"attributes.n in ({', '.join('1' * 101)})", 1, 319, "at most 100 terms"),
        (" " * 4001, 1, 4001, "at most 4,000 characters"),
    ],
)
def test_a_mistake_is_shown_where_it_is(text: str, line: int, column: int, expected: str) -> None:
    with pytest.raises(SegmentError) as caught:
        parse(text)
    error = caught.value
    assert expected in error.expected
    assert (error.line, error.column) == (line, column)


def test_the_error_points_at_the_place_below_its_line() -> None:
    with pytest.raises(SegmentError) as caught:
        parse("status = active and\n  status = gone")
    assert str(caught.value) == (
        "segment:2:12: expected one of pending, active, unsubscribed\n"
        "    status = gone\n"
        "             ^"
    )


@pytest.mark.parametrize("nested", ['tag not in ("a", "b")', "name = null", 'list != "a"'])
def test_what_is_short_for_more_can_still_be_read_when_written_in_full(nested: str) -> None:
    for levels in range(25):
        text = "not " * levels + nested
        if mistake_in(text) is None:
            assert parse(written(parse(text))) == parse(text)


def test_a_filter_that_is_too_long_when_written_in_full_is_refused() -> None:
    tags = ", ".join(f'"{"x" * 30}{n}"' for n in range(90))
    assert len(tags) < MAX_CHARACTERS
    with pytest.raises(SegmentError, match="written in full"):
        parse(f"tag in ({tags})")


def test_the_leaves_are_found_wherever_they_are() -> None:
    tree = parse('not (on("a") and (status = active or not list = "b"))')
    assert list(leaves(tree)) == [On("a"), ACTIVE, On("b")]


def test_the_choices_are_those_of_the_tables() -> None:
    assert {
        Field.STATUS: tuple(SubscriptionStatus),
        Field.TRACKING: tuple(TrackingConsent),
    } == CHOICES


COMPARE = {"field": "name", "operator": "=", "values": ["Ada"]}


@pytest.mark.parametrize(
    ("node", "place"),
    [
        (None, "filter"),
        ([], "filter"),
        ({"and": []}, "filter"),
        ({**COMPARE, "more": 1}, "filter"),
        ({**COMPARE, "field": "nam"}, "filter.field"),
        ({**COMPARE, "field": []}, "filter.field"),
        ({**COMPARE, "field": ['a"b']}, "filter.field"),
        ({**COMPARE, "field": {}}, "filter.field"),
        ({**COMPARE, "operator": "<"}, "filter.operator"),
        ({**COMPARE, "operator": []}, "filter.operator"),
        ({**COMPARE, "values": []}, "filter.values"),
        ({**COMPARE, "values": "Ada"}, "filter.values"),
        ({**COMPARE, "values": ["Ada", "Bob"]}, "filter.values"),
        ({**COMPARE, "values": [1]}, "filter.values[0]"),
        ({**COMPARE, "values": ["\ud800"]}, "filter.values[0]"),
        ({"all": [COMPARE]}, "filter.all"),
        ({"some": [COMPARE, {"not": {"on": 1}}]}, "filter.some[1].not.on"),
        ({"within": "slept", "amount": 1, "unit": "d"}, "filter.within"),
        ({"within": "opened", "amount": True, "unit": "d"}, "filter.amount"),
        ({"within": "opened", "amount": 1, "unit": "y"}, "filter.unit"),
        ({"sample": 1.5, "seed": ""}, "filter.sample"),
        ({"sample": 1, "seed": None}, "filter.seed"),
        ({"exists": "nam"}, "filter.exists"),
        ({"field": "created_at", "operator": "=", "values": ["soon"]}, "filter.values[0]"),
    ],
)
def test_a_tree_that_makes_no_sense_is_refused_with_its_place(node: object, place: str) -> None:
    with pytest.raises(InputError) as caught:
        from_json({"version": 1, "filter": node})
    assert caught.value.place == place


@pytest.mark.parametrize("data", [None, {}, {"version": 2, "filter": COMPARE}, {"filter": COMPARE}])
def test_json_of_another_form_or_version_is_refused(data: object) -> None:
    with pytest.raises(InputError):
        from_json(data)


def test_a_tree_as_deep_as_no_text_could_be_is_refused() -> None:
    node: object = COMPARE
    for _ in range(5_000):
        node = {"not": node}
    with pytest.raises(InputError, match="at most 20 levels"):
        from_json({"version": 1, "filter": node})
