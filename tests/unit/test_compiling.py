"""From an issue to a mail: what must be in it, what must not, and in which order."""

import re
from collections.abc import Iterator
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it.token import Token

from newsletter.cli.issues import render_to
from newsletter.issues.commonmark import CommonMark
from newsletter.issues.parsing import parse, read_text
from newsletter.issues.source import SourceError
from newsletter.rendering import markdown
from newsletter.rendering.compiled import CompiledEmail, WireForm
from newsletter.rendering.findings import Severity
from newsletter.rendering.message import prepare
from newsletter.rendering.placeholders import Placeholders
from tests import factories

HEAD = "---\ndate: 2026-06-17\nsubject: Short\npreheader: Shorter\n---\n"
VOID = {"area", "base", "br", "col", "hr", "img", "input", "link", "meta", "wbr"}


class Outline(HTMLParser):
    """Checks that tags nest, and keeps what a reader would see."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.crossed: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        del attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        if not self.open or self.open.pop() != tag:
            self.crossed.append(tag)

    def handle_data(self, data: str) -> None:
        if not {"style", "title"} & set(self.open):
            self.text.append(data)


def outline(page: str) -> Outline:
    read = Outline()
    read.feed(page)
    return read


def compiled(body: str) -> CompiledEmail:
    return factories.compiled(HEAD + body).email


def test_the_shared_sample_renders_to_a_whole_mail(shared: Path, tmp_path: Path) -> None:
    file = shared / "samples" / "engineering-reads-2026-06-17.txt"
    render_to(file, tmp_path, factories.settings())
    check_rendered(tmp_path, [e.title for e in parse(read_text(file), "f").sections[1].entries])


@pytest.mark.parametrize("name", ["2026-06-17-load-bearing.md", "2026-06-18-load-bearing.txt"])
def test_an_example_renders_to_a_whole_mail(name: str, tmp_path: Path) -> None:
    file = factories.EXAMPLES / "issues" / name
    render_to(file, tmp_path, factories.settings())
    sections = parse(read_text(file), name).sections
    check_rendered(tmp_path, [e.title for section in sections for e in section.entries])


def check_rendered(folder: Path, titles: list[str]) -> None:
    assert {f.name for f in folder.iterdir()} == {
        *("issue.html", "issue.txt", "issue.mjml", "message.eml"),
    }
    page = (folder / "issue.html").read_text()
    shown = re.findall(r'<h3[^>]*class="title"[^>]*>(.*?)</h3>', page, re.DOTALL)
    assert [unescape(re.sub(r"<[^>]+>", "", title)) for title in shown] == titles
    assert page.startswith("<!DOCTYPE html>")
    assert '<html lang="en"' in page
    assert 'dir="ltr"' in page
    assert "<!--[if mso" in page
    dark = page[page.index("prefers-color-scheme: dark") :]
    assert dark.count("!important") > 15
    assert re.search(r"\bbody\b[^{}]*\{ background-color: #\w+ !important", dark), "short mails too"
    assert not re.search(r"<link\b|@import|@font-face|fonts\.googleapis|<script", page)
    assert not re.search(r"\{\{|\}\}|\{%", page)
    assert not re.search(r"n[0-9a-f]{20}-", page)
    assert len(page.encode()) < 60_000
    text = (folder / "issue.txt").read_text()
    assert [text.index(title) for title in titles] == sorted(text.index(t) for t in titles)


def test_tags_of_the_mail_nest() -> None:
    issue = (factories.EXAMPLES / "issues" / "2026-06-17-load-bearing.md").read_text()
    for page in (factories.compiled(issue).email.html, factories.compiled(issue).email.webpage):
        read = outline(re.sub(r"<!--.*?-->", "", page, flags=re.DOTALL))
        assert read.crossed == []
        assert read.open == []


def test_words_of_free_text_are_not_glued_together() -> None:
    email = compiled("## A\nOne *two* three `four` five [six](https://example.org) seven.\n")
    said = " ".join("".join(outline(email.html).text).split())
    assert "One two three four five six seven." in said


def test_html_in_an_issue_is_text() -> None:
    email = compiled('## A <b>x</b>\n<script>alert(1)</script> & "quoted"\n\n### T <i>y</i>\nz\n')
    for page in (email.html, email.webpage):
        assert "<script>" not in page
        assert "&lt;script&gt;" in page
        assert "T &lt;i&gt;" in page
    assert '<script>alert(1)</script> & "quoted"' in email.text


_hostile = st.text(alphabet="<>&\"'`[]()!#*_-=/\\{}%| \nabcnj:1", max_size=120)


@settings(max_examples=60)
@given(_hostile)
def test_no_text_breaks_the_mail_or_leaves_a_placeholder(text: str) -> None:
    issue = f"---\ndate: 2026-06-17\n---\n## A\nbegin {text}\n\n### E\nend\n"
    email = factories.compiled(issue).email if _is_issue(issue) else compiled("## A\nx\n")
    read = outline(re.sub(r"<!--.*?-->", "", email.html, flags=re.DOTALL))
    assert read.crossed == []
    assert "<script" not in email.html
    assert "slot" not in re.findall(email.nonce + r"-([a-z]+)", email.html)
    assert email.nonce not in email.webpage


def _is_issue(text: str) -> bool:
    try:
        return bool(parse(text, "f.md").sections)
    except SourceError:
        return False


def test_links_are_numbered_once_per_destination() -> None:
    email = compiled(
        "## A\n[a](https://example.org/1) [b](https://example.org/1) <https://b.org>\n"
    )
    assert [(link.number, link.url) for link in email.links] == [
        (1, "https://example.org/1"),
        (2, "https://b.org"),
    ]
    assert email.html.count(f"{email.nonce}-link1-") == 2


def test_the_web_page_shows_defaults_and_leads_straight_on() -> None:
    email = compiled(
        '## A\nDear {{ subscriber.name | default("reader & friend") }},\n'
        "[go](https://example.org/?a=1&b=2)\n"
    )
    assert "Dear reader &amp; friend," in email.webpage
    assert 'href="https://example.org/?a=1&amp;b=2"' in email.webpage
    assert "unsubscribe" not in email.webpage.lower()


PLAIN = '{{ subscriber.name | default("you") }}'
FIELD = '{{ subscriber.name | default("*my* | friend") }}'


@pytest.mark.parametrize(
    "text",
    [
        f"Hello {FIELD}.",
        f"| a | b |\n|---|---|\n| {FIELD} | x |",
        f"![Hello {FIELD}](https://example.org/a.png)",
        f"[Hello {FIELD}](https://example.org/a)",
        f"- *Hello {FIELD}*\n\n  > again",
    ],
)
def test_a_merge_field_means_itself_wherever_text_may_stand(text: str) -> None:
    made = factories.compiled(f"{HEAD}## A {PLAIN}\n{text}\n\n### E {PLAIN}\nend\n")
    email = made.email
    assert not [f for f in made.findings if f.severity is Severity.ERROR]
    assert [field.default for field in email.fields] == ["you", "*my* | friend", "you"]
    for shape in (email.html, email.text):
        for number in (1, 2, 3):
            assert f"{email.nonce}-field{number}-" in shape
        assert "{{" not in shape
    assert email.webpage.count("*my* | friend") == 1
    assert not [link for link in email.links if email.nonce in link.title]


def test_a_merge_field_in_code_is_shown() -> None:
    email = compiled("## A\n`{{ subscriber.name }}`\n\n    {{ 7*7 }}\n")
    assert email.fields == ()
    for shape in (email.html, email.text):
        assert "{{ subscriber.name }}" in shape
        assert "{{ 7*7 }}" in shape


def test_a_section_with_a_merge_field_reads_well_as_text() -> None:
    email = compiled("## For {{ subscriber.name }} only\nx\n")
    assert f"FOR {email.nonce}-field1- ONLY" in email.text
    prepare(factories.frozen(email), WireForm.NONE)


def test_a_subject_is_shown_without_placeholders() -> None:
    made = factories.compiled(f"---\ndate: 2026-06-17\nsubject: 'For {PLAIN}'\n---\n## A\nx\n")
    assert made.email.public_subject() == "For you"


@pytest.mark.parametrize(
    ("body", "levels"),
    [
        ("#### One\nx\n##### Two\nx\n#### Three\nx", ["3", "4", "3"]),
        ("> ## One\n\n- # Two\n- ### Three", ["3", "3", "4"]),
        ("text\n###### Deep\nx", ["3"]),
    ],
)
def test_a_heading_in_a_text_stands_one_below_its_section_or_entry(
    body: str, levels: list[str]
) -> None:
    made = factories.compiled(f"{HEAD}## A\n{body}\n\n### E\n{body}\n\nend.\n")
    found = re.findall(r"<h(\d)", made.email.html)
    below = [str(int(level) + 1) for level in levels]
    assert found == ["1", "2", *levels, "3", *below]
    assert not [f for f in made.findings if f.severity is Severity.ERROR]


class Counted(list[Token]):
    """A list that counts what is taken out of it."""

    taken = 0

    def __getitem__(self, key: Any) -> Any:
        found = super().__getitem__(key)
        self.taken += len(found) if isinstance(key, slice) else 1
        return found

    def __iter__(self) -> Iterator[Token]:
        for token in super().__iter__():
            self.taken += 1
            yield token


def test_the_work_grows_with_the_tokens_of_a_paragraph_not_with_their_square() -> None:
    text = "*a* [b](https://example.org/{{x}}) c " * 400
    inline = CommonMark().parse(text)[1].children
    assert inline
    counted = Counted(inline)
    markdown.freeze(counted, 1, Placeholders())
    assert counted.taken <= 4 * len(inline)


def test_a_right_to_left_language_turns_the_mail() -> None:
    head = HEAD.replace("subject", "lang: he\nsubject")
    email = factories.compiled(f"{head}## A\nx\n").email
    assert '<html lang="he" dir="rtl"' in email.html


def test_the_same_issue_has_the_same_hash_and_another_one_another() -> None:
    one, same, other = (compiled(f"## A\n{t}\n").content_hash() for t in ("x", "x", "y"))
    assert one == same != other


def test_a_compiled_mail_survives_its_storage() -> None:
    email = factories.compiled().email
    assert CompiledEmail.from_json(email.to_json()) == email


def test_a_picture_is_as_wide_as_asked_and_never_wider_than_the_column() -> None:
    email = compiled(
        '## A\n![small](https://example.org/a.png "width=200")\n\n'
        '![vast](https://example.org/b.png "width=9999")\n'
    )
    small, vast = re.findall(r"<img[^>]*example\.org/[ab]\.png[^>]*>", email.html)
    assert 'width="200"' in small
    assert "max-width:200px" in small
    assert 'width="536"' in vast
