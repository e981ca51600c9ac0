"""The mail as it was frozen, with the clicks written at each link. Pure: values in, HTML out."""

import re
from collections.abc import Callable, Mapping
from html import escape

from newsletter.rendering.compiled import CompiledEmail, placeholder_pattern

_VALUE = r"""(?:"[^"]*"|'[^']*')"""
_ANCHOR = re.compile(rf"(<a\b(?:[^>\"']|{_VALUE})*>)(.*?)(</a\s*>)", re.IGNORECASE | re.DOTALL)
_HREF = re.compile(rf"""\shref\s*=\s*({_VALUE}|[^\s>"']+)""", re.IGNORECASE)
_SOMEBODY = "reader@example.org"
_BADGE = (
    '<span style="display:inline-block;margin:0 4px;padding:0 8px;border-radius:10px;'
    "background:{colour};color:#ffffff;font:600 13px/20px system-ui,sans-serif;"
    'letter-spacing:0;text-transform:none;white-space:nowrap;vertical-align:middle">{text}</span>'
)
_CLICKED, _NOT_CLICKED = "#a8431a", "#6d6a63"


def drawn(email: CompiledEmail, clicks: Mapping[int, int], said: Callable[[int], str]) -> str:
    """The HTML of the mail with what `said` makes of its clicks behind each numbered link.

    Nothing in it leads anywhere: no destination, no pixel, nobody's address or links.
    """
    of_link = re.compile(re.escape(email.nonce) + r"-link([0-9]+)-")

    def marked(found: re.Match[str]) -> str:
        opening, inside, closing = found.groups()
        numbers = [int(number) for number in of_link.findall(opening)]
        badge = _badge(clicks.get(numbers[0], 0), said) if numbers else ""
        return _HREF.sub("", opening) + inside + closing + badge

    return _filled(email, _ANCHOR.sub(marked, email.html))


def _badge(clicks: int, said: Callable[[int], str]) -> str:
    colour = _CLICKED if clicks else _NOT_CLICKED
    return _BADGE.format(colour=colour, text=escape(said(clicks)))


def _filled(email: CompiledEmail, html: str) -> str:
    """Fields show their defaults, as for a reader of whom nothing is known."""
    known = {f"field{number}": merge.default for number, merge in enumerate(email.fields, 1)}
    known["email"] = _SOMEBODY
    pattern = placeholder_pattern(email.nonce)
    return pattern.sub(lambda found: escape(known.get(found[1], "")), html)
