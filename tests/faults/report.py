"""What a run of the suite comes to: a table for people, and one object for machines."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.faults.harness import Row

_MARKED = re.compile(r"(<!-- faults:begin -->\n).*?(<!-- faults:end -->)", re.DOTALL)
_COLUMNS = (
    *("fault", "mode", "recipients", "accepted", "doubled", "lost"),
    *("in doubt", "bound", "held"),
)


def line(row: Row) -> str:
    """One run, on one line of a terminal."""
    verdict = "held" if row.held else "BROKEN: " + "; ".join(row.violations)
    return (
        f"{row.fault} ({row.mode}, {row.seconds:.0f} s): accepted {row.accepted}"
        f"/{row.recipients}, doubled {row.doubled}, lost {row.lost}, "
        f"in doubt {row.in_doubt} <= {row.bound}: {verdict}"
    )


def table(rows: Iterable[Row]) -> str:
    """A Markdown table, one line per fault and mode."""
    lines = ["| " + " | ".join(_COLUMNS) + " |", "|---|---|" + "--:|" * 6 + "---|"]
    return "\n".join([*lines, *map(_table_line, rows)]) + "\n"


def problems(rows: Iterable[Row]) -> list[str]:
    """Each broken invariant, with the run it was broken in."""
    return [f"{row.fault} ({row.mode}): {broken}" for row in rows for broken in row.violations]


def totals(rows: Sequence[Row]) -> dict[str, int]:
    """The sums over all runs; `faults` counts kinds, whatever the mode."""
    return {
        "faults": len({row.fault for row in rows}),
        "runs": len(rows),
        "held": sum(row.held for row in rows),
        "recipients": sum(row.recipients for row in rows),
        "accepted": sum(row.accepted for row in rows),
        "doubled": sum(row.doubled for row in rows),
        "lost": sum(row.lost for row in rows),
        "in_doubt": sum(row.in_doubt for row in rows),
        "in_doubt_bound": sum(row.bound for row in rows),
    }


def write(document: Path, rows: Sequence[Row]) -> None:
    """Put the table between the document's markers."""
    text = document.read_text()
    if not _MARKED.search(text):
        raise ValueError(f"{document}: expected <!-- faults:begin --> and <!-- faults:end -->")
    sums = totals(rows)
    summary = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in sums.items())
    new = f"{table(rows)}\nTogether: {summary}.\n"
    document.write_text(_MARKED.sub(lambda found: found[1] + new + found[2], text))


def _table_line(row: Row) -> str:
    cells = (
        *(row.fault, row.mode, row.recipients, row.accepted, row.doubled, row.lost),
        *(row.in_doubt, row.bound, "yes" if row.held else "**no**"),
    )
    return "| " + " | ".join(map(str, cells)) + " |"
