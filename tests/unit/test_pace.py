"""The pace of a long writing: chunks fit into the time that others can wait."""

import pytest

from subscribers.imports.pace import HOLD_SECONDS, Pace


@pytest.mark.parametrize("seconds_per_row", [1e-5, 1e-4, 5e-4])
def test_chunks_come_to_take_as_long_as_they_may(seconds_per_row: float) -> None:
    pace = Pace(1_000, alone=True)
    for _ in range(10):
        pace.took(pace.rows * seconds_per_row)
    assert pace.rows == pytest.approx(min(1_000, HOLD_SECONDS / seconds_per_row), rel=0.05)


def test_one_slow_chunk_does_not_make_them_tiny_for_ever() -> None:
    pace = Pace(1_000, alone=True)
    pace.took(60)
    assert pace.rows == 25
    for _ in range(10):
        pace.took(pace.rows * 1e-4)
    assert pace.rows == pytest.approx(HOLD_SECONDS / 1e-4, rel=0.05)


def test_where_writers_do_not_wait_for_each_other_chunks_are_large_from_the_start() -> None:
    pace = Pace(1_000, alone=False)
    pace.begin()
    pace.end()
    assert pace.rows == 1_000


def test_a_chunk_is_never_empty_nor_larger_than_allowed() -> None:
    pace = Pace(2, alone=True)
    for seconds in (0.0, 100.0, 0.0):
        pace.took(seconds)
        assert 1 <= pace.rows <= 2


def test_while_others_write_chunks_take_a_quarter_of_the_time() -> None:
    pace = Pace(10_000, alone=True)
    for _ in range(10):
        pace.begin(others_wrote=True)
        pace.took(pace.rows * 1e-4)
    assert pace.rows == pytest.approx(HOLD_SECONDS / 4 / 1e-4, rel=0.05)


def test_in_a_process_that_has_other_things_to_do_chunks_are_short_on_every_database() -> None:
    pace = Pace(10_000, alone=False, in_company=True)
    assert pace.rows == 100
    for _ in range(20):
        pace.took(pace.rows * 1e-4)
    assert pace.rows == pytest.approx(HOLD_SECONDS / 1e-4, rel=0.05)
