"""One door for both forms of an issue: text in, IssueSource out, errors with file and line."""

import re
import unicodedata
from pathlib import Path

from newsletter.core.errors import InputError
from newsletter.core.sentences import Count, say
from newsletter.issues.digest_form import is_digest, parse_digest
from newsletter.issues.markdown_form import parse_markdown
from newsletter.issues.source import IssueSource, SourceError

MAX_BYTES = 1_000_000
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def parse(text: str, place: str) -> IssueSource:
    """Read an issue in either form; `place` is the file's name, for errors.

    Raises:
        SourceError: names file and line, and what was expected.
    """
    clean = _canonical(text, place)
    if clean.startswith("---"):
        return parse_markdown(clean, place)
    if is_digest(clean):
        return parse_digest(clean, place)
    raise SourceError(
        f"{place}:1",
        say(
            "expected `---` and front matter, "
            "or a first line such as `Engineering Reads — 2026-06-17`"
        ),
    )


def with_plain_line_ends(text: str) -> str:
    """LF alone; browsers send forms with CRLF."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_text(path: Path) -> str:
    """The text of an issue file.

    Raises:
        InputError: it cannot be read, is not UTF-8, or is too large.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InputError(
            str(path), say("cannot be read: %(strerror)s", strerror=error.strerror)
        ) from None
    if len(data) > MAX_BYTES:
        raise InputError(
            str(path), say("expected at most %(most)s bytes of text", most=Count(MAX_BYTES))
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{path}:{line}",
            say("expected UTF-8, found byte 0x%(byte)s", byte=format(data[error.start], "02x")),
        ) from None


def _canonical(text: str, place: str) -> str:
    """One kind of line break, one way to write each character, nothing invisible."""
    clean = with_plain_line_ends(text.removeprefix("\ufeff"))
    if found := _CONTROL.search(clean):
        line = clean.count("\n", 0, found.start()) + 1
        raise SourceError(
            f"{place}:{line}",
            say(
                "expected text, found control character U+%(control)s",
                control=format(ord(found[0]), "04X"),
            ),
        )
    return unicodedata.normalize("NFC", clean)
