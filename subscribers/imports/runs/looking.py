"""A first look at an uploaded file: what it is, what its columns are, whose it may be."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from io import BufferedReader
from itertools import islice
from pathlib import Path
from typing import Any

from newsletter.core.errors import InputError
from newsletter.core.sentences import Sentence, from_text, say, to_text, without
from subscribers.files.csv_files import CsvFile
from subscribers.files.people_files import ENOUGH_BYTES, Reading, is_json_lines, opened
from subscribers.files.zip_files import SPREADSHEET, ZipOfTables, is_zip

_EXAMPLES = 3
_MOST_COLUMNS = 200
_SHOWN_CHARACTERS = 60
_OLD_SPREADSHEET = b"\xd0\xcf\x11\xe0"


@dataclass(frozen=True, slots=True)
class Column:
    """A column as written, with what stands in its first rows."""

    name: str
    examples: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Glance:
    """What a file looks like.

    Attributes:
        presets: whose files were recognised; none: the columns have to be named.
        problem: why none was.
    """

    is_json: bool
    columns: list[Column]
    presets: list[str]
    problem: str = ""

    @property
    def examples(self) -> list[str]:
        """Whatever it quotes."""
        return [example for column in self.columns for example in column.examples]

    def without_examples(self) -> "Glance":
        """The same, quoting nothing."""
        return replace(self, columns=[Column(column.name) for column in self.columns])

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Glance":
        """From what `to_json` made."""
        columns = [Column(**column) for column in value.get("columns", [])]
        rest = {key: value[key] for key in ("is_json", "presets", "problem") if key in value}
        rest["problem"] = from_text(rest.get("problem", ""))
        return cls(**{"is_json": False, "presets": [], **rest, "columns": columns})

    def to_json(self) -> dict[str, Any]:
        """As it is kept; it quotes people's data."""
        return {**asdict(self), "problem": to_text(self.problem)}


def look(file: Path) -> Glance:
    """Look at the head of the file, or of each file in a ZIP.

    Raises:
        InputError: it is no file of people, whatever its columns are called.
    """
    with file.open("rb") as stream:
        start = stream.peek(ENOUGH_BYTES)
        if not start.strip():
            raise InputError(file.name, say("expected people, found nothing: the file is empty"))
        if start.startswith(_OLD_SPREADSHEET):
            raise InputError(file.name, SPREADSHEET)
        is_json = is_json_lines(start)
        columns = [] if is_json else _columns(stream, file.name, is_packed=is_zip(start))
    try:
        with opened(file, Reading()) as people:
            return Glance(is_json, columns, sorted(people.presets))
    except InputError as error:
        if is_json:
            raise
        return Glance(is_json, columns, [], in_short(error, file))


def in_short(problem: InputError, file: Path) -> Sentence:
    """What is wrong, without the folder that the file lies in for now."""
    return without(problem.sentence, f"{file.parent}/")


def _columns(stream: BufferedReader, name: str, *, is_packed: bool) -> list[Column]:
    found: dict[str, Column] = {}
    for table in _tables(stream, name, is_packed=is_packed):
        _check_header(table)
        rows = list(islice(table.rows(), _EXAMPLES))
        for written, key in zip(table.columns, table.header, strict=True):
            cells = (row.cells[key] for row in rows)
            examples = [cell[:_SHOWN_CHARACTERS] for cell in cells if cell]
            if key not in found or not found[key].examples:
                found[key] = Column(written.strip(), examples)
    return list(found.values())


def _tables(stream: BufferedReader, name: str, *, is_packed: bool) -> Iterator[CsvFile]:
    if not is_packed:
        yield CsvFile(stream, name)
        return
    for lines, of in ZipOfTables(stream, name).files():
        yield CsvFile(lines, of)


def _check_header(table: CsvFile) -> None:
    if len(table.columns) > _MOST_COLUMNS:
        raise InputError(
            f"{table.name}:1",
            say("expected at most %(most)s columns, found more", most=_MOST_COLUMNS),
        )
    if any("@" in column for column in table.columns):
        raise InputError(
            f"{table.name}:1",
            say(
                "expected a first line that names the columns, "
                "such as `email,name`, found an address"
            ),
        )
