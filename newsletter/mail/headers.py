"""Strict header fields: folded, encoded, and impossible to break out of (RFC 5322, 2047)."""

import re
from base64 import b64encode
from datetime import datetime
from email.utils import format_datetime, quote

from newsletter.core.errors import NewsletterError
from newsletter.core.sentences import Sentence, say
from newsletter.mail.address import Address

FOLD_AT = 78
_HARD_LIMIT = 998
_LONGEST_WORD = 60
"""What still fits into a line behind the longest field name."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_NOT_IN_ADDRESS = re.compile(r"[\s<>,;]")
_ATOM_PHRASE = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]*")
_PLAIN_MAILBOX = re.compile(
    r"[A-Za-z-]+: (?:(?:[A-Za-z0-9!#$%&'*+/^_`{|}~-]{1,60} )+<[!-;=?-~]+>|[!-;=?-~]+)\r\n"
)
"""A mailbox with nothing to quote, encode or refuse: the fast path."""
_CHUNK_BYTES = 42
"""UTF-8 bytes per encoded word: 56 characters of base64 and 12 around them, below 75."""


class HeaderError(NewsletterError):
    """A value that cannot stand in a header field; names the field."""

    def __init__(self, name: str, problem: Sentence) -> None:
        super().__init__(say("header %(name)s: %(problem)s", name=name, problem=problem))
        self.name = name


def unstructured(name: str, value: str) -> bytes:
    """A field of free text, such as Subject; ends with CRLF.

    Raises:
        HeaderError: the value has a line break or another control character.
    """
    _refuse_control(name, value)
    words = _encoded_words(value) if _needs_encoding(value) else value.split(" ")
    return _folded(name, words)


def structured(name: str, value: str) -> bytes:
    """A field whose value is ready made of ASCII, such as List-Id; folded only at spaces."""
    _refuse_control(name, value)
    if not value.isascii():
        raise HeaderError(name, say("expected ASCII"))
    return _folded(name, value.split(" "))


def mailbox(name: str, address: Address, display_name: str = "") -> bytes:
    """A field with one mailbox, such as From or To; any display name is quoted or encoded.

    A local part beyond ASCII stays as it is (RFC 6532); the domain is written as A-label.

    Raises:
        HeaderError: the name has a control character, or the address a character that
            `Address.parse` never lets through.
    """
    written = address.envelope
    plain = f"{name}: {display_name} <{written}>\r\n" if display_name else f"{name}: {written}\r\n"
    if len(plain) <= FOLD_AT + 2 and _PLAIN_MAILBOX.fullmatch(plain):
        return plain.encode()
    _refuse_control(name, display_name + written)
    if _NOT_IN_ADDRESS.search(written):
        raise HeaderError(name, say("expected one address"))
    shown = " ".join(display_name.split())
    return _folded(name, [*_phrase(shown), f"<{written}>"] if shown else [written])


def _phrase(shown: str) -> list[str]:
    """A display name as it is, quoted, or encoded: the least that is safe."""
    if _needs_encoding(shown):
        return _encoded_words(shown)
    if _ATOM_PHRASE.fullmatch(shown):
        return shown.split(" ")
    return f'"{quote(shown)}"'.split(" ")


def date(name: str, moment: datetime) -> bytes:
    """A field with a date-time (RFC 5322 section 3.3)."""
    return _folded(name, format_datetime(moment).split(" "))


def _refuse_control(name: str, value: str) -> None:
    found = _CONTROL.search(value)
    if found:
        raise HeaderError(
            name,
            say(
                "control character U+%(control)s is not allowed",
                control=format(ord(found[0]), "04X"),
            ),
        )


def _needs_encoding(value: str) -> bool:
    """Beyond ASCII, or white space and words that folding could lose or a reader mistake."""
    odd_space = value != value.strip(" ") or "  " in value
    too_long = any(len(word) > _LONGEST_WORD for word in value.split(" "))
    return not value.isascii() or "=?" in value or odd_space or too_long


def _encoded_words(value: str) -> list[str]:
    """RFC 2047 encoded words in base64, never splitting a character."""
    words, chunk = [], b""
    for character in value:
        encoded = character.encode("utf-8", "replace")
        if len(chunk) + len(encoded) > _CHUNK_BYTES:
            words.append(chunk)
            chunk = b""
        chunk += encoded
    words.append(chunk)
    return [f"=?utf-8?b?{b64encode(word).decode()}?=" for word in words if word]


def _folded(name: str, words: list[str]) -> bytes:
    lines, line = [], f"{name}:"
    for word in words:
        if len(line) + 1 + len(word) > FOLD_AT and line.strip() != f"{name}:":
            lines.append(line)
            line = ""
        line += f" {word}"
    lines.append(line)
    encoded = [text.encode() for text in lines]
    if any(len(text) > _HARD_LIMIT for text in encoded):
        raise HeaderError(name, say("a line is longer than %(most)s bytes", most=_HARD_LIMIT))
    return b"\r\n".join(encoded) + b"\r\n"
