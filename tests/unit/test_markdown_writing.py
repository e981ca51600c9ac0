"""A digest written as Markdown says what the digest said."""

import re
from html import unescape
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from newsletter.issues.digest_form import parse_digest
from newsletter.issues.markdown_writing import link, write_issue
from newsletter.issues.parsing import parse
from newsletter.issues.source import IssueSource
from newsletter.rendering.placeholders import Placeholders
from newsletter.rendering.templates import TemplateFolders
from newsletter.rendering.view import view
from tests import factories

TEXT = st.text(
    st.sampled_from(list("ab Z1.)(-+*_#<>&[]`!|~\\=:é“”{}\"'^$%")), min_size=1, max_size=40
)


def rendered(source: IssueSource) -> str:
    """The web page's words: what a reader sees of it, white space and styles apart."""
    placeholders = Placeholders()
    variables = view(source, factories.identity(), "", placeholders)
    page = TemplateFolders.of(None).render("webpage.html", variables)
    shown = placeholders.resolved(page, as_html=True)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", shown)).split())


def test_the_example_reads_the_same_in_both_forms() -> None:
    file = next((factories.EXAMPLES / "issues").glob("*.txt"))
    digest = parse(file.read_text(encoding="utf-8"), file.name)
    written = parse(write_issue(digest), "issue.md")
    assert rendered(written) == rendered(digest)
    assert written.categories == digest.categories
    assert written.date == digest.date


def test_the_sample_reads_the_same_in_both_forms(shared: Path) -> None:
    file = shared / "samples" / "engineering-reads-2026-06-17.txt"
    digest = parse(file.read_text(encoding="utf-8"), file.name)
    assert rendered(parse(write_issue(digest), "issue.md")) == rendered(digest)


@settings(max_examples=100)
@given(TEXT, TEXT, TEXT)
def test_every_character_stands_for_itself(title: str, first: str, last: str) -> None:
    line = " ".join(title.split()).replace("#", "").strip(" ·") or "Title"
    prose = " ".join(f"{first} {last}".split()).replace("#", "")
    reads, end = f"Reads#\n\n{line} · Ada_b · Source {prose}", f"End#\n\n{prose or 'x'}"
    text = f"N — 2026-06-17#\n\n{reads}\n\n{end}\n"
    digest = parse_digest(text, "x")
    written = parse(write_issue(digest), "y")
    if "{{" in text:
        return  # what an unclosed merge field is taken for differs; both forms refuse it
    assert rendered(written) == rendered(digest)


@pytest.mark.parametrize(
    ("title", "url"),
    [
        ("A [bracket] and *star*", "https://example.org/a(b)c d"),
        ("Back\\slash `code` <tag> & ~~no~~", "https://example.org/?q=<x>&y=\\"),
        ("Snake_case __init__", "https://example.org/_x_"),
    ],
)
def test_a_link_is_one_link_with_this_title(title: str, url: str) -> None:
    source = parse(f"---\ndate: 2026-06-17\n---\n## A\n### {link(title, url)}\n", "x")
    assert source.sections[0].entries[0].title == title
    assert source.sections[0].entries[0].url.startswith("https://example.org/")
