"""`--map`: the operator says what columns mean."""

from collections.abc import Callable, Iterable, Mapping

from newsletter.core.errors import InputError
from newsletter.core.sentences import say
from subscribers.files.csv_files import CsvFile, normalised
from subscribers.imports.imported import Cells

LEFT_OUT = "-"


def parse_map(texts: Iterable[str]) -> dict[str, str]:
    """`COLUMN=FIELD` or several between commas, as they stand behind `--map`.

    Raises:
        InputError: names the part that is not of that form, or is said twice.
    """
    found: dict[str, str] = {}
    for part in (part for text in texts for part in text.split(",")):
        column, equals, field = (word.strip() for word in part.rpartition("="))
        if not (column and equals and field):
            raise InputError("--map", say("expected COLUMN=FIELD, found %(part)r", part=part))
        if column in found:
            raise InputError("--map", say("column %(column)r is named twice", column=column))
        found[column] = field
    return found


class Mapped:
    """A CSV file's cells by the fields that its columns were said to be.

    Raises:
        InputError: a column that is named is not there, or two become one field.
    """

    def __init__(self, table: CsvFile, columns: Mapping[str, str]) -> None:
        names = {normalised(column): field for column, field in columns.items()}
        unknown = [column for column in columns if normalised(column) not in table.header]
        if unknown:
            there = ", ".join(filter(None, table.columns))
            raise InputError(
                "--map",
                say(
                    "there is no column %(unknown)r in %(name)s; there are: %(there)s",
                    unknown=unknown[0],
                    name=table.name,
                    there=there,
                ),
            )
        self._fields = {
            column: normalised(names.get(column, column))
            for column in table.header
            if names.get(column) != LEFT_OUT
        }
        self.header = tuple(self._fields.values())
        doubled = {field for field in self.header if self.header.count(field) > 1}
        if names and doubled:
            raise InputError(
                "--map", say("two columns for %(doubled)s", doubled=", ".join(sorted(doubled)))
            )
        self.cells: Callable[[dict[str, str]], Cells] = self._renamed if names else _as_they_are

    def _renamed(self, cells: Mapping[str, str]) -> Cells:
        return {field: cells[column] for column, field in self._fields.items()}


def _as_they_are(cells: dict[str, str]) -> Cells:
    return cells
