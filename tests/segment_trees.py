"""Segments made up by Hypothesis, over values that people and programs really send."""

from collections.abc import Sequence
from datetime import date
from typing import Any

from hypothesis import strategies as st

from subscribers.filters.tree import (
    CHOICES,
    DAYS,
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
    Within,
    expected_value,
    is_usable,
    operators_of,
)

TEXTS = (
    *("pro", "Pro", "free", "%", "_", "p%", "p_o", " ", "null", "true", "1", "de", "de-AT"),
    *("'; DROP TABLE subscribers; --", 'say "yes"', "back\\slash", "Ärger", "ärger", "İstanbul"),
    *("\u00e9", "e\u0301", "😀", "vip", "en_GB", "Europe/Vienna", "ada", "example.org"),
    *("$.plan", "{}", "[]", "{a,b}", ":x", "%(x)s"),
)
NUMBERS = (0, 1, -1, 2, 1.5, 0.1, -0.1, 1e-7, 10**14 + 1, 999_999_999_999_999, 0.30000000000001)
PATHS = (
    *(("plan",), ("tags",), ("a", "b"), ("a", "0"), ("0",), ("favourite colour",), ("ключ",)),
    *(("%s",), ("a.b",), ("$",), ("a", "b", "c"), (":x",), ("'",)),
)
DATES = (date(2026, 1, 31), date(2026, 2, 1), date(1900, 1, 1), date(2199, 12, 31))
SLUGS = ("mornings", "evenings")


def trees(
    texts: Sequence[str] | st.SearchStrategy[str] = TEXTS,
    paths: Sequence[tuple[str, ...]] = PATHS,
    slugs: Sequence[str] = SLUGS,
) -> st.SearchStrategy[Filter]:
    text = texts if isinstance(texts, st.SearchStrategy) else st.sampled_from(texts)
    number = st.sampled_from(NUMBERS)
    fields: st.SearchStrategy[Field | Attribute] = st.sampled_from(
        [*Field, *(Attribute(path) for path in paths)]
    )
    amounts = st.integers(1, 9_999)
    leaf = st.one_of(
        fields.flatmap(lambda field: comparisons(field, text, number)),
        fields.map(Exists),
        st.sampled_from(slugs).map(On),
        st.builds(Within, st.sampled_from(Moment), amounts, st.sampled_from("hdw")),
        st.builds(Sample, st.integers(1, 10_000), st.just("") | text),
    )
    return st.recursive(leaf, branches, max_leaves=12)


def branches(inner: st.SearchStrategy[Filter]) -> st.SearchStrategy[Filter]:
    several = st.lists(inner, min_size=2, max_size=4).map(tuple)
    return st.one_of(inner.map(Not), several.map(All), several.map(Some))


def comparisons(
    field: Field | Attribute, text: st.SearchStrategy[str], number: st.SearchStrategy[float]
) -> st.SearchStrategy[Compare]:
    values: st.SearchStrategy[Any] = text
    if isinstance(field, Attribute):
        values = st.one_of(text, number, st.booleans())
    elif field in CHOICES:
        values = st.sampled_from(CHOICES[field])
    elif field in DAYS:
        values = st.sampled_from(DATES)

    def with_operator(operator: Operator) -> st.SearchStrategy[Compare]:
        fitting = values.filter(lambda value: expected_value(field, operator, value) is None)
        size = 4 if operator in SEVERAL else 1
        found = st.lists(fitting, min_size=1, max_size=size).map(tuple)
        return found.map(lambda chosen: Compare(field, operator, chosen))

    return st.sampled_from(operators_of(field)).flatmap(with_operator)


def any_text() -> st.SearchStrategy[str]:
    return st.text(min_size=1, max_size=20).filter(is_usable)
