"""Files of people, read without a database."""

from pathlib import Path

from subscribers.files.people_files import Bad, Good, Reading, opened
from subscribers.imports.imported import ImportedSubscriber


def people_of(file: Path, **reading: object) -> list[ImportedSubscriber]:
    """Everybody in a file without bad rows."""
    rows = _rows(file, **reading)
    assert all(isinstance(row, Good) for row in rows), rows
    return [person for row in rows if isinstance(row, Good) for person in row.people]


def problems_of(file: Path, **reading: object) -> list[str]:
    """What is said about the bad rows of a file."""
    return [str(row.problem) for row in _rows(file, **reading) if isinstance(row, Bad)]


def _rows(file: Path, **reading: object) -> list[Good | Bad]:
    with opened(file, Reading(**reading)) as people:  # type: ignore[arg-type]
        return list(people.rows())


def statuses_of(file: Path, **reading: object) -> list[str]:
    """How each stands who is in it."""
    return [str(p.subscription and p.subscription.status) for p in people_of(file, **reading)]
