"""CSV files as programs and people write them: read tolerantly, written formula-safe."""

import csv
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkstemp
from typing import BinaryIO, Self, TextIO

from newsletter.core.errors import InputError

MAX_ROW_BYTES = 1_000_000
_DELIMITERS = ",;\t"
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class Row:
    """One row: the line it ends on, its cells by normalised header, and its cells as they stood.

    Cells beyond the header are kept in `raw` alone: some programs end every line with a comma.
    """

    line: int
    cells: dict[str, str]
    raw: tuple[str, ...]


class CsvFile:
    """An open CSV file: comma, semicolon or tab; with or without BOM and Excel's `sep=` line.

    Attributes:
        header: normalised names: lower case, words joined by underscores.
        columns: the header as written.
        bytes_read: how far reading has come, for progress.
    """

    def __init__(self, stream: BinaryIO, name: str) -> None:
        self.name = name
        self.bytes_read = 0
        self._lines = self._decoded(stream)
        first = next(self._lines, "")
        delimiter = ""
        if first.lower().startswith("sep="):
            delimiter = first.rstrip("\r\n")[4:5]
            first = next(self._lines, "")
        csv.field_size_limit(MAX_ROW_BYTES)
        self.delimiter = delimiter or max(_DELIMITERS, key=first.count)
        self._reader = csv.reader(self._with(first), delimiter=self.delimiter, strict=True)
        self.columns = tuple(self._next() or ())
        self.header = tuple(_normalised(column) for column in self.columns)
        self._check_header()

    def rows(self) -> Iterator[Row]:
        """Every row that is not empty; a short row's missing cells are empty.

        Raises:
            InputError: names the file and line where the file cannot be read on.
        """
        while (cells := self._next()) is not None:
            if not any(cell.strip() for cell in cells):
                continue
            padded = [*cells, *[""] * (len(self.header) - len(cells))]
            values = {
                name: _unescaped(cell.strip())
                for name, cell in zip(self.header, padded, strict=False)
            }
            yield Row(self._reader.line_num, values, tuple(cells))

    def _next(self) -> list[str] | None:
        try:
            return next(self._reader, None)
        except csv.Error as error:
            raise InputError(f"{self.name}:{self._reader.line_num}", f"not CSV: {error}") from None

    def _with(self, first: str) -> Iterator[str]:
        yield first
        yield from self._lines

    def _decoded(self, stream: BinaryIO) -> Iterator[str]:
        number = 0
        while line := stream.readline(MAX_ROW_BYTES + 1):
            number += 1
            place = f"{self.name}:{number}"
            if len(line) > MAX_ROW_BYTES:
                raise InputError(place, f"expected lines of at most {MAX_ROW_BYTES:,} bytes")
            if b"\0" in line:
                raise InputError(place, "a NUL byte: this is not a text file")
            self.bytes_read += len(line)
            try:
                yield line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise InputError(
                    place, f"expected UTF-8, found byte 0x{line[error.start]:02x}"
                ) from None

    def _check_header(self) -> None:
        place = f"{self.name}:1"
        if not any(self.header):
            raise InputError(place, "expected a header line, such as `email,name`")
        doubled = {name for name in self.header if name and self.header.count(name) > 1}
        if doubled:
            raise InputError(place, f"column named twice: {', '.join(sorted(doubled))}")


class CsvWriter:
    """Writes rows that a spreadsheet will not run as formulas and that read back unchanged.

    The file is there at the end, whole and readable by its owner, or not at all: `close` puts it
    in its place, `discard` and an error in a `with` block leave what was there before.

    Raises:
        InputError: no file can be written there.
    """

    def __init__(self, path: Path, columns: tuple[str, ...]) -> None:
        self._path = path.resolve()
        self._draft: Path | None = None
        try:
            self._file = self._opened()
        except OSError as error:
            raise InputError(str(path), f"cannot be written: {error.strerror}") from None
        self._writer = csv.writer(self._file)
        self._writer.writerow(columns)

    def write(self, cells: list[str]) -> None:
        """One row, in the order of the columns."""
        self._writer.writerow([escaped(cell) for cell in cells])

    def close(self) -> None:
        self._file.close()
        if self._draft:
            self._draft.replace(self._path)

    def discard(self) -> None:
        self._file.close()
        if self._draft:
            self._draft.unlink()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        if kind:
            self.discard()
        else:
            self.close()

    def _opened(self) -> TextIO:
        """A draft beside the file to be; a pipe or device is written to as it stands."""
        if self._path.is_dir():
            raise InputError(str(self._path), "expected a file, found a folder")
        if self._path.exists() and not self._path.is_file():
            return self._path.open("w", encoding="utf-8", newline="")
        handle, name = mkstemp(prefix=".newsletter-", suffix=".csv", dir=self._path.parent)
        self._draft = Path(name)
        return os.fdopen(handle, "w", encoding="utf-8", newline="")


def escaped(cell: str) -> str:
    """The cell with a leading apostrophe where a spreadsheet would take it for a formula."""
    dangerous = cell.startswith(_FORMULA) or cell[:2] in _ESCAPES
    return "'" + cell if dangerous else cell


def _unescaped(cell: str) -> str:
    return cell[1:] if cell[:2] in _ESCAPES else cell


_ESCAPES = frozenset("'" + start for start in (*_FORMULA, "'"))


def _normalised(column: str) -> str:
    return "_".join(column.strip().lower().replace("-", " ").replace("_", " ").split())
