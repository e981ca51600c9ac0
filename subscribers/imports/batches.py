"""Rows by the handful, none lost where reading them fails."""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import TypeVar

from newsletter.core.errors import InputError

_T = TypeVar("_T")


def batches(rows: Iterator[_T], size: Callable[[], int]) -> Iterator[list[_T]]:
    """Lists of as many as `size` says each time; what came before an InputError comes first."""
    while True:
        batch: list[_T] = []
        try:
            for row in islice(rows, size()):
                batch.append(row)  # noqa: PERF402 - what was read stays when the next one fails
        except InputError:
            if batch:
                yield batch
            raise
        if not batch:
            return
        yield batch
