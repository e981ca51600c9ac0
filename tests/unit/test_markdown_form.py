"""Markdown with front matter: sections, entries, meta lines, and errors that name the line."""

import re
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.issues.parsing import parse, read_text
from newsletter.issues.source import SourceError
from tests.factories import EXAMPLES, MARKDOWN

HEAD = "---\ndate: 2026-06-17\n---\n"


def test_front_matter_and_sections() -> None:
    issue = parse(MARKDOWN, "issue.md")
    assert (issue.newsletter, issue.title, issue.date) == (
        "field-notes",
        "Field Notes",
        date(2026, 6, 17),
    )
    assert (issue.subject, issue.preheader) == ("Measured twice", "What the ledger knows")
    assert [section.title for section in issue.sections] == ["The Big Idea", "Deep Reads"]
    assert issue.lines["subject"] == 5
    one, two = issue.sections[1].entries
    assert (one.title, one.url, one.line) == ("One", "https://example.org/one", 12)
    assert (two.title, two.line) == ("Two", 15)


def test_an_entry_with_author_source_and_audience() -> None:
    entry_text = (
        "## Reads\n### [One](https://example.org/1)\nAda · [Paper](https://example.org/p)\n"
        "Summary.\n\n> a quotation\n\nMore.\n\n> Everybody.\n"
    )
    (entry,) = parse(HEAD + entry_text, "f.md").sections[0].entries
    assert (entry.author, entry.source_name) == ("Ada", "Paper")
    assert entry.source_url == "https://example.org/p"
    assert entry.summary
    assert entry.summary.text == "Summary.\n\n> a quotation\n\nMore."
    assert entry.audience
    assert entry.audience.text == "Everybody."


def test_a_summary_that_begins_with_a_link_is_no_meta_line() -> None:
    text = "## Reads\n### One\n[This paper](https://example.org) is about a · b.\n"
    (entry,) = parse(HEAD + text, "f.md").sections[0].entries
    assert (entry.author, entry.source_name) == ("", "")
    assert entry.summary
    assert entry.summary.text.startswith("[This paper]")


def test_a_heading_in_code_is_code() -> None:
    text = "## Reads\n### One\n```\n## not a section\n```\n"
    issue = parse(HEAD + text, "f.md")
    assert [section.title for section in issue.sections] == ["Reads"]


@pytest.mark.parametrize(
    ("text", "line", "expected"),
    [
        ("---\ndate: 2026-06-17\n", 1, "---"),
        ("---\n---\n## A\nx\n", 1, "date"),
        ("---\ndate: yesterday\n---\n## A\nx\n", 2, "date"),
        ("---\ndate: 2026-06-17\nsubjekt: x\n---\n## A\nx\n", 3, "subjekt"),
        ("---\ndate: 2026-06-17\nsubject: [a]\n---\n## A\nx\n", 3, "subject"),
        ('---\ndate: 2026-06-17\nsubject: "a\\nb"\n---\n## A\nx\n', 3, "subject"),
        ("---\ndate: 2026-06-17\ndate: 2026-06-18\n---\n## A\nx\n", 3, "date"),
        ("---\ndate: 2026-06-17\nlang: '\"><x'\n---\n## A\nx\n", 3, "lang"),
        ("---\ndate: 2026-06-17\nnewsletter: A B\n---\n## A\nx\n", 3, "newsletter"),
        ("---\ndate: 2026-06-17\na: *x\n---\n## A\nx\n", 3, "not YAML"),
        (HEAD + "text before\n## A\n", 4, "expected a section"),
        (HEAD + "### entry first\n", 4, "expected a section"),
        (HEAD, 4, "at least one section"),
        (HEAD + "# Title\n## A\nx\n", 4, "masthead"),
        (HEAD + "## A\n\n[ref]: https://example.org\n", 6, "a definition"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(text: str, line: int, expected: str) -> None:
    with pytest.raises(SourceError, match=expected) as raised:
        parse(text, "f.md")
    assert str(raised.value).startswith(f"f.md:{line}:"), str(raised.value)


_bodies = st.text(alphabet="#>[]()·ab `*-\n|{}!~1.\"'&<", max_size=300)


@given(_bodies)
def test_any_body_is_an_issue_or_an_error_with_a_line(body: str) -> None:
    assert _line_of_first_section(f"{HEAD}## A\n{body}") == 4


def _line_of_first_section(text: str) -> int:
    """4 as well for an error with a line."""
    try:
        return parse(text, "f.md").sections[0].line
    except SourceError as error:
        return 4 if re.match(r"f\.md:\d+: expected", str(error)) else 0


@given(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=30))
def test_no_word_of_a_body_is_lost(words: list[str]) -> None:
    text = "\n\n".join(words)
    (section,) = parse(f"{HEAD}## A\n{text}", "f.md").sections
    assert section.body
    assert section.body.text.split() == words


@pytest.mark.parametrize("ends", ["\r\n", "\r", "\n"])
def test_line_ends_and_a_byte_order_mark_make_no_difference(ends: str) -> None:
    written = "\ufeff" + MARKDOWN.replace("\n", ends)
    assert parse(written, "f.md") == parse(MARKDOWN, "f.md")


def test_the_shipped_examples_are_in_both_forms_and_rich() -> None:
    issues = [parse(read_text(f), f.name) for f in sorted((EXAMPLES / "issues").iterdir())]
    assert {issue.form.value for issue in issues} == {"markdown", "digest"}
    for issue in issues:
        assert sum(len(section.entries) for section in issue.sections) >= 8
    text = (EXAMPLES / "issues" / "2026-06-17-load-bearing.md").read_text()
    for sign in ("](https://", "\n> ", "```", "\n- ", "!["):
        assert sign in text
