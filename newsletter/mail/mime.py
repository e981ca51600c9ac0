"""MIME as byte segments with slots: built once per broadcast, joined once per recipient.

Both parts are quoted-printable (RFC 2045 section 6.7): lines of at most 76 ASCII characters, CRLF
only. A dot that would begin a line is written =2E, so what is made here goes over the wire as it
is: there is nothing to dot-stuff. A slot in a body stands between soft line breaks, so that its
value can be encoded on its own.
"""

import html
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from hashlib import sha256

_LINE = 76
_UNSAFE = re.compile(rb"[^\t\x20-\x3c\x3e-\x7e]")
_SIMPLE = re.compile(r"(?!From )[A-Za-z0-9_-](?:[A-Za-z0-9_@+/:,. -]{0,73}[A-Za-z0-9_-])?")
"""Values that mean themselves in every body, such as tokens and most names: the fast path."""

_SOFT_BREAK = b"=\r\n"


class Context(Enum):
    """Where a slot stands, which decides how its value is encoded."""

    HEADER = "header"
    """Whole header fields, ready made."""
    TEXT = "text"
    HTML = "html"


@dataclass(frozen=True, slots=True)
class Slot:
    """A place whose content differs by recipient."""

    name: str
    context: Context


@dataclass(frozen=True, slots=True)
class Part:
    """One alternative of a message: its text, cut at the slots."""

    subtype: str
    pieces: Sequence[str | Slot]


class PreparedMessage:
    """A message whose fixed bytes are ready and whose slots are known.

    Attributes:
        pieces: fixed bytes and slots, never two fixed ones in a row.
        slots: every slot that occurs, once; a value is encoded once for all its places.
    """

    def __init__(self, pieces: Iterable[bytes | Slot]) -> None:
        merged = _merged(pieces)
        self.pieces: Sequence[bytes | Slot] = merged
        self.slots = tuple(dict.fromkeys(piece for piece in merged if isinstance(piece, Slot)))
        self._template = [piece if isinstance(piece, bytes) else b"" for piece in merged]
        self._places = [
            (place, self.slots.index(piece))
            for place, piece in enumerate(merged)
            if isinstance(piece, Slot)
        ]

    def splice(self, values: Sequence[bytes]) -> bytes:
        """The message for one recipient; `values` are encoded, in the order of `slots`."""
        pieces = self._template.copy()
        for place, number in self._places:
            pieces[place] = values[number]
        return b"".join(pieces)


def alternative(headers: Iterable[bytes | Slot], parts: Sequence[Part]) -> PreparedMessage:
    """A multipart/alternative message; `headers` are whole fields, each ending with CRLF."""
    boundary = _boundary(parts)
    pieces: list[bytes | Slot] = [
        *headers,
        b"MIME-Version: 1.0\r\n",
        f'Content-Type: multipart/alternative;\r\n boundary="{boundary}"\r\n\r\n'.encode(),
    ]
    for part in parts:
        pieces.append(
            f"--{boundary}\r\n"
            f"Content-Type: text/{part.subtype}; charset=utf-8\r\n"
            "Content-Transfer-Encoding: quoted-printable\r\n\r\n".encode()
        )
        for piece in part.pieces:
            if isinstance(piece, Slot):
                pieces += [_SOFT_BREAK, piece, _SOFT_BREAK]
            else:
                pieces.append(quoted_printable(piece))
        pieces.append(b"\r\n")
    pieces.append(f"--{boundary}--\r\n".encode())
    return PreparedMessage(pieces)


def encoded(value: str, context: Context) -> bytes:
    """The value of a slot in a body, as it goes between its soft line breaks."""
    return encoded_for_both(value)[context is Context.HTML]


def encoded_for_both(value: str) -> tuple[bytes, bytes]:
    """A slot's value as it goes between its soft line breaks: in the text, and in the HTML."""
    if _SIMPLE.fullmatch(value):
        simple = value.encode()
        return simple, simple
    return quoted_printable(value), quoted_printable(html.escape(value))


def quoted_printable(text: str) -> bytes:
    """Quoted-printable lines of at most 76 characters; every kind of line break becomes CRLF.

    The last line is at most 75 long and may be followed by a soft line break.
    """
    canonical = text.replace("\r\n", "\n").replace("\r", "\n")
    return b"\r\n".join(_lines(line) for line in canonical.encode("utf-8", "replace").split(b"\n"))


def _lines(line: bytes) -> bytes:
    """One line of text as one or more quoted-printable lines."""
    rest = _UNSAFE.sub(lambda found: b"=%02X" % found[0][0], line)
    if rest.endswith((b" ", b"\t")):
        rest = rest[:-1] + b"=%02X" % rest[-1]
    lines = []
    while True:
        rest = _guarded(rest)
        if len(rest) < _LINE:
            lines.append(rest)
            return _SOFT_BREAK.join(lines)
        cut = _LINE - 1
        cut -= next((back for back in (1, 2) if rest[cut - back : cut - back + 1] == b"="), 0)
        lines.append(rest[:cut])
        rest = rest[cut:]


def _guarded(line: bytes) -> bytes:
    """No line begins with a dot (SMTP's end) or with `From ` (a mailbox file's separator)."""
    if line.startswith(b"."):
        return b"=2E" + line[1:]
    return b"=46" + line[1:] if line.startswith(b"From ") else line


def _boundary(parts: Sequence[Part]) -> str:
    """From the content, so that it is the same each time; `=_` cannot occur in quoted-printable."""
    digest = sha256()
    for part in parts:
        for piece in part.pieces:
            digest.update(repr(piece).encode("utf-8", "backslashreplace"))
    return f"=_{digest.hexdigest()[:32]}"


def _merged(pieces: Iterable[bytes | Slot]) -> list[bytes | Slot]:
    """Neighbouring fixed bytes as one piece: the fewer pieces, the faster the join."""
    merged: list[bytes | Slot] = []
    for piece in pieces:
        if isinstance(piece, bytes) and merged and isinstance(merged[-1], bytes):
            merged[-1] += piece
        else:
            merged.append(piece)
    return merged
