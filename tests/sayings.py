"""What code says to people, found by its syntax: what no catalogue has, and what lacks a value."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from tests.messages import ROOT, collected, domains_of, modules

_VALUE = re.compile(r"%\((\w+)\)")
_TEXTS = {"_": 1, "n_": 2, "say": 1, "say_n": 2}
"""How many messages such a call begins with; behind those of a plural comes the number `n`."""
_SENTENCES = frozenset({"problem", "sentence", "text", "hint", "expected"})
"""Parameters of errors and findings."""


@dataclass(frozen=True, slots=True)
class Saying:
    """One call of `_`, `say` or their plurals.

    Attributes:
        place: file and line.
        is_known: all its messages are in the catalogues that they belong in.
        lacking: values that the messages name and the call does not give, or the other way round.
    """

    place: str
    is_known: bool
    lacking: frozenset[str]


@dataclass(frozen=True, slots=True)
class Raised:
    """One error or finding that is made; `is_bare` when it is given words that are no sentence."""

    place: str
    is_bare: bool


def sayings() -> Iterator[Saying]:
    """All that our code says, the command line's own words left out."""
    for place, tree in _trees().items():
        if not place.startswith("newsletter/cli/"):
            yield from _sayings_in(tree, place)


def errors() -> Iterator[Raised]:
    """All errors for people, and all findings."""
    for place, tree in _trees().items():
        yield from errors_in(tree, place)


def errors_in(tree: ast.AST, place: str) -> Iterator[Raised]:
    """Those of one module."""
    for call, name in _calls(tree):
        if name in _error_names():
            yield Raised(f"{place}:{call.lineno}", any(map(_is_bare, _said(call, name))))


def _sayings_in(tree: ast.AST, place: str) -> Iterator[Saying]:
    for call, name in _calls(tree):
        count = _TEXTS.get(name, 0)
        if count and isinstance(call.func, ast.Name):
            texts = [text.value for text in call.args[:count] if isinstance(text, ast.Constant)]
            named = {value for text in texts for value in _VALUE.findall(str(text))}
            given = {str(keyword.arg) for keyword in call.keywords}
            given |= {"n"} & named if count > 1 else set()
            is_known = len(texts) == count and _known(texts[0], place)
            yield Saying(f"{place}:{call.lineno}", is_known, frozenset(named ^ given))


def _known(text: object, place: str) -> bool:
    return all(collected(domain).get(str(text)) is not None for domain in domains_of(place))


def _calls(tree: ast.AST) -> Iterator[tuple[ast.Call, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield node, getattr(node.func, "id", "") or getattr(node.func, "attr", "")


def _said(call: ast.Call, name: str) -> Iterator[ast.expr]:
    """What should be a sentence: mostly the last that is given."""
    first = 2 if name in ("Finding", "NotFoundError") else len(call.args) - 1
    yield from call.args[max(first, 0) : first + 1]
    yield from (keyword.value for keyword in call.keywords if keyword.arg in _SENTENCES)


def _is_bare(said: ast.expr) -> bool:
    is_text = isinstance(said, ast.Constant) and isinstance(said.value, str)
    return is_text or isinstance(said, ast.JoinedStr | ast.BinOp)


@cache
def _trees() -> dict[str, ast.Module]:
    return {str(file.relative_to(ROOT)): ast.parse(file.read_text()) for file in modules()}


@cache
def _error_names() -> frozenset[str]:
    """The classes below `NewsletterError`, wherever they are, and findings."""
    below = {
        node.name: {getattr(base, "id", getattr(base, "attr", "")) for base in node.bases}
        for tree in _trees().values()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }
    names = {"NewsletterError"}
    while more := {name for name, bases in below.items() if bases & names} - names:
        names |= more
    return frozenset({*names, "Finding"})
