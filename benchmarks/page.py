"""BENCHMARKS.md: tables whose first row is the reference, and the targets beside what was found."""

import os
import platform
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

from benchmarks.interleaved import Result

HEADER = """\
# Benchmarks

`{command}` wrote this page. Contestants take turns in one run;
figures are medians of {rounds} rounds, ratios are what counts. `make bench` measures every
chapter, in half an hour.

{machine}

"""


@dataclass(frozen=True, slots=True)
class Target:
    """A figure to reach, at least or at most."""

    name: str
    wanted: float
    found: float
    at_most: bool = False
    unit: str = ""

    @property
    def holds(self) -> bool:
        return self.found <= self.wanted if self.at_most else self.found >= self.wanted

    def line(self) -> str:
        sign = "≤" if self.at_most else "≥"
        wanted, found = (f"{value:,.4g}{self.unit}" for value in (self.wanted, self.found))
        return f"| {self.name} | {sign} {wanted} | {found} | {'yes' if self.holds else '**no**'} |"


@dataclass(frozen=True, slots=True)
class Chapter:
    """One subject of the page."""

    title: str
    said: str
    table: Sequence[str] = ()
    targets: Sequence[Target] = ()

    def text(self) -> str:
        lines = [f"## {self.title}", "", self.said, ""]
        if self.table:
            lines += [*self.table, ""]
        if self.targets:
            lines += [*targets_table(self.targets), ""]
        return "\n".join(lines)


def page(chapters: Iterable[Chapter], rounds: int, others: str, command: str) -> str:
    header = HEADER.format(rounds=rounds, machine=machine(others), command=command)
    return header + "\n".join(chapter.text() for chapter in chapters)


def with_chapters(old: str, chapters: Iterable[Chapter], command: str) -> str:
    """The page with these chapters measured anew, each saying by which command."""
    head, *parts = _AT_HEADINGS.split(old)
    texts = {_title(part): part for part in parts}
    for chapter in chapters:
        measured = replace(chapter, said=f"{chapter.said}\nMeasured by itself: `{command}`.")
        texts[chapter.title] = measured.text()
    return head + "\n".join(text.rstrip("\n") + "\n" for text in texts.values())


_AT_HEADINGS = re.compile(r"^(?=## )", re.MULTILINE)


def _title(part: str) -> str:
    return part.partition("\n")[0].removeprefix("## ")


def results_table(results: Mapping[str, Result]) -> list[str]:
    """The first contestant is the reference."""
    reference = next(iter(results.values()))
    rows = [
        f"| {name} | {shown_time(result.wall)} | {result.per_second:,.0f} | "
        f"{shown_time(result.cpu)} | {f'{result.rss_mb:,.0f} MB' if result.rss_mb else ''} | "
        f"{reference.wall / result.wall:,.2f} |"
        for name, result in results.items()
    ]
    head = "| | time each | per second | CPU each | memory | times as fast |"
    return [head, "|---|---:|---:|---:|---:|---:|", *rows]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [f"| {' | '.join(head)} |", f"|---|{'---:|' * (len(head) - 1)}"]
    return [*lines, *(f"| {' | '.join(row)} |" for row in rows)]


def plans_list(plans: Mapping[str, str]) -> list[str]:
    """Too long for a cell: folded away, each by whose it is."""
    lines = [f"- {name}: `{plan}`" for name, plan in plans.items()]
    return ["<details><summary>Plans</summary>", "", *lines, "", "</details>"] if lines else []


def targets_table(targets: Iterable[Target]) -> list[str]:
    head = ["| target | wanted | found | reached |", "|---|---:|---:|---|"]
    return [*head, *(target.line() for target in targets)]


def shown_time(seconds: float) -> str:
    if seconds >= 1:
        return f"{seconds:,.1f} s"
    return f"{seconds * 1e3:,.1f} ms" if seconds >= 1e-3 else f"{seconds * 1e6:,.0f} µs"


def machine(others: str) -> str:
    named = ("mjml-python", "premailer", "jinja2", "sqlalchemy", "psycopg", "uvloop")
    versions = ", ".join(f"{name} {version(name)}" for name in named)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{os.cpu_count()} cores ({_processor()}), {memory:.0f} GB, {platform.system()} "
        f"{platform.machine()}, Python {sys.version.split()[0]}; {versions}; {others}."
    )


def _processor() -> str:
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text(encoding="utf-8").splitlines() if facts.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"
