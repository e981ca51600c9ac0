"""Measure, and write BENCHMARKS.md: `make bench`, about half an hour on two cores.

`python -m benchmarks.run --only NAME …` measures some chapters and prints them; with `--page` it
puts them into the page, and they say so.
"""

import argparse
from collections.abc import Callable, Mapping
from functools import partial

from benchmarks import (
    beside_a_send,
    desk,
    ledger,
    making,
    others,
    people,
    people_import,
    sending,
    watching,
)
from benchmarks.engine import ROOT
from benchmarks.interleaved import say
from benchmarks.page import Chapter, page, with_chapters
from benchmarks.sending import FULL, LARGE, SMALL, Scale
from tests.servers import packages

CHAPTERS: Mapping[str, Callable[[Scale], Chapter]] = {
    "send": partial(sending.contestants, LARGE),
    "send-4k": partial(sending.contestants, SMALL),
    "distance": sending.distance,
    "tracking": sending.tracking,
    "dkim": sending.signatures,
    "workers": sending.workers,
    "growth": sending.growth,
    "freeze": ledger.freeze,
    "claims": ledger.claiming,
    "people": people.people,
    "desk": desk.pages,
    "watching": watching.watching,
    "beside": beside_a_send.beside,
    "people-import": people_import.importing,
    "compile": making.compiling,
    "splice": making.splicing,
}

PAGE = ROOT / "BENCHMARKS.md"
TRIAL = Scale(1, 500, (500, 1_000), 5_000, 50_000, 20)
"""Whether everything runs; its figures mean nothing."""


def main() -> None:
    """Measure what was asked for."""
    asked = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    asked.add_argument("--only", choices=CHAPTERS, nargs="+", help="these chapters")
    asked.add_argument("--page", action="store_true", help="with --only: put these into the page")
    asked.add_argument("--trial", action="store_true", help="little of everything, nothing written")
    wanted = asked.parse_args()
    packages.install_missing()
    scale = TRIAL if wanted.trial else FULL
    chapters = [_measured(name, scale) for name in wanted.only or CHAPTERS]
    text = page(chapters, scale.rounds, others.versions(), "make bench")
    print(text)
    if wanted.trial:
        return
    if not wanted.only:
        PAGE.write_text(text, encoding="utf-8")
    elif wanted.page:
        command = f"python -m benchmarks.run --page --only {' '.join(wanted.only)}"
        old = PAGE.read_text(encoding="utf-8")
        PAGE.write_text(with_chapters(old, chapters, command), encoding="utf-8")


def _measured(name: str, scale: Scale) -> Chapter:
    say(f"{name} …")
    return CHAPTERS[name](scale)


if __name__ == "__main__":
    main()
