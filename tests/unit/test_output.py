"""What commands print: many rows, one at a time."""

import json
from collections.abc import Iterator

import pytest

from newsletter.cli import output


def rows(count: int) -> Iterator[dict[str, object]]:
    for number in range(count):
        yield {"number": number, "name": "Zoë\n"}


@pytest.mark.parametrize("count", [0, 1, 1_201])
def test_json_that_is_written_as_it_comes_is_one_document(
    capsys: pytest.CaptureFixture[str], count: int
) -> None:
    output.print_stream(rows(count), empty="None.", as_json=True)
    printed = capsys.readouterr().out
    assert json.loads(printed) == list(rows(count))
    output.print_json(list(rows(count)))
    assert printed == capsys.readouterr().out, "as if it had been written at once"


def test_a_table_is_written_page_by_page(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_stream(rows(1_201), empty="None.", as_json=False)
    printed = capsys.readouterr().out
    assert printed.count("number") == 3
    assert "1200" in printed
    output.print_stream(rows(0), empty="None.", as_json=False)
    assert capsys.readouterr().out == "None.\n"
