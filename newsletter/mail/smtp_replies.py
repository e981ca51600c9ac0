"""Reading SMTP replies off the wire, however its bytes arrive (RFC 5321 section 4.2)."""

from typing import Final

RawReply = tuple[int, bytes]
"""A reply's code, and the text of its lines joined by a line feed."""

MAX_REPLY_BYTES: Final = 65_536
"""Of all lines of a reply. RFC 5321 ends a line at 512, and yet a longer verdict is a verdict: to
drop it would leave a message in doubt. Beyond this nobody is answering us."""

_CODES: Final = {b"%d" % code: code for code in range(200, 600)}


class ReplyError(Exception):
    """What came is no SMTP reply; says why, and nothing of what came."""


class ReplyReader:
    """Makes replies of bytes; a reply counts only when its last line is there whole."""

    __slots__ = ("_code", "_part", "_size", "_texts")

    def __init__(self) -> None:
        self._part = bytearray()
        self._texts: list[bytes] = []
        self._code = b""
        self._size = 0

    @property
    def is_clean(self) -> bool:
        """Nothing of a further reply has come."""
        return not self._part and not self._texts

    def feed(self, data: bytes, into: list[RawReply]) -> None:
        """Append every reply that `data` completes.

        Raises:
            ReplyError: what follows the replies appended so far is not one.
        """
        if b"\n" not in data:
            self._keep(data)
            return
        if self._part:
            data = bytes(self._part) + data
            self._part.clear()
        lines = data.split(b"\n")
        rest = lines.pop()
        for line in lines:
            self._read(line, into)
        if rest:
            self._keep(rest)

    def _keep(self, data: bytes) -> None:
        """The beginning of a line; searched no second time, however slowly the rest drips in."""
        self._part += data
        if self._size + len(self._part) >= MAX_REPLY_BYTES:
            raise ReplyError("a reply without end")

    def _read(self, line: bytes, into: list[RawReply]) -> None:
        digits, mark = line[:3], line[3:4]
        code = _CODES.get(digits)
        if code is None or mark not in b" -\r":
            raise ReplyError("not an SMTP reply")
        text = line[4:].removesuffix(b"\r")
        size = self._size + len(line) + 1
        if size > MAX_REPLY_BYTES:
            raise ReplyError("a reply without end")
        if mark == b"-" or self._texts:
            self._join(digits, text, size)
            if mark == b"-":
                return
            text = b"\n".join(self._texts)
            self._texts, self._size = [], 0
        into.append((code, text))

    def _join(self, digits: bytes, text: bytes, size: int) -> None:
        if self._texts and digits != self._code:
            raise ReplyError("the lines of a reply contradict each other")
        self._texts.append(text)
        self._code, self._size = digits, size
