"""Markdown to safe HTML: parsed without raw HTML, then cleaned all the same."""

import re
from collections.abc import Sequence

import nh3
from markdown_it.token import Token

from newsletter.core.sentences import Count, Sentence, say
from newsletter.issues.commonmark import MAX_DEPTH, CommonMark
from newsletter.issues.source import Prose
from newsletter.rendering.findings import Finding, Severity
from newsletter.rendering.placeholders import Placeholders

MAX_CHARACTERS = 200_000
COLUMN_WIDTH = 536
"""Pixels between the card's paddings: an image is at most this wide."""

_LOWEST_HEADING = 6
_parser = CommonMark()
_IMAGE_WIDTH = re.compile(r"width=(\d{1,4})")
_DECORATIVE = "decorative"
_TAGS = {
    *("p", "br", "em", "strong", "s", "del", "code", "pre", "a", "img", "span"),
    *("ul", "ol", "li", "blockquote", "hr", "h3", "h4", "h5", "h6"),
    *("table", "thead", "tbody", "tr", "th", "td"),
}
_ATTRIBUTES = {
    "a": {"href"},
    "img": {"src", "alt", "width"},
    "ol": {"start"},
    "span": {"class"},
}


def tokens(prose: Prose, placeholders: Placeholders, heading_level: int) -> list[Token]:
    """The prose as Markdown tokens, links and merge fields already placeholders.

    Merge fields in code stay what they are: code is shown, not filled in. Headings begin with
    `heading_level`, whatever they are in the text, and skip none.
    """
    if len(prose.text) > MAX_CHARACTERS:
        text = say("expected at most %(most)s characters", most=Count(MAX_CHARACTERS))
        _find(placeholders, "text-too-long", text, prose)
        return []
    parsed = _parser.parse(placeholders.hide_fields(prose.text))
    if any(token.level > MAX_DEPTH for token in parsed):
        _find(
            placeholders,
            "text-too-deep",
            say("expected at most %(most)s levels", most=MAX_DEPTH),
            prose,
        )
        return []
    for block in parsed:
        line = prose.line + (block.map[0] if block.map else 0)
        block.content = placeholders.unhide_fields(block.content)
        freeze(block.children or [], line, placeholders)
    _lower_headings(parsed, heading_level)
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


def freeze(inline: Sequence[Token], line: int, placeholders: Placeholders) -> None:
    """Put placeholders where links and merge fields are, in one go over the tokens of a block."""
    for number, token in enumerate(inline):
        token.content = placeholders.unhide_fields(token.content)
        if token.type == "text":
            token.content = placeholders.fields_in(token.content, line)
        elif token.type == "image":
            _freeze_image(token, line, placeholders)
        elif token.type == "link_close":
            _freeze_link(inline, number, line, placeholders)


def _freeze_link(
    inline: Sequence[Token], close: int, line: int, placeholders: Placeholders
) -> None:
    """The link that is closed there; its text is frozen already. No link stands in another."""
    opened = close - 1
    while inline[opened].type != "link_open":
        opened -= 1
    title = "".join(inline[number].content for number in range(opened + 1, close))
    href = placeholders.unhide_fields(str(inline[opened].attrGet("href") or ""))
    inline[opened].attrs = {"href": placeholders.link(href, title, line)}


def _freeze_image(token: Token, line: int, placeholders: Placeholders) -> None:
    """An image by https, with a text; `![text](url "width=300")` says how wide.

    `![](url "decorative")` shows nothing that a reader would miss, and needs no text.
    """
    src = placeholders.unhide_fields(str(token.attrGet("src") or ""))
    if not src.startswith(("https://", "http://")) or "{{" in src:
        placeholders.findings.append(
            Finding(
                "image-source",
                Severity.ERROR,
                say("expected an https:// image: %(src)s", src=src[:200]),
                line,
            )
        )
        src = ""
    elif _is_insecure(src, placeholders.base_url):
        text = say(
            "most mail programs show no picture by http, write https or upload it: %(src)s",
            src=src[:200],
        )
        placeholders.findings.append(Finding("image-insecure", Severity.WARNING, text, line))
    words = str(token.attrGet("title") or "").split()
    if not token.content.strip() and _DECORATIVE not in words:
        placeholders.findings.append(
            Finding(
                "image-without-alt",
                Severity.ERROR,
                say('an image needs a text: ![text](…), or is "decorative"'),
                line,
            )
        )
    _freeze_alt(token, line, placeholders)
    asked = next(filter(None, map(_IMAGE_WIDTH.fullmatch, words)), None)
    width = min(int(asked[1]), COLUMN_WIDTH) if asked else COLUMN_WIDTH
    token.attrs = {"src": src, "alt": "", "width": str(width)}


def _is_insecure(src: str, base_url: str) -> bool:
    return src.startswith("http://") and not (base_url and src.startswith(f"{base_url}/"))


def _freeze_alt(token: Token, line: int, placeholders: Placeholders) -> None:
    """The image's text: HTML is made of the children, the text part of the content."""
    pieces = (child.content or " " * child.type.endswith("break") for child in token.children or [])
    token.content = placeholders.fields_in(placeholders.unhide_fields("".join(pieces)), line)
    token.children = [Token("text", "", 0, content=token.content)]


def _lower_headings(parsed: Sequence[Token], first: int) -> None:
    """Headings of a body stay below the one it stands under, each at most one below the last."""
    above: list[int] = []
    for block in parsed:
        if block.type == "heading_open":
            level = int(block.tag[1])
            above = [*(outer for outer in above if outer < level), level]
        if block.type in ("heading_open", "heading_close"):
            block.tag = f"h{min(_LOWEST_HEADING, first + len(above) - 1)}"


def _find(placeholders: Placeholders, code: str, text: Sentence, prose: Prose) -> None:
    placeholders.findings.append(Finding(code, Severity.ERROR, text, prose.line))
