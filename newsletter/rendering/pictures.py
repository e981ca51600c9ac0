"""Pictures that a mail loads from elsewhere, wherever HTML can name one. Pure.

What is overlooked here, such as an address spelt in escapes of CSS, is not loaded by a page whose
policy allows only our own pictures: then nothing is seen, and nothing leaves.
"""

import re
from collections.abc import Callable
from html import escape, unescape

_QUOTED = r"""(?:"[^"]*"|'[^']*')"""
_STYLE = re.compile(r"(<style\b[^>]*>)(.*?)(</style\s*>)", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(rf"""<[a-z](?:[^>"']|{_QUOTED})*+>""", re.IGNORECASE)
_ATTRIBUTE = re.compile(rf"""(\s([a-z:-]+)\s*=\s*)({_QUOTED}|[^\s>"']+)""", re.IGNORECASE)
_HOLD_ONE = frozenset({"src", "background", "poster"})
_OUTSIDE = re.compile(r"(?:https?:)?//", re.IGNORECASE)
_IN_SET = re.compile(r"(?<![^\s,])(?:https?:)?//\S*[^\s,]", re.IGNORECASE)
_IN_CSS = re.compile(r"""(\burl\(\s*)("[^"]*"|'[^']*'|[^)"'\s]*)(\s*\))""", re.IGNORECASE)

Moved = Callable[[str], str]
"""The address of a picture elsewhere to the one it is shown from."""


def moved(page: str, to: Moved) -> str:
    """The page with `to` of each outside picture's address in its place.

    Attributes that name one, `srcset`, and `url()` in styles; `to` answers without characters that
    mean something in HTML or CSS.
    """
    styled = _STYLE.sub(lambda found: found[1] + _in_css(found[2], to) + found[3], page)
    return _TAG.sub(lambda tag: _ATTRIBUTE.sub(lambda found: _attribute(found, to), tag[0]), styled)


def addresses(page: str) -> list[str]:
    """Where the page's outside pictures are, each once, in the order of the page."""
    found: dict[str, None] = {}

    def noted(address: str) -> str:
        found[address] = None
        return ""

    moved(page, noted)
    return list(found)


def _attribute(found: re.Match[str], to: Moved) -> str:
    before, name, written = found[1], found[2].lower(), found[3]
    value = unescape(written[1:-1] if written[0] in "\"'" else written)
    if name in _HOLD_ONE:
        new = _one(value, to)
    elif name == "srcset":
        new = _IN_SET.sub(lambda each: _one(each[0], to), value)
    elif name == "style":
        new = _in_css(value, to)
    else:
        return found[0]
    return found[0] if new == value else f'{before}"{escape(new)}"'


def _in_css(css: str, to: Moved) -> str:
    def moved_one(found: re.Match[str]) -> str:
        address = found[2].strip("\"'")
        new = _one(address, to)
        return found[0] if new == address else f'{found[1]}"{new}"{found[3]}'

    return _IN_CSS.sub(moved_one, css)


def _one(value: str, to: Moved) -> str:
    """Without a scheme an address has ours, which in the mail's own program is https."""
    address = value.strip()
    if not _OUTSIDE.match(address):
        return value
    return to(f"https:{address}" if address.startswith("//") else address)
