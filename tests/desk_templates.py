"""What is wrong with a page of the desk, read as text: untranslatable words, inline script."""

import re
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser

from jinja2 import Environment, nodes

_ENVIRONMENT = Environment(autoescape=True)
_SHOWN = frozenset({"title", "placeholder", "aria-label", "alt", "label", "data-key-name"})
_ADDRESSES = frozenset({"href", "src", "action", "formaction"})
_LETTER = re.compile(r"[^\W\d_]")
_WORDS = re.compile(r"[A-Z][a-z]|\w{2,},? \w{2,},? \w{2,}")
"""A capital and a small letter, or three words: something to be read."""
_ATTRIBUTE = re.compile(r"""[\w-]+=(?:"[^"]*"|'[^']*')""")
"""A macro may write some for the tag it is called in."""
_ACRONYM = re.compile(r"\b[A-Z]{2,5}\b")
"""CSV is CSV everywhere."""
_UNREAD = frozenset({"class", "class_", "rel", "kind", "tone", "autocomplete", "format"})
"""Macro arguments that people do not read, though they may have spaces."""


def complaints(source: str) -> list[str]:
    """One line for each; empty for a page in order."""
    tree = _ENVIRONMENT.parse(source)
    markup = _Markup()
    markup.feed(_without_jinja(source))
    markup.close()
    return [*markup.complaints, *_untranslated(tree), *_unknown(tree), *_unsafe(tree)]


def _without_jinja(source: str) -> str:
    """The HTML around what is filled in, of which a sign is left."""
    parts = []
    for _line, kind, value in _ENVIRONMENT.lexer.tokeniter(source, None):
        if kind == "data":
            parts.append(value)
        elif kind == "variable_begin":
            parts.append("⁂")
    return "".join(parts)


class _Markup(HTMLParser):
    """Text that stands in the page as it is, and what the content security policy blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.complaints: list[str] = []
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open = [*self._open, tag] if tag in ("script", "style", "kbd", "code") else self._open
        values = {name: value or "" for name, value in attrs}
        if tag == "style" or (tag == "script" and "src" not in values):
            self.complaints.append(f"inline {tag}")
        self.complaints += [
            f"{name}={value}"
            for name, value in values.items()
            if name == "style"
            or name.startswith(("on", "hx-on"))
            or (name in _ADDRESSES and value.strip().lower().startswith(("javascript:", "data:")))
            or (name.startswith("hx-") and value.strip().lower().startswith(("js:", "javascript:")))
            or (name in _SHOWN and _LETTER.search(value) and not _is_code(name, values))
        ]

    def handle_endtag(self, tag: str) -> None:
        if self._open and self._open[-1] == tag:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        if self._open:
            if self._open[-1] == "script" and data.strip():
                self.complaints.append(f"inline script: {data.strip()}")
        elif _LETTER.search(_ACRONYM.sub("", _ATTRIBUTE.sub("", data))):
            self.complaints.append(f"text: {data.strip()}")


def _is_code(name: str, values: Mapping[str, str]) -> bool:
    """An example of what is typed the same in every language, such as a name in a segment."""
    return name == "placeholder" and (
        values.get("spellcheck") == "false" or values.get("type") == "url"
    )


def _untranslated(tree: nodes.Template) -> Iterator[str]:
    """Constants of expressions that look like something to be read and do not go through `_`."""
    fine = {id(const) for node in _exempt(tree) for const in node.find_all(nodes.Const)}
    fine |= {
        id(const)
        for keyword in tree.find_all(nodes.Keyword)
        if keyword.key in _UNREAD
        for const in keyword.find_all(nodes.Const)
    }
    for const in tree.find_all(nodes.Const):
        text = const.value
        if isinstance(text, str) and _WORDS.search(text) and id(const) not in fine:
            yield f"constant in line {const.lineno}: {text}"


def _exempt(tree: nodes.Template) -> Iterator[nodes.Node]:
    """Calls that translate; names of templates and macros."""
    for call in tree.find_all(nodes.Call):
        if isinstance(call.node, nodes.Name) and call.node.name in ("_", "n_", "static"):
            yield call
    yield from tree.find_all((nodes.Extends, nodes.Import, nodes.FromImport, nodes.Include))
    yield from tree.find_all((nodes.Compare, nodes.Getitem))


def _unknown(tree: nodes.Template) -> Iterator[str]:
    """What is made at run time is in no catalogue; and `_` trusts its text, which is ours."""
    for call in tree.find_all(nodes.Call):
        if isinstance(call.node, nodes.Name) and call.node.name in ("_", "n_"):
            texts = call.args[: 1 if call.node.name == "_" else 2]
            if not all(isinstance(text, nodes.Const) for text in texts):
                yield f"{call.node.name}() of a variable in line {call.lineno}"


def _unsafe(tree: nodes.Template) -> Iterator[str]:
    for used in tree.find_all(nodes.Filter):
        if used.name in ("safe", "forceescape"):
            yield f"|{used.name} in line {used.lineno}"
    for scope in tree.find_all(nodes.ScopedEvalContextModifier):
        yield f"autoescape in line {scope.lineno}"
