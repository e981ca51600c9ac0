"""English sentences that remember how they were made: a page says them in another language.

`say("expected at most %(most)s characters", most=100)`; messages are collected into the desk's
catalogue (`make messages`). The command line, logs and the API use the text as it is.
A value named `page` is what a page says instead of a sentence that speaks of the command line.
docs/decisions/0037.
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Self

_OTHERS = "%(words)s"
_BEGINS = '{"say": '
_LONGEST_KEPT = 4_000
"""Characters, as it is kept and as it is read: a few lines of any page."""

_NOT_OURS = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)
"""What reading comes to where somebody's text begins like ours."""

_PLACE = re.compile(r"%(?:%|\((\w+)\)[rs])")
"""What a message that is read back may name: without a width, which makes much of little."""


class Count(int):
    """A number with marks between its thousands, as they are written where it is read."""

    __slots__ = ()

    def __str__(self) -> str:
        return f"{self:,}"


class Sentence(str):
    """English text, and the message and values that it was made of.

    Attributes:
        message: with `%(name)s` where values stand; what a catalogue is asked for.
        values: by their names in the message; those that are sentences are translated too.
        plural: the message for any other number than one; empty where nothing is counted.
        n: what is counted.
    """

    __slots__ = ("message", "n", "plural", "values")

    message: str
    values: Mapping[str, str | float]
    plural: str
    n: int

    def __new__(
        cls, message: str, values: Mapping[str, object], plural: str = "", n: int = 1
    ) -> Self:
        plain = {name: _plain(value) for name, value in values.items()}
        sentence = super().__new__(cls, (plural if plural and n != 1 else message) % plain)
        sentence.message, sentence.values = message, plain
        sentence.plural, sentence.n = plural, n
        return sentence

    def __reduce__(self) -> tuple[type[Self], tuple[str, Mapping[str, object], str, int]]:
        return type(self), (self.message, self.values, self.plural, self.n)


def say(message: str, **values: object) -> Sentence:
    """The message with its values; it is a literal, never put together, or no catalogue has it."""
    return Sentence(message, values)


def say_n(singular: str, plural: str, n: int, **values: object) -> Sentence:
    """The form of the message for `n` things; `%(n)s` is how many."""
    return Sentence(singular, {"n": n, **values}, plural, n)


def quoted(words: object) -> Sentence:
    """Words that are not ours, such as a server's or a parser's: nobody translates them."""
    return Sentence(_OTHERS, {"words": words})


def joined(separator: str, sentences: Iterable[Sentence]) -> Sentence:
    """Several sentences as one."""
    values = {f"part{number}": sentence for number, sentence in enumerate(sentences)}
    return Sentence(separator.join(f"%({name})s" for name in values), values)


def without(sentence: Sentence, words: str) -> Sentence:
    """The same with these words gone from its values, such as the folder of a file."""

    def cut(value: str | float) -> str | float:
        if isinstance(value, Sentence):
            return without(value, words)
        return value.replace(words, "") if type(value) is str else value

    values = {name: cut(value) for name, value in sentence.values.items()}
    return Sentence(sentence.message, values, sentence.plural, sentence.n)


def to_text(sentence: str) -> str:
    """How a sentence is kept in the database, message and values; any other text as it is.

    Text that looks like one that was kept is somebody's words, and is kept as such.
    """
    if not isinstance(sentence, Sentence):
        return to_text(quoted(sentence)) if sentence.startswith(_BEGINS) else sentence
    text = json.dumps(_data(sentence), ensure_ascii=False)
    return text if max(len(text), len(sentence)) <= _LONGEST_KEPT else str(sentence)


def from_text(text: str) -> str:
    """The sentence that `to_text` wrote down; any other text, such as one cut off, as it is."""
    if not text.startswith(_BEGINS) or len(text) > _LONGEST_KEPT:
        return text
    try:
        return _sentence(json.loads(text))
    except _NOT_OURS:
        return text


def _plain(value: object) -> str | float:
    """No error and no row lives on in a sentence about it."""
    return value if isinstance(value, str | int | float) else str(value)


def _data(value: object) -> object:
    if isinstance(value, Count):
        return {"count": int(value)}
    if not isinstance(value, Sentence):
        return value
    data: dict[str, object] = {"say": value.message}
    if value.values:
        data["with"] = {name: _data(each) for name, each in value.values.items()}
    return data | ({"plural": value.plural, "n": value.n} if value.plural else {})


def _sentence(data: Mapping[str, Any]) -> Sentence:
    """Nothing is taken for granted: people can type what begins like one."""
    values = {name: _value(each) for name, each in data.get("with", {}).items()}
    message, plural, n = data["say"], data.get("plural", ""), data.get("n", 1)
    if type(n) is not int:
        raise TypeError(n)
    for shape in (message, plural):
        _check(shape, values)
    return Sentence(message, values, plural, n)


def _value(data: Any) -> str | float:
    if isinstance(data, dict):
        return Count(data["count"]) if "count" in data else _sentence(data)
    if isinstance(data, int | float):
        return data
    if not isinstance(data, str):
        raise TypeError(data)
    data.encode()  # half a character of two cannot be put into a page
    return data


def _check(message: str, values: Mapping[str, str | float]) -> None:
    """That it takes these values, and comes to no more than may be kept."""
    message.encode()
    if "%" in _PLACE.sub("", message):
        raise ValueError(message)
    names = filter(None, _PLACE.findall(message))
    if len(message) + sum(len(repr(values[name])) for name in names) > 2 * _LONGEST_KEPT:
        raise ValueError(message)
