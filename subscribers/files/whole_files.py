"""Files that are there at the end, whole, or not at all."""

import csv
import json
import os
from collections.abc import Iterable, Mapping
from io import StringIO
from pathlib import Path
from tempfile import mkstemp
from typing import Any, Self, TextIO

from newsletter.core.errors import InputError
from newsletter.core.sentences import say
from subscribers.files.csv_files import escaped


class WholeFile:
    """A text file being written, readable by its owner alone.

    `close` puts it in its place, `discard` and an error in a `with` block leave what was there
    before.

    Raises:
        InputError: no file can be written there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.resolve()
        self._draft: Path | None = None
        try:
            self.stream = self._opened()
        except OSError as error:
            raise InputError(
                str(path), say("cannot be written: %(strerror)s", strerror=error.strerror)
            ) from None

    def close(self) -> None:
        self.stream.close()
        if self._draft:
            self._draft.replace(self._path)

    def discard(self) -> None:
        self.stream.close()
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
            raise InputError(str(self._path), say("expected a file, found a folder"))
        if self._path.exists() and not self._path.is_file():
            return self._path.open("w", encoding="utf-8", newline="")
        handle, name = mkstemp(
            prefix=".newsletter-", suffix=self._path.suffix, dir=self._path.parent
        )
        self._draft = Path(name)
        return os.fdopen(handle, "w", encoding="utf-8", newline="")


class CsvWriter(WholeFile):
    """Rows that a spreadsheet will not run as formulas and that read back unchanged."""

    def __init__(self, path: Path, columns: tuple[str, ...]) -> None:
        super().__init__(path)
        self.stream.write(csv_line(columns))

    def write(self, cells: list[str]) -> None:
        """One row, in the order of the columns."""
        self.stream.write(csv_line(cells))


class JsonLinesWriter(WholeFile):
    """One JSON object a line."""

    def write(self, value: Mapping[str, Any]) -> None:
        self.stream.write(json_line(value))

    def write_text(self, line: str) -> None:
        """A line as it stood."""
        self.stream.write(line + "\n")


def csv_line(cells: Iterable[str]) -> str:
    """A row whose cells no spreadsheet runs as formulas."""
    line = StringIO(newline="")
    csv.writer(line).writerow([escaped(cell) for cell in cells])
    return line.getvalue()


def json_line(value: Mapping[str, Any]) -> str:
    """A JSON object as a line."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n"
