"""How often Python looks for cycles among its objects."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_ALLOCATIONS = 200_000
"""Of containers, before the youngest are looked through: some chunks."""


@contextmanager
def seldom_collected() -> Iterator[None]:
    """Rows make no cycles; looking for some among thousands of rows takes a fifth of the time."""
    first, *others = gc.get_threshold()
    if first >= _ALLOCATIONS:  # another import of this process has said so, and takes it back
        yield
        return
    gc.set_threshold(_ALLOCATIONS, *others)
    try:
        yield
    finally:
        gc.set_threshold(first, *others)
