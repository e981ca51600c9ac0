"""Preflight: each check fires on what it is about, and on nothing else."""

from datetime import date
from pathlib import Path

import pytest

from newsletter.rendering.compiler import compile_issue
from newsletter.rendering.findings import Finding, Severity
from newsletter.rendering.templates import TemplateFolders
from tests import factories

CLEAN = """\
---
newsletter: field-notes
date: 2026-06-17
subject: A calm subject
preheader: What it is about
---
## The Big Idea
Hello {{ subscriber.name | default("reader") }}.

## Deep Reads
### [One](https://example.org/one)
Summary.
"""
W, E = Severity.WARNING, Severity.ERROR


def findings(text: str, **identity: str) -> list[Finding]:
    made = compile_issue(
        factories.source(text),
        factories.identity(**identity),
        TemplateFolders.of(None),
        today=date(2026, 6, 17),
    )
    return list(made.findings)


def test_a_clean_issue_has_no_finding() -> None:
    assert findings(CLEAN) == []


@pytest.mark.parametrize(
    ("old", "new", "code", "severity", "line"),
    [
        ("subject: A calm subject\n", "", "subject-missing", W, 1),
        ("A calm subject", "BUY this NOW!!", "subject-shouts", W, 4),
        ("preheader: What it is about\n", "", "preheader-missing", W, 1),
        ("date: 2026-06-17", "date: 2026-06-16", "date-in-past", W, 3),
        ("### [One](https://example.org/one)", "### One", "entry-without-link", W, 11),
        (
            "Summary.",
            "Summary.\n\n### [Two](https://example.org/one)\nx",
            "link-duplicate",
            W,
            11,
        ),
        ("Summary.\n", "Summary.\n\n## Empty\n", "section-empty", E, 14),
        ("https://example.org/one", "javascript:alert(1)", "link-malformed", E, 11),
        ("https://example.org/one", "https://", "link-malformed", E, 11),
        ("Summary.", "See [x](ftp://example.org/).", "link-malformed", E, 12),
        ("subscriber.name", "subscriber.nmae", "merge-field-unknown", E, 8),
        ('subscriber.name | default("reader")', "7*7", "merge-field-unknown", E, 8),
        ("Summary.", "See\n{{ subscriber.name", "merge-field-unknown", E, 12),
        ("Summary.", "{{ subscriber.name |\ndefault('x') }}", "merge-field-unknown", E, 12),
        ("Summary.", "![{{ x }}](https://example.org/x.png)", "merge-field-unknown", E, 12),
        ("Summary.", "![x](https://example.org/{{ subscriber.name }})", "image-source", E, 12),
        ("Summary.", "[x](https://example.org/{{ subscriber.name }})", "link-malformed", E, 12),
        ("date:", "title: For {{ subscriber.name }}\ndate:", "merge-field-misplaced", E, 3),
        ("date:", "categories: ['{{ subscriber.name }}']\ndate:", "merge-field-misplaced", E, 3),
        ("Summary.", "{{ x }} · [a](https://example.org/b)", "merge-field-misplaced", E, 11),
        ("A calm subject", "For {{ subscriber.name", "merge-field-unknown", E, 4),
        ("Summary.", "![](https://example.org/x.png)", "image-without-alt", E, 12),
        ("Summary.", "![x](data:image/png;base64,AA)", "image-source", E, 12),
        ("Summary.", "x\n\n![x](http://example.org/x.png)", "image-insecure", W, 14),
        ("Summary.", "word " * 20_000, "size", E, None),
        ("Summary.", "word " * 14_000, "size", W, None),
        ("Summary.", "> " * 60 + "deep", "text-too-deep", E, 12),
    ],
)
def test_a_check_fires(old: str, new: str, code: str, severity: Severity, line: int | None) -> None:
    assert old in CLEAN
    (found,) = [f for f in findings(CLEAN.replace(old, new)) if f.code == code][:1]
    assert (found.severity, found.line) == (severity, line)
    assert found.text


def test_one_misplaced_field_is_one_error() -> None:
    text = CLEAN.replace("date:", "title: For {{ subscriber.name }}\ndate:")
    assert [f.code for f in findings(text)] == ["merge-field-misplaced"]


@pytest.mark.parametrize(
    "words",
    ["`@import` and @font-face", "fonts.googleapis.com", "<script>", '<link rel="stylesheet">'],
)
def test_what_readers_see_may_speak_of_fonts_and_scripts(words: str) -> None:
    assert findings(CLEAN.replace("Summary.", words)) == []


def test_a_missing_postal_address_is_about_the_settings() -> None:
    (found,) = findings(CLEAN, postal_address="")
    assert (found.code, found.severity, found.is_about_settings) == (
        "postal-address-missing",
        E,
        True,
    )


@pytest.mark.parametrize(
    ("template", "old", "new", "code"),
    [
        ("digest.mjml", "{{ unsubscribe_url }}", "#", "unsubscribe-missing"),
        ("digest.txt", "{{ unsubscribe_url }}", "", "unsubscribe-missing"),
        ("layout.mjml", "prefers-color-scheme: dark", "print", "dark-rules-missing"),
        ("layout.mjml", ' lang="{{ lang }}"', "", "lang-missing"),
        ("digest.mjml", "View online", "View {{ '{{' }} online", "token-left"),
        (
            "layout.mjml",
            "@media",
            "@import url(https://example.org/x.css);\n@media",
            "outside-resource",
        ),
        (
            "layout.mjml",
            "<mj-raw>\n      <meta",
            '<mj-raw>\n      <link rel="stylesheet" href="https://example.org/x.css"><meta',
            "outside-resource",
        ),
    ],
)
def test_a_designers_template_is_checked_too(
    tmp_path: Path, template: str, old: str, new: str, code: str
) -> None:
    shipped = Path(__file__).parents[2] / "templates" / "email" / template
    text = shipped.read_text()
    assert old in text
    (tmp_path / template).write_text(text.replace(old, new))
    made = compile_issue(
        factories.source(CLEAN), factories.identity(), TemplateFolders.of(tmp_path)
    )
    assert code in {f.code for f in made.findings if f.severity is E}


@pytest.mark.parametrize(
    ("base_url", "found"),
    [
        ("https://news.example.org", None),
        ("http://news.example.org", ("base-url-insecure", E)),
        ("http://0.0.0.0:8000", ("base-url-insecure", E)),
        ("http://127.0.0.1:8000", ("base-url-local", W)),
        ("http://[::1]:8000", ("base-url-local", W)),
        ("http://localhost", ("base-url-local", W)),
        ("http://localhost.example.org", ("base-url-insecure", E)),
        ("https://127.0.0.1", None),
    ],
)
def test_readers_unsubscribe_by_https(base_url: str, found: tuple[str, Severity] | None) -> None:
    made = [(finding.code, finding.severity) for finding in findings(CLEAN, base_url=base_url)]
    assert made == ([found] if found else [])


def test_our_own_picture_by_http_is_said_of_the_settings_alone() -> None:
    base = "http://127.0.0.1:8000"
    text = CLEAN.replace("Summary.", f"![x]({base}/i/1-ab.png)")
    assert [finding.code for finding in findings(text, base_url=base)] == ["base-url-local"]
