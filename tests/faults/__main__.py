"""`python -m tests.faults`: break everything once, and print what became of the recipients."""

import argparse
import json
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from functools import partial
from pathlib import Path

from tests.faults import report
from tests.faults.cases import Fault, Mode, all_faults, chosen
from tests.faults.harness import Row, in_memory, perform
from tests.faults.runs import LONG, QUICK, Form
from tests.faults.templates import Templates
from tests.servers import packages


def main() -> None:
    """Exit code 1 when an invariant is broken anywhere."""
    options = _options()
    form = QUICK if options.quick else LONG
    if options.patience:
        form = replace(form, patience_seconds=options.patience)
    faults = [f for f in all_faults() if not options.only or any(w in f.name for w in options.only)]
    wanted = chosen(faults, "" if options.only else form.name)
    wanted = [(f, mode) for f, mode in wanted if options.mode in (None, mode)]
    packages.install_missing()
    rows = run_all(wanted, form, options.seed, options.together, options.keep)
    print(report.table(rows))
    for line in report.problems(rows):
        print(line)
    if options.write:
        report.write(options.write, rows)
    print(json.dumps(report.totals(rows)))
    sys.exit(any(not row.held for row in rows))


def run_all(
    wanted: Sequence[tuple[Fault, Mode]],
    form: Form,
    seed: int,
    together: int,
    keep: Path | None = None,
) -> list[Row]:
    """All runs, several at a time, in the order of the register."""
    with Templates.temporary(in_memory()) as templates, ThreadPoolExecutor(together) as pool:
        one = partial(perform, seed=seed, form=form, templates=templates, keep=keep)
        # What takes longest begins first, or the last minute belongs to one run alone.
        runs = {run: pool.submit(one, *run) for run in sorted(wanted, key=_shortness)}
        for done in as_completed(runs.values()):
            print(report.line(done.result()), file=sys.stderr, flush=True)
        return [runs[run].result() for run in wanted]


def _shortness(run: tuple[Fault, Mode]) -> tuple[bool, float]:
    fault, mode = run
    return mode is Mode.EMBEDDED, -(fault.sending_seconds or 0)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a choice of kinds, in seconds")
    parser.add_argument("--only", action="append", default=[], help="whose name contains this")
    parser.add_argument("--mode", type=Mode, choices=list(Mode))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--together", type=int, default=6, help="runs at a time")
    parser.add_argument("--patience", type=float, help="seconds until a run counts as stuck")
    parser.add_argument("--write", type=Path, help="a document to write the table into")
    parser.add_argument("--keep", type=Path, help="a folder for the logs of what does not hold")
    return parser.parse_args()


if __name__ == "__main__":
    main()
