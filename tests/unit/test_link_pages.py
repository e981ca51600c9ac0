"""What pages say about themselves, well or badly."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from newsletter.issues.link_pages import read_page
from newsletter.issues.markdown_writing import write_entry

URL = "https://example.org/post"


def head(*lines: str) -> bytes:
    return (
        "<!doctype html><html><head>" + "".join(lines) + "</head><body>x</body></html>"
    ).encode()


def test_a_full_page_says_everything() -> None:
    page = read_page(
        head(
            "<title>Title | Site</title>",
            '<meta property="og:title" content="The Title">',
            '<meta property="og:description" content="What it is &amp;amp; says.">',
            '<meta property="og:site_name" content="The Site">',
            '<meta name="author" content="Ada Reader">',
            '<link rel="canonical" href="/post?clean">',
        ),
        "text/html; charset=utf-8",
        f"{URL}?utm_source=x",
    )
    assert (page.title, page.author) == ("The Title", "Ada Reader")
    assert (page.description, page.site) == ("What it is & says.", "The Site")
    assert page.url == f"{URL}?clean"


def test_json_ld_names_its_authors() -> None:
    authors = [{"name": "Ada"}, {"name": "Bo"}]
    post = {"@type": ["BlogPosting"], "headline": "Headline", "author": authors}
    said = json.dumps({"@graph": [{"@type": "Organization", "name": "No"}, post]})
    page = read_page(head(f'<script type="application/ld+json">{said}</script>'), "", URL)
    assert (page.title, page.author) == ("Headline", "Ada, Bo")


def test_another_host_is_not_taken_for_the_address() -> None:
    page = read_page(head('<link rel="canonical" href="https://evil.example/">'), "text/html", URL)
    assert page.url == URL


@pytest.mark.parametrize(
    ("data", "header"),
    [
        ("<title>Zürich</title>".encode("latin-1"), "text/html; charset=ISO-8859-1"),
        ('<meta charset="windows-1252"><title>Zürich</title>'.encode("cp1252"), "text/html"),
        ("\ufeff<title>Zürich</title>".encode("utf-16"), "text/html"),
        ("<title>Zürich</title>".encode(), "text/html; charset=nonsense"),
        ("<title>Zürich</title>".encode(), "text/html; charset=unicode_escape"),
    ],
)
def test_letters_are_read_in_the_page_s_own_charset(data: bytes, header: str) -> None:
    assert read_page(data, header, URL).title == "Zürich"


def test_what_is_no_page_is_only_a_link() -> None:
    page = read_page(b"%PDF-1.7 ...", "application/pdf", URL)
    assert page.title == ""
    assert page.entry().title == "example.org"


def test_markup_in_a_title_is_text_in_the_entry() -> None:
    page = read_page(head("<title>[x](javascript:1) &lt;script&gt;\n# y</title>"), "text/html", URL)
    entry = write_entry(page.entry())
    assert entry.startswith(f"### [\\[x\\](javascript:1) \\<script\\> # y]({URL})\n")


@settings(max_examples=100)
@given(
    st.lists(
        st.sampled_from(
            [
                *("<html>", "<head>", "<title>", "</title>", "<meta name=author content='", "'>"),
                *(
                    '<script type="application/ld+json">',
                    "</script>",
                    '{"@type":',
                    "[[[",
                    "}",
                    "\0",
                ),
                *("é", "&#0;", "&amp", "<!--", "]]>", "<![CDATA[", "<svg>", "<?xml ?>", "\ud7ff"),
            ]
        )
    ),
    st.sampled_from(["text/html", "text/html; charset=utf-16", "", "x/y"]),
)
def test_no_page_is_too_broken(pieces: list[str], header: str) -> None:
    page = read_page("".join(pieces).encode(), header, URL)
    assert page.url == URL
    assert not any(character in page.title + page.author for character in "\n\0")
