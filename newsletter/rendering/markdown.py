"""Markdown to safe HTML: parsed without raw HTML, then cleaned all the same."""

import re
from collections.abc import Iterator

import nh3
from markdown_it.token import Token

from newsletter.issues.commonmark import MAX_DEPTH, CommonMark
from newsletter.issues.source import Prose
from newsletter.rendering.findings import Finding, Severity
from newsletter.rendering.placeholders import Placeholders

MAX_CHARACTERS = 200_000
COLUMN_WIDTH = 536
"""Pixels between the card's paddings: an image is at most this wide."""

_parser = CommonMark()
_IMAGE_WIDTH = re.compile(r"width=(\d{1,4})")
_TAGS = {
    *("p", "br", "em", "strong", "s", "del", "code", "pre", "a", "img", "span"),
    *("ul", "ol", "li", "blockquote", "hr", "h4", "h5", "h6"),
    *("table", "thead", "tbody", "tr", "th", "td"),
}
_ATTRIBUTES = {
    "a": {"href"},
    "img": {"src", "alt", "width"},
    "ol": {"start"},
    "span": {"class"},
}


def tokens(prose: Prose, placeholders: Placeholders) -> list[Token]:
    """The prose as Markdown tokens, links and merge fields already placeholders.

    Merge fields in code stay what they are: code is shown, not filled in.
    """
    if len(prose.text) > MAX_CHARACTERS:
        _find(
            placeholders, "text-too-long", f"expected at most {MAX_CHARACTERS:,} characters", prose
        )
        return []
    parsed = _parser.parse(prose.text)
    if any(token.level > MAX_DEPTH for token in parsed):
        _find(placeholders, "text-too-deep", f"expected at most {MAX_DEPTH} levels", prose)
        return []
    for block in parsed:
        line = prose.line + (block.map[0] if block.map else 0)
        for token, following in _with_following(block.children or []):
            _freeze(token, following, line, placeholders)
        _lower_heading(block)
    return parsed


def to_html(parsed: list[Token]) -> str:
    """Safe HTML of tokens from `tokens`."""
    return clean(_parser.renderer.render(parsed, _parser.options, {}))


def clean(fragment: str) -> str:
    """Only tags and attributes that a mail may have."""
    return nh3.clean(
        fragment,
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        url_schemes={"http", "https", "mailto"},
        link_rel=None,
    )


def _freeze(token: Token, following: list[Token], line: int, placeholders: Placeholders) -> None:
    if token.type == "text":
        token.content = placeholders.fields_in(token.content, line)
    elif token.type == "link_open":
        title = "".join(inner.content for inner in _until_close(following))
        href = str(token.attrGet("href") or "")
        token.attrs = {"href": placeholders.link(href, title, line)}
    elif token.type == "image":
        _freeze_image(token, line, placeholders)


def _freeze_image(token: Token, line: int, placeholders: Placeholders) -> None:
    """An image by https, with a text; `![text](url "width=300")` says how wide."""
    src = str(token.attrGet("src") or "")
    if not src.startswith(("https://", "http://")):
        placeholders.findings.append(
            Finding(
                "image-source", Severity.ERROR, f"expected an https:// image: {src[:200]}", line
            )
        )
    if not token.content.strip():
        placeholders.findings.append(
            Finding("image-without-alt", Severity.ERROR, "an image needs a text: ![text](…)", line)
        )
    asked = _IMAGE_WIDTH.fullmatch(str(token.attrGet("title") or ""))
    width = min(int(asked[1]), COLUMN_WIDTH) if asked else COLUMN_WIDTH
    token.attrs = {"src": src, "alt": "", "width": str(width)}


def _lower_heading(block: Token) -> None:
    """Headings of a body stay below the entry's own."""
    if block.type in ("heading_open", "heading_close"):
        block.tag = f"h{max(4, int(block.tag[1]))}"


def _with_following(children: list[Token]) -> Iterator[tuple[Token, list[Token]]]:
    for number, token in enumerate(children):
        yield token, children[number + 1 :]


def _until_close(following: list[Token]) -> Iterator[Token]:
    for token in following:
        if token.type == "link_close":
            return
        yield token


def _find(placeholders: Placeholders, code: str, text: str, prose: Prose) -> None:
    placeholders.findings.append(Finding(code, Severity.ERROR, text, prose.line))
