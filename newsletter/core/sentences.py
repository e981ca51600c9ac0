"""English sentences that remember how they were made: a page says them in another language.

`say("expected at most %(most)s characters", most=100)`; messages are collected into the desk's
catalogue (`make messages`). The command line, logs and the API use the text as it is.
"""

from collections.abc import Iterable, Mapping
from typing import Self

_OTHERS = "%(words)s"


class Sentence(str):
    """English text, and the message and values that it was made of.

    Attributes:
        message: with `%(name)s` where values stand; what a catalogue is asked for.
        plural: the message for any other number than one of `n`; empty if nothing is counted.
        values: by their names in the message; those that are sentences are translated too.
    """

    __slots__ = ("message", "plural", "values")

    message: str
    plural: str
    values: Mapping[str, str | float]

    def __new__(cls, message: str, values: Mapping[str, object], plural: str = "") -> Self:
        kept = {name: _kept(value) for name, value in values.items()}
        is_one = not plural or kept["n"] == 1
        made = super().__new__(cls, (message if is_one else plural) % kept)
        made.message, made.plural, made.values = message, plural, kept
        return made

    def __reduce__(self) -> tuple[type[Self], tuple[str, Mapping[str, object], str]]:
        return type(self), (self.message, self.values, self.plural)


def _kept(value: object) -> str | float:
    """No error and no row lives on in a sentence about it."""
    return value if isinstance(value, (str, int, float)) else str(value)


def say(message: str, **values: object) -> Sentence:
    """The message with its values; the message itself is a literal, never put together."""
    return Sentence(message, values)


def say_n(singular: str, plural: str, n: int, **values: object) -> Sentence:
    """The form of the message for `n` things; `%(n)s` is how many."""
    return Sentence(singular, {"n": n, **values}, plural)


def quoted(words: object) -> Sentence:
    """Words that are not ours, such as those of a server or a parser: nobody translates them."""
    return Sentence(_OTHERS, {"words": words})


def joined(separator: str, sentences: Iterable[Sentence]) -> Sentence:
    """Several sentences as one."""
    values = {f"part{number}": sentence for number, sentence in enumerate(sentences)}
    return Sentence(separator.join(f"%({name})s" for name in values), values)
