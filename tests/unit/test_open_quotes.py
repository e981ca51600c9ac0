"""A row with text behind a closing quote, and whether the next line begins a row again."""

import io

import pytest

from newsletter.core.errors import InputError
from subscribers.files.csv_files import CsvFile

HIDDEN = "mallory@example.org,,active"
"""What stands in a cell that goes on; no row."""


def lines(broken: str, delimiter: str = ",") -> list[tuple[str, bool]]:
    text = f"email,note,status\n{broken}\n{HIDDEN}\n".replace(",", delimiter)
    read = CsvFile(io.BytesIO(text.encode()), "people.csv")
    return [(row.cells["email"], row.problem is not None) for row in read.rows()]


@pytest.mark.parametrize(
    "broken",
    [
        'a@example.org,"x"y,c"d,"open text',
        'a@example.org,"x"y,c"d, "',
        'a@example.org,"x"y,c"d,"open ""text""',
    ],
)
@pytest.mark.parametrize("delimiter", [",", "\t"])
def test_behind_a_cell_that_may_be_open_nothing_is_read(broken: str, delimiter: str) -> None:
    with pytest.raises(InputError, match=r"people\.csv:2: .* begins in line 2"):
        lines(broken, delimiter)


@pytest.mark.parametrize(
    "broken",
    [
        'a@example.org,"Cyd "the" cat, unsubscribed",active',
        'a@example.org,"x"y,"say ""hi"""',
        'a@example.org,"x"y,"",z',
        'a@example.org,"x"y,c"d"',
    ],
)
def test_where_all_cells_are_closed_the_next_line_is_a_row(broken: str) -> None:
    assert lines(broken) == [("a@example.org", True), ("mallory@example.org", False)]
