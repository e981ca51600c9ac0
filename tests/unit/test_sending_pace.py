"""How many rows a claim takes."""

from newsletter.sending.pace import CLAIM_ROWS, Pace


def test_a_claim_is_about_three_seconds_of_work() -> None:
    pace = Pace()
    _work(pace, began=0, rows_per_second=10, seconds=2)
    assert 25 <= pace.rows <= 35


def test_a_claim_is_never_more_than_a_hundred_rows() -> None:
    pace = Pace()
    _work(pace, began=0, rows_per_second=1_000, seconds=2)
    assert pace.rows == CLAIM_ROWS


def test_time_without_work_does_not_slow_the_next_broadcast() -> None:
    pace = Pace()
    _work(pace, began=0, rows_per_second=1_000, seconds=2)
    _work(pace, began=3_600, rows_per_second=1_000, seconds=0.5)
    assert pace.rows == CLAIM_ROWS


def _work(pace: Pace, *, began: float, rows_per_second: int, seconds: float) -> None:
    pace.begin(began)
    for number in range(int(rows_per_second * seconds)):
        pace.count(began + (number + 1) / rows_per_second)
