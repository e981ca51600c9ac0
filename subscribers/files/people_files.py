"""A file of people, whatever its form: CSV, a ZIP of CSV files, or our JSON lines."""

from codecs import BOM_UTF8
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any, NamedTuple

from newsletter.core.errors import InputError
from newsletter.core.sentences import Sentence, say
from newsletter.core.slug import slugify
from newsletter.mail.address import Address, AddressError
from subscribers.files.csv_files import ByteLines, CsvFile, normalised, text_lines
from subscribers.files.zip_files import ZipOfTables, is_zip
from subscribers.imports.imported import Cells, ImportedSubscriber, Preset
from subscribers.imports.presets import cells as of
from subscribers.imports.presets.doubtful import in_doubt, is_doubtful
from subscribers.imports.presets.file_names import THEY_LEFT, status_in
from subscribers.imports.presets.mapping import Mapped
from subscribers.imports.presets.own import OWN, read_object
from subscribers.imports.presets.recognise import recognise

_MAX_LEVELS = of.MAX_LEVELS + 5
"""Of a line: attributes stand in a person, those of evidence in a subscription."""
ENOUGH_BYTES = 100
"""To see what a file is, also behind an empty line."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How the operator says that the file is to be read.

    Attributes:
        preset: the system that wrote it; empty: as the header tells.
        columns: column as written -> our field, a name for an attribute, or `-`: left out.
        lists: slugs of the lists that rows may name; then nobody comes without a list. None: rows
            name what they like.
    """

    preset: str = ""
    columns: Mapping[str, str] | None = None
    lists: frozenset[str] | None = None

    def check(self, person: ImportedSubscriber) -> None:
        """Raises InputError when the person's row names a list that it may not."""
        if self.lists is None:
            return
        if person.subscription is None:
            raise InputError("list", say("expected the name of a list, or no such column"))
        for name in _lists_named(person):
            if slugify(name, place="list") not in self.lists:
                raise InputError("list", say("there is no list %(name)r here", name=name[:80]))


def _lists_named(person: ImportedSubscriber) -> Iterator[str]:
    if person.subscription and person.subscription.list_name:
        yield person.subscription.list_name
    for suppression in person.suppressions:
        if suppression.list_name:
            yield suppression.list_name


class Good(NamedTuple):
    """A row or line that was understood: one person, once for each of their subscriptions."""

    file: str
    line: int
    people: Sequence[ImportedSubscriber]


@dataclass(frozen=True, slots=True)
class Bad:
    """A row or line that was not.

    Attributes:
        cells: as they stood, by normalised column; a line of JSON has none.
        text: the line, of a file of JSON lines.
        address: its owner's, if that much could be read.
    """

    file: str
    line: int
    problem: InputError
    cells: Mapping[str, str]
    text: str
    address: Address | None


def is_json_lines(start: bytes) -> bool:
    """A file that begins so is JSON lines."""
    return start.removeprefix(BOM_UTF8).lstrip().startswith(b"{")


class PeopleFile:
    """An open file of people.

    Attributes:
        is_json: JSON lines, not CSV.
        columns: of bad rows, normalised -> as written first; none for JSON lines.
        presets: whose files were recognised.
    """

    def __init__(self, stream: BufferedReader, name: str, reading: Reading) -> None:
        self._stream = stream
        self._name = name
        self._reading = reading
        start = stream.peek(ENOUGH_BYTES)
        self._zip = ZipOfTables(stream, name) if is_zip(start) else None
        self.is_json = is_json_lines(start)
        self._table = None if self._zip or self.is_json else _Table(stream, name, reading)
        if self.is_json and (reading.preset not in ("", "own") or reading.columns):
            raise InputError(
                name, say("expected a CSV file for --preset and --map, found JSON lines")
            )
        # A file that is none of ours is refused before anything of it is stored.
        self.columns: dict[str, str] = {}
        self.presets: set[str] = {OWN.name} if self.is_json else set()
        for table in self._tables():
            self.columns |= table.bad_columns | self.columns
            self.presets.add(table.preset.name)

    @property
    def bytes_read(self) -> int:
        """How far reading has come, for progress."""
        return self._stream.tell() if self._stream.seekable() else 0

    def rows(self) -> Iterator[Good | Bad]:
        """Every row in order.

        Raises:
            InputError: names the file and line where the file cannot be read on.
        """
        if self.is_json:
            yield from _json_rows(self._stream, self._name, self._reading)
        for table in self._tables():
            yield from table.rows()

    def _tables(self) -> Iterator["_Table"]:
        if self._table:
            yield self._table
        if self._zip:
            for stream, name in self._zip.files():
                yield _Table(stream, name, self._reading)


