"""Rows that cannot be imported, in a file that imports once they are mended."""

import json
from pathlib import Path

from newsletter.core.errors import InputError
from newsletter.core.sentences import say
from subscribers.files.people_files import Bad
from subscribers.files.whole_files import CsvWriter, JsonLinesWriter
from subscribers.imports.reading import FileRows


def check_bad_rows(file: Path, bad_rows: Path | None) -> None:
    """Before anything is stored: bad rows would find their place, and it is not the file itself.

    Raises:
        InputError: it is, or they would not.
    """
    if bad_rows is None:
        return
    if bad_rows.exists() and bad_rows.samefile(file):
        raise InputError(str(bad_rows), say("is the file to import; name another one for bad rows"))
    if bad_rows.is_dir() or not bad_rows.parent.is_dir():
        raise InputError(
            str(bad_rows), say("expected a file in a folder that is there, for bad rows")
        )


class BadRows:
    """The file of bad rows; made by the first of them."""

    def __init__(self, file: FileRows, path: Path) -> None:
        self.path = path
        self._columns = {name: text for name, text in file.columns.items() if name != "error"}
        self._lines: JsonLinesWriter | None = None
        self._table: CsvWriter | None = None
        self._is_json = file.is_json

    def add(self, row: Bad) -> None:
        if self._is_json:
            self._add_line(row)
            return
        if self._table is None:
            self._table = CsvWriter(self.path, (*self._columns.values(), "error"))
        cells = [row.cells.get(column, "") for column in self._columns]
        self._table.write([*cells, str(row.problem)])

    def close(self) -> None:
        for writer in (self._lines, self._table):
            if writer:
                writer.close()

    def _add_line(self, row: Bad) -> None:
        if self._lines is None:
            self._lines = JsonLinesWriter(self.path)
        self._lines.write_text(with_error(row.text, str(row.problem)))


def with_error(line: str, problem: str) -> str:
    """A line of JSON that says what is wrong with it; what is no JSON object stays as it was."""
    try:
        said = {**json.loads(line), "error": problem}
        return json.dumps(said, ensure_ascii=False, allow_nan=False)
    except (ValueError, TypeError, RecursionError):
        return line
