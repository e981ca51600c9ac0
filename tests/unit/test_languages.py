"""Languages: which is chosen, and that a translation that is shipped is whole."""

import re
from collections import Counter
from pathlib import Path

import pytest
from babel.messages.pofile import read_po

from newsletter.core.catalogues import READERS, accepted
from newsletter.core.sentences import say
from newsletter.issues.parsing import parse
from newsletter.rendering.compiler import compile_issue
from newsletter.rendering.templates import TemplateFolders
from tests import factories
from tests.messages import LOCALES, collected

SHIPPED = sorted(LOCALES.rglob("*.po"))
_KEPT = re.compile(r"%\(\w+\)[sr]|<[^>]*>")


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: str(file.relative_to(LOCALES)))
def test_a_shipped_translation_is_whole_and_keeps_values_and_tags(file: Path) -> None:
    with file.open("rb") as texts:
        translated = read_po(texts)
    for message in collected(file.stem):
        if message.id:
            there = translated.get(message.id if isinstance(message.id, str) else message.id[0])
            assert there, message.id
            assert not there.fuzzy, message.id
            for shape in [there.string] if isinstance(there.string, str) else there.string:
                source = message.id if isinstance(message.id, str) else message.id[-1]
                assert Counter(_KEPT.findall(shape)) == Counter(_KEPT.findall(source)), shape


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("de", "de"),
        ("DE-ch;q=0.9, en", "de"),
        ("fr, de;q=0.8", "de"),
        ("en-GB,de", "en"),
        ("fr", "en"),
        ("", "en"),
        ("*;../../x", "en"),
    ],
)
def test_the_first_language_that_there_is_is_spoken(header: str, language: str) -> None:
    assert READERS.first(*accepted(header)) == language


def test_a_sentence_within_a_sentence_is_translated_too() -> None:
    both = say("%(some)s and %(last)s", some="Mornings", last="Evenings")
    said = READERS.translated("de", say("You have left %(what)s", what=both))
    assert said == "Abgemeldet: Mornings und Evenings"


def test_what_stands_around_an_issue_is_in_its_language() -> None:
    text = "---\nlang: de-AT\ndate: 2026-06-17\n---\n## Eins\n### [Titel](https://example.org/a)\nWort\n"
    compiled = compile_issue(parse(text, "x.md"), factories.identity(), TemplateFolders.of()).email
    for part in (compiled.html, compiled.text, compiled.webpage):
        assert "Mittwoch, 17. Juni 2026" in part
        assert "1 Beitrag" in part
    for said in ("Abmelden", "Einstellungen", "Im Original lesen"):
        assert said in compiled.html
