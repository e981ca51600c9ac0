"""Whatever the desk says can be translated, and nothing in its pages runs by itself."""

import ast
import re
from collections import defaultdict
from pathlib import Path

import pytest

from tests.desk_templates import complaints
from tests.messages import DESK, DOMAINS, PUBLIC, catalogue_of, collected, written
from tests.sayings import errors, errors_in, sayings

PAGES = sorted([*DESK.rglob("*.html"), *PUBLIC.rglob("*.html")])
MODULES = sorted(DESK.rglob("*.py"))
SCRIPTS = sorted((DESK.parent / "static" / "desk").glob("*.js"))


def _id(path: Path) -> str:
    return str(path.relative_to(DESK.parent))


@pytest.mark.parametrize("page", PAGES, ids=_id)
def test_a_page_has_no_words_of_its_own_and_nothing_inline(page: Path) -> None:
    assert complaints(page.read_text()) == []


@pytest.mark.parametrize("module", MODULES, ids=_id)
def test_a_notice_is_translated(module: Path) -> None:
    calls = [node for node in ast.walk(ast.parse(module.read_text())) if isinstance(node, ast.Call)]
    going = [call for call in calls if getattr(call.func, "id", "") not in ("_", "n_")]
    said = [keyword for call in going for keyword in call.keywords if keyword.arg == "said"]
    bare = [k.value.lineno for k in said if isinstance(k.value, ast.Constant) and k.value.value]
    assert bare == [], "lines with said= and a text that is not in _()"
    assert [k.value.lineno for k in said if isinstance(k.value, ast.JoinedStr)] == []


def test_what_is_to_be_translated_is_in_the_catalogue() -> None:
    """A text put together at run time cannot be, nor one inside an f-string."""
    assert [said.place for said in sayings() if not said.is_known] == []


def test_a_sentence_has_the_values_that_it_names() -> None:
    assert [(said.place, *said.lacking) for said in sayings() if said.lacking] == []


def test_whatever_an_error_or_a_finding_says_can_be_translated() -> None:
    """The type checker says so too; this names the line."""
    assert [error.place for error in errors() if error.is_bare] == []


@pytest.mark.parametrize(
    ("source", "is_caught"),
    [
        ('raise RefusedError(f"no {x}")', True),
        ('raise InputError("name", "too long")', True),
        ('raise InputError("name", problem="too long")', True),
        ('Finding("size", Severity.ERROR, "too " + "large")', True),
        ('raise NotFoundError("list", name, "see there")', True),
        ('raise InputError(f"{file}:{line}", say("too long"))', False),
        ('raise NotFoundError("list", name)', False),
        ("raise RefusedError(error.sentence)", False),
    ],
)
def test_bare_words_are_caught(source: str, *, is_caught: bool) -> None:
    assert [error.is_bare for error in errors_in(ast.parse(source), "x.py")] == [is_caught]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_has_no_words_of_its_own_and_evaluates_nothing(script: Path) -> None:
    """Its page gives it words in `data-` attributes and `<template>`, both translated."""
    text = re.sub(r"^ *//.*|/\*.*?\*/", "", script.read_text(), flags=re.MULTILINE)
    assert re.findall(r"""["'`](?:[A-Z][a-z]+ [^"'`]*|[A-Z][a-z]+[.!?…])["'`]""", text) == []
    assert re.findall(r"outerHTML|insertAdjacentHTML|document\.write|\beval\b", text) == []


@pytest.mark.parametrize("domain", DOMAINS)
def test_the_catalogue_is_current(domain: str) -> None:
    assert catalogue_of(domain).read_bytes() == written(domain), "make messages"


@pytest.mark.parametrize("domain", DOMAINS)
def test_every_text_can_be_filled_in(domain: str) -> None:
    """A per cent sign stands twice, and names what it is for: `%(share)s %%`."""
    for message in collected(domain):
        texts = [message.id] if isinstance(message.id, str) else [*message.id]
        for text in texts:
            assert text % defaultdict(str) is not None


BAD = {
    "<p>Saved</p>": "text: Saved",
    '<p title="Go">{{ _("Go") }}</p>': "title=Go",
    '<a href="javascript:x">{{ _("Go") }}</a>': "href=javascript:x",
    '<a style="color: red">{{ _("Go") }}</a>': "style=color: red",
    '<a onclick="x()">{{ _("Go") }}</a>': "onclick=x()",
    "<script>x()</script>": "inline script",
    '{{ parts.send("Send now") }}': "constant in line 1: Send now",
    '{{ "Yes" if done else _("No") }}': "constant in line 1: Yes",
    "{{ name|safe }}": "|safe in line 1",
    "{{ _(name) }}": "_() of a variable in line 1",
    "{% autoescape false %}{{ name }}{% endautoescape %}": "autoescape in line 1",
    '<div hx-vals="js:x()"></div>': "hx-vals=js:x()",
}


@pytest.mark.parametrize("source", BAD)
def test_what_is_wrong_with_a_page_is_found(source: str) -> None:
    assert BAD[source] in complaints(source)


def test_a_page_in_order_has_nothing_wrong() -> None:
    source = """{% extends "layout.html" %}{% import "parts.html" as parts with context %}
    {% block main %}<p class="{{ 'a b' if x == 'Some Words' }}" aria-label="{{ _('Go') }}">
    {{ n_("%(n)s person", "%(n)s people", count) }} · 12</p><kbd>Ctrl</kbd>
    {{ parts.send(_("Send"), kind="primary small") }}<script src="/x.js"></script>{% endblock %}"""
    assert complaints(source) == []