class _Table:
    """One CSV file, with whose it is."""

    def __init__(self, stream: ByteLines, name: str, reading: Reading) -> None:
        self._reading = reading
        self._csv = CsvFile(stream, name)
        place = f"{name}:1"
        self._mapped = Mapped(self._csv, reading.columns or {})
        header = frozenset(self._mapped.header)
        self.preset = recognise(header, place, reading.preset)
        self._said_by_name = self.preset.from_name(name)
        self._is_said_twice = not header.isdisjoint(self._said_by_name)
        written = dict(zip(self._csv.header, self._csv.columns, strict=True))
        self.bad_columns = written | {
            column: column for column in self._said_by_name if column not in written
        }
        missing = self.preset.needs - header - self._said_by_name.keys()
        if missing:
            raise InputError(place, _not_said(self.preset, missing))
        if self.preset is OWN and "status" not in header and status_in(name) in THEY_LEFT:
            raise InputError(place, _said_by_name_alone(name))
        for column in sorted(filter(is_doubtful, header - self.preset.understood)):
            raise InputError(place, in_doubt(column, self.preset.understood))

    def rows(self) -> Iterator[Good | Bad]:
        name, read, cells_of = self._csv.name, self.preset.read, self._mapped.cells
        check = self._reading.check if self._reading.lists is not None else _as_it_likes
        for row in self._csv.rows():
            cells = cells_of(row.cells)
            try:
                if row.problem:
                    raise row.problem
                if self._is_said_twice:
                    _check_same(cells, self._said_by_name)
                if self._said_by_name:
                    cells = {**cells, **self._said_by_name}
                person = read(cells)
                check(person)
                yield Good(name, row.line, (person,))
            except InputError as problem:
                # A broken row is its whole line, in the first cell: nobody takes it for a good one.
                cells_written = dict(zip(self._csv.header, row.raw, strict=False))
                written = {**self._said_by_name, **cells_written}
                address = _address_in(cells, self.preset.emails)
                yield Bad(name, row.line, problem, written, "", address)


def _as_it_likes(person: ImportedSubscriber) -> None:
    del person


def _said_by_name_alone(name: str) -> Sentence:
    return say(
        "expected a column `status`, as the file's name says %(status)s; "
        "name the file otherwise if that says nothing of the people in it",
        status=status_in(name),
    )


def _check_same(cells: Cells, said_by_name: Cells) -> None:
    """A row's own word is not overruled, and neither is that of the file's name."""
    for column, value in said_by_name.items():
        if cells[column].lower() not in ("", value):
            raise InputError(
                column,
                say(
                    "%(found)r, but the file's name says %(said)s",
                    found=cells[column],
                    said=value,
                ),
            )


def _not_said(preset: Preset, missing: frozenset[str]) -> Sentence:
    expected = say(
        "expected a column %(columns)s in a file of %(preset)s",
        columns=", ".join(sorted(missing)),
        preset=preset.name,
    )
    if not preset.from_name("subscribed.csv"):
        return expected
    return say(
        "%(expected)s, or a file named as it came: subscribed_…, unsubscribed_…, cleaned_….csv",
        expected=expected,
    )


def _json_rows(stream: ByteLines, name: str, reading: Reading) -> Iterator[Good | Bad]:
    for number, line in text_lines(stream, name):
        text = line.strip()
        if not text:
            continue
        person: Any = of.json_value(text, _MAX_LEVELS)
        try:
            if not isinstance(person, dict):
                raise InputError("line", say("expected a JSON object for one person"))  # noqa: TRY301
            people = read_object(person)
            for each in people:
                reading.check(each)
            yield Good(name, number, people)
        except InputError as problem:
            yield Bad(name, number, problem, {}, text, _address_of(person))


def _address_of(person: Any) -> Address | None:
    if not isinstance(person, dict):
        return None
    emails = [value for name, value in person.items() if normalised(name) == "email"]
    return _address_in({"email": str(emails[0])}, OWN.emails) if emails else None


def _address_in(cells: Cells, columns: Sequence[str]) -> Address | None:
    try:
        return of.mailbox(cells, next(column for column in columns if column in cells))[1]
    except AddressError:
        return None


@contextmanager
def opened(file: Path, reading: Reading) -> Iterator[PeopleFile]:
    """The file, while the block runs.

    Raises:
        InputError: it cannot be read, or is none that we understand.
    """
    try:
        stream = file.open("rb")
    except OSError as error:
        raise InputError(
            str(file), say("cannot be read: %(strerror)s", strerror=error.strerror)
        ) from None
    with stream:
        yield PeopleFile(stream, str(file), reading)
