"""Languages: which is chosen, and that a translation that is shipped is whole."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.catalog import Message
from babel.messages.pofile import read_po

from newsletter.core import catalogue_files, catalogues
from newsletter.core.catalogues import READERS, accepted
from newsletter.core.sentences import say
from newsletter.issues.parsing import parse
from newsletter.rendering.compiler import compile_issue
from newsletter.rendering.templates import TemplateFolders
from tests import factories
from tests.messages import DOMAINS, LOCALES, collected

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
        ("DE-ch;q=0.9, en;q=0.8", "de"),
        ("fr, de;q=0.8", "de"),
        ("en-GB,de", "en"),
        ("fr", "en"),
        ("", "en"),
        ("*;../../x", "en"),
        ("en;q=0.5, de", "de"),
        ("de;q=0, en;q=0.1", "en"),
        ("\0, de_AT ; q=0.9;x", "de"),
        ("-" * 9_000 + ",de", "de"),
    ],
)
def test_the_first_language_that_there_is_is_spoken(header: str, language: str) -> None:
    assert READERS.first(*accepted(header)) == language


HEAD = """msgid ""
msgstr ""
"Content-Type: text/plain; charset=utf-8\\n"
"Plural-Forms: nplurals=2; plural=(n != 1);\\n"

"""
READ_ONLINE, MINUTES = "Read this issue online", "%(minutes)s min"


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where languages are; there is none yet."""
    monkeypatch.setattr(catalogues, "LOCALES", tmp_path)
    catalogues.forget()
    yield tmp_path
    monkeypatch.undo()
    catalogues.forget()


def put(folder: Path, language: str, text: str | bytes) -> None:
    place = folder / language / "LC_MESSAGES"
    place.mkdir(parents=True, exist_ok=True)
    (place / "readers.po").write_bytes(text if isinstance(text, bytes) else text.encode())
    catalogues.forget()


def issue_in(language: str) -> str:
    """What mail programs that show no HTML show of one, and all the rest is made too."""
    text = (
        f"---\nlang: {language}\ndate: 2026-06-17\n---\n## Eins\n### [T](https://x.example)\nWort\n"
    )
    return compile_issue(parse(text, "x.md"), factories.identity(), TemplateFolders.of()).email.text


@pytest.mark.parametrize("shape", ["%(minuten)s", "100 %", "%s", "%(minutes", "%(minutes)99d", "<"])
def test_a_message_that_would_break_a_mail_is_said_in_english(shipped: Path, shape: str) -> None:
    unfit = f'msgid "{MINUTES}"\nmsgstr "{shape}"\n\nmsgid "{READ_ONLINE}"\nmsgstr "<b>Lire"\n'
    put(shipped, "fr", HEAD + unfit + '\nmsgid "Preferences"\nmsgstr "Réglages"\n')
    text = issue_in("fr")
    assert "mercredi 17 juin 2026" in text
    assert "1 min" in text
    assert "Réglages" in text


@pytest.mark.parametrize(
    "spoiled",
    [
        b"\0\xff",
        HEAD.encode() + b'msgid "Preferences"\nmsgstr "R\xe9glages"\n',
        HEAD.replace("n != 1", "n !="),
        HEAD.replace("n != 1", "1 / n"),
        HEAD.replace("utf-8", "x"),
    ],
)
def test_a_file_that_cannot_be_read_is_said_in_english(shipped: Path, spoiled: str | bytes) -> None:
    put(shipped, "fr", spoiled)
    assert "Preferences" in issue_in("fr")


def test_no_subject_has_a_second_line(shipped: Path) -> None:
    put(
        shipped,
        "fr",
        HEAD + 'msgid "Welcome to %(newsletter)s"\nmsgstr "%(newsletter)s\\nBcc: x"\n',
    )
    subject = say("Welcome to %(newsletter)s", newsletter="Field Notes")
    assert READERS.translated("fr", subject) == "Welcome to Field Notes"


def test_a_language_whose_conventions_nobody_knows_has_english_days(shipped: Path) -> None:
    put(shipped, "xx", HEAD + 'msgid "Preferences"\nmsgstr "Xx"\n')
    text = issue_in("xx")
    assert "Wednesday, June 17, 2026" in text
    assert "Xx" in text


def test_a_script_is_given_up_after_its_region(shipped: Path) -> None:
    put(shipped, "zh_Hant", HEAD)
    put(shipped, "pt-BR", HEAD)
    assert [READERS.first(tag) for tag in ("zh-Hant-TW", "pt_br", "zh")] == [
        *("zh-Hant", "pt-BR"),
        "en",
    ]


def test_every_english_message_fits_itself() -> None:
    """What is refused in a translation is in none of what is translated."""
    for domain in DOMAINS:
        for message in collected(domain):
            itself = Message(message.id, message.id)
            assert not message.id or catalogue_files.fits(itself), message.id


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


@pytest.mark.parametrize("name", ["public.css", "archive.css"])
def test_lines_may_begin_at_the_right(name: str) -> None:
    """What is put far to the left is no longer out of sight there: the page gets as wide."""
    style = (LOCALES.parent / "web" / "static" / name).read_text()
    assert not re.findall(r"\b(?:left|right)\b", style)
