"""CSV files as programs and people write them: read tolerantly, cells made formula-safe."""

import csv
import re
from collections.abc import Iterator
from typing import NamedTuple, Protocol

from newsletter.core.errors import InputError
from newsletter.core.sentences import Count, Sentence, joined, say

MAX_ROW_BYTES = 1_000_000
_DELIMITERS = ",;\t"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_QUOTE = '"'
_QUOTES_INSIDE = say(
    "text follows a closing quote: put the whole cell in quotes, and write each quote inside twice"
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class ByteLines(Protocol):
    """What lines are read from."""

    def readline(self, size: int, /) -> bytes:
        """The next line, or as much of it; empty at the end."""


class Row(NamedTuple):
    """One row: the line it ends on, its cells by normalised header, and its cells as they stood.

    Cells beyond the header are kept in `raw` alone: some programs end every line with a comma.
    Of a broken row `problem` says why it is none, `raw` is its whole line, and `cells` are a guess.
    """

    line: int
    cells: dict[str, str]
    raw: tuple[str, ...]
    problem: InputError | None = None


class BrokenRowError(InputError):
    """One line is no row; the next one begins a row again."""


class CsvFile:
    """An open CSV file: comma, semicolon or tab; with or without BOM and Excel's `sep=` line.

    Attributes:
        header: normalised names: lower case, words joined by underscores.
        columns: the header as written.
    """

    def __init__(self, stream: ByteLines, name: str) -> None:
        self.name = name
        self._row_bytes, self._begins, self._text = 0, 1, ""
        self._has_header = False
        self._lines = self._decoded(stream)
        first = next(self._lines, "")
        delimiter, self._lines_before = "", 0
        if first.lower().startswith("sep="):
            delimiter = first.rstrip("\r\n")[4:5]
            first, self._lines_before = next(self._lines, ""), 1
        csv.field_size_limit(MAX_ROW_BYTES)
        self.delimiter = delimiter or max(_DELIMITERS, key=first.count)
        self._reader = csv.reader(self._with(first), delimiter=self.delimiter, strict=True)
        self.columns = tuple(self._next() or ())
        self._has_header = True
        self.header = tuple(normalised(column) for column in self.columns)
        self._check_header()

    def rows(self) -> Iterator[Row]:
        """Every row that is not empty; a short row's missing cells are empty.

        Raises:
            InputError: names the file and line where the file cannot be read on.
        """
        while True:
            try:
                cells = self._next()
            except BrokenRowError as broken:
                yield self._guessed(broken)
                continue
            if cells is None:
                return
            stripped = [cell.strip() for cell in cells]
            if not any(stripped):
                continue
            padded = stripped + [""] * (len(self.header) - len(cells))
            values = [cell if cell[:1] != "'" else _unescaped(cell) for cell in padded]
            yield Row(self._line, dict(zip(self.header, values, strict=False)), tuple(cells))

    @property
    def _line(self) -> int:
        return self._reader.line_num + self._lines_before

    def _next(self) -> list[str] | None:
        self._row_bytes, self._begins = 0, self._line + 1
        try:
            return next(self._reader, None)
        except csv.Error as error:
            raise self._problem(error) from None

    def _problem(self, error: csv.Error) -> InputError:
        """What is wrong here, and whether it is this row's alone; decision 0024 says why."""
        text = self._text.rstrip("\r\n")
        is_one_line = self._line == self._begins and "\r" not in text
        is_inside = "expected after" in str(error)
        if self._has_header and is_one_line and is_inside and self._is_closed(text):
            return BrokenRowError(say("row"), _QUOTES_INSIDE)
        problem = say("not CSV: %(error)s", error=error)
        if _QUOTE in text or self._line > self._begins:
            problem = joined("; ", [problem, self._unclosed])
        return InputError(f"{self.name}:{self._line}", problem)

    def _is_closed(self, line: str) -> bool:
        """No cell goes on behind the line, as far as its quotes tell."""
        opens = rf'(?:^|{re.escape(self.delimiter)})\s*"(?:[^"]|"")*$'
        return line.count(_QUOTE) % 2 == 0 and not re.search(opens, line)

    @property
    def _unclosed(self) -> Sentence:
        return say(
            "a quote in the row that begins in line %(line)s is not closed: mend it there",
            line=self._begins,
        )

    def _guessed(self, broken: BrokenRowError) -> Row:
        """Enough of the row to see whose it may be."""
        text = self._text.rstrip("\r\n")
        cells = next(csv.reader([text], delimiter=self.delimiter), [])
        padded = [cell.strip() for cell in cells] + [""] * (len(self.header) - len(cells))
        return Row(self._line, dict(zip(self.header, padded, strict=False)), (text,), broken)

    def _with(self, first: str) -> Iterator[str]:
        yield first
        yield from self._lines

    def _decoded(self, stream: ByteLines) -> Iterator[str]:
        for number, line in text_lines(stream, self.name):
            self._row_bytes += len(line)  # quoted cells go on over line ends
            if self._row_bytes > MAX_ROW_BYTES:
                expected = say("expected rows of at most %(most)s bytes", most=Count(MAX_ROW_BYTES))
                problem = joined("; ", [expected, self._unclosed])
                raise InputError(f"{self.name}:{number}", problem)
            self._text = line
            yield line

    def _check_header(self) -> None:
        place = f"{self.name}:1"
        if not any(self.header):
            raise InputError(place, say("expected a header line, such as `email,name`"))
        doubled = {name for name in self.header if name and self.header.count(name) > 1}
        if doubled:
            raise InputError(
                place, say("column named twice: %(doubled)s", doubled=", ".join(sorted(doubled)))
            )


def text_lines(stream: ByteLines, name: str) -> Iterator[tuple[int, str]]:
    """(number, line with its end) of a UTF-8 file, however long and broken, a line at a time.

    Raises:
        InputError: names the line that is too long or not text.
    """
    number = 0
    while line := stream.readline(MAX_ROW_BYTES + 1):
        number += 1
        if len(line) > MAX_ROW_BYTES:
            raise InputError(
                f"{name}:{number}",
                say("expected lines of at most %(most)s bytes", most=Count(MAX_ROW_BYTES)),
            )
        if number == 1 and line.startswith(_UTF_16):
            raise InputError(f"{name}:1", say("expected UTF-8, found UTF-16: save it as CSV UTF-8"))
        if b"\0" in line:
            raise InputError(f"{name}:{number}", say("a NUL byte: this is not a text file"))
        try:
            yield number, line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            found = say(
                "expected UTF-8, found byte 0x%(byte)s", byte=format(line[error.start], "02x")
            )
            raise InputError(f"{name}:{number}", found) from None


def escaped(cell: str) -> str:
    """The cell with a leading apostrophe where a spreadsheet would take it for a formula."""
    dangerous = cell.startswith(_FORMULA) or cell[:2] in _ESCAPES
    return "'" + cell if dangerous else cell


def _unescaped(cell: str) -> str:
    return cell[1:] if cell[:2] in _ESCAPES else cell


_ESCAPES = frozenset("'" + start for start in (*_FORMULA, "'"))


def normalised(column: str) -> str:
    """A column's name in lower case, its words joined by underscores."""
    return "_".join(column.strip().lower().replace("-", " ").replace("_", " ").split())
