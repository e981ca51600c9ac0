"""Sentences are their English, and remember how they were made."""

import copy
import pickle
from enum import StrEnum

import pytest
from sqlalchemy import String, Text
from sqlalchemy.dialects import sqlite

from newsletter.core.errors import InputError, NotFoundError
from newsletter.core.sentences import (
    Count,
    Sentence,
    from_text,
    joined,
    quoted,
    say,
    say_n,
    to_text,
    without,
)
from newsletter.core.tables import Said


class _State(StrEnum):
    PAUSED = "paused"


SENTENCES = [
    say("the text is empty"),
    say("100 %% of %(who)r", who="a%sb"),
    say_n("%(n)s row", "%(n)s rows", 1),
    say_n("%(n)s row of %(file)s", "%(n)s rows of %(file)s", 12, file='a "b".csv'),
    say("at most %(most)s bytes", most=Count(2_000_000)),
    say("it is %(state)s", state=_State.PAUSED),
    joined("; ", [say("one"), quoted("two %(x)s")]),
    InputError("people.csv:3", say("expected %(what)s", what=say("a day"))).sentence,
    NotFoundError("list", "news", say("there are: %(known)s", known="a, b")).sentence,
]
ENGLISH = [
    "the text is empty",
    "100 % of 'a%sb'",
    "1 row",
    '12 rows of a "b".csv',
    "at most 2,000,000 bytes",
    "it is paused",
    "one; two %(x)s",
    "people.csv:3: expected a day",
    "there is no list 'news'; there are: a, b",
]


def _parts(sentence: str) -> object:
    if not isinstance(sentence, Sentence):
        return sentence
    values = {name: _parts(str(value)) for name, value in sentence.values.items()}
    return sentence.message, sentence.plural, sentence.n, values


@pytest.mark.parametrize(("sentence", "english"), [*zip(SENTENCES, ENGLISH, strict=True)])
def test_a_sentence_is_its_english_and_stays_whole(sentence: Sentence, english: str) -> None:
    assert sentence == english
    kept = from_text(to_text(sentence))
    for same in (copy.deepcopy(sentence), pickle.loads(pickle.dumps(sentence)), kept):
        assert same == english
        assert _parts(same) == _parts(sentence)


def test_an_error_says_its_sentence_and_keeps_nothing_alive() -> None:
    cause = ValueError("no number")
    error = InputError("age", say("expected a number: %(error)s", error=cause))
    assert str(error) == error.sentence == "age: expected a number: no number"
    assert error.problem.values == {"error": "no number"}


def test_text_that_is_no_sentence_stays_as_it_is() -> None:
    assert to_text("typed by hand") == from_text("typed by hand") == "typed by hand"


TYPED = [
    '{"say": maintenance}',
    '{"say": "%(x)0999999d", "with": {"x": 1}}',
    '{"say": "%(x).3s", "with": {"x": "abc"}}',
    '{"say": "100 %"}',
    '{"say": "%(who)s"}',
    '{"say": "%s", "with": {"x": 1}}',
    '{"say": ["x"]}',
    '{"say": "x", "with": ["x"]}',
    '{"say": "x", "with": {"x": null}}',
    '{"say": "x", "with": {"x": {"count": "many"}}}',
    '{"say": "x", "with": {"x": {"count": 1e999}}}',
    '{"say": "\\ud800"}',
    '{"say": "x", "with": {"x": "\\ud800"}}',
    '{"say": "x", "n": "many"}',
    '{"say": "x", "plural": "%(n)s"}',
    '{"say": ' * 900,
    to_text(say("the relay said: %(reply)s", reply="no"))[:-9],
]


@pytest.mark.parametrize("typed", TYPED)
def test_what_looks_like_a_sentence_of_ours_stays_as_it_was_typed(typed: str) -> None:
    assert from_text(typed) == typed, "an older version kept it so, or a column cut it off"
    assert from_text(to_text(typed)) == typed


def test_nothing_that_is_kept_comes_to_much_when_it_is_read() -> None:
    kept = '"' + "x" * 50 + '"'
    for _ in range(9):
        kept = f'{{"say": "{"%(a)s" * 20}", "with": {{"a": {kept}}}}}'
    assert from_text(kept) == kept
    long = say("the relay said: %(reply)s", reply="no " * 2_000)
    assert from_text(to_text(long)) == str(long)
    assert not isinstance(from_text(to_text(long)), Sentence)


def test_a_folder_is_taken_out_of_a_sentence_that_stays_one() -> None:
    error = InputError("/tmp/x/a.csv:1", say("%(file)s is empty", file="/tmp/x/a.csv"))
    short = without(error.sentence, "/tmp/x/")
    assert short == "a.csv:1: a.csv is empty"
    assert isinstance(short, Sentence)
    assert short.message == error.sentence.message


def test_a_column_keeps_a_sentence_whole_where_it_fits() -> None:
    dialect = sqlite.dialect()
    long = say("the relay said: %(reply)s", reply="no " * 40)
    assert from_text(str(Said().process_bind_param(long, dialect))) == long
    assert Said(100).process_bind_param(long, dialect) == str(long)[:100]
    assert isinstance(Said(100).impl, String)
    assert isinstance(Said().impl, Text)
