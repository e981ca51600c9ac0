"""Measure, and write BENCHMARKS.md: `make bench`, about four minutes on two cores."""

import os
import platform
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

from benchmarks.engine import Engine, addresses, on_postgresql, on_sqlite
from benchmarks.interleaved import Result, Sample, compete, timed
from benchmarks.plain import PlainMail
from newsletter.core.clock import now
from newsletter.core.tokens import TokenKeys
from newsletter.issues.parsing import parse, read_text
from newsletter.rendering.compiled import Frozen, WireForm
from newsletter.rendering.compiler import compile_issue
from newsletter.rendering.message import PreparedMail, personalise, prepare
from newsletter.rendering.templates import TemplateFolders
from tests import factories
from tests.servers import packages, processes

ROOT = Path(__file__).parents[1]
ISSUE = ROOT / "examples" / "issues" / "2026-06-17-load-bearing.md"
FOLDERS = TemplateFolders.of()
KEYS = TokenKeys.from_secrets("a secret of the benchmarks, long enough to be one")
RECIPIENTS = 1_000
ROUNDS = 5
COMPILES, MESSAGES = 20, 200

HEADER = """\
# Benchmarks

`make bench` wrote this page. Contestants take turns in one run; figures are medians of {rounds}
rounds, ratios are what counts. The issue is `{issue}`: {size:,} bytes as a mail.

{machine}

"""


@dataclass(frozen=True, slots=True)
class Subject:
    """The issue under test, and the same mail for the reference."""

    text: str
    mail: PreparedMail
    plain: PlainMail

    @classmethod
    def read(cls) -> "Subject":
        text = read_text(ISSUE)
        email = compile_issue(parse(text, ISSUE.name), factories.identity(), FOLDERS).email
        frozen = Frozen(1, now(), email, factories.identity())
        return cls(text, prepare(frozen, WireForm.INDIVIDUAL), PlainMail(frozen))

    def compile(self) -> None:
        compile_issue(parse(self.text, ISSUE.name), factories.identity(), FOLDERS)

    def message(self) -> bytes:
        return personalise(self.mail, factories.recipient(), 1, KEYS)


def main() -> None:
    """Measure everything and write the page."""
    packages.install_missing()
    subject = Subject.read()
    size = len(subject.message())
    issue = ISSUE.relative_to(ROOT)
    page = HEADER.format(rounds=ROUNDS, issue=issue, size=size, machine=_machine())
    page += "\n".join([_compiling(subject), _splicing(subject), _sending(subject)])
    (ROOT / "BENCHMARKS.md").write_text(page, encoding="utf-8")
    print(page)


def _compiling(subject: Subject) -> str:
    said = """\
Once per broadcast: parse, Markdown, MJML, styles, text part, web page, preflight. The reference
is what one `EmailMessage` of the result costs."""
    contestants = {
        "one EmailMessage": lambda: subject.plain.bytes("a@example.org"),
        "compile the issue": subject.compile,
    }
    return _table("Compile an issue", said, _repeated(contestants, COMPILES))


def _splicing(subject: Subject) -> str:
    said = """\
Links, pixel, unsubscribe tokens, headers, merge fields. The reference fills in the address, no
more."""
    contestants = {
        "EmailMessage, built and serialised": lambda: subject.plain.bytes("a@example.org"),
        "splice of the prepared mail": subject.message,
    }
    return _table("Make one recipient's message", said, _repeated(contestants, MESSAGES))


def _sending(subject: Subject) -> str:
    said = f"""\
{RECIPIENTS:,} recipients into Postfix's `smtp-sink` on the same machine. Ours claims from the
ledger, checks consent again, commits the intent, offers the message and commits the outcome, with
durable commits. The reference builds and sends, and remembers nothing. CPU is that of the sending
process; PostgreSQL's own is not in it."""
    with (
        processes.smtp_sink() as sink,
        processes.postgresql(durable=True) as server,
        tempfile.TemporaryDirectory(dir=_disk()) as folder,
        on_sqlite(Path(folder)) as sqlite,
        on_postgresql(server) as postgresql,
    ):
        plain = partial(subject.plain.send_all, sink, addresses(RECIPIENTS))
        small = Engine(sqlite, sink, subject.text, RECIPIENTS)
        large = Engine(postgresql, sink, subject.text, RECIPIENTS)
        contestants: Mapping[str, Callable[[], Sample]] = {
            "smtplib + EmailMessage": lambda: timed(plain, RECIPIENTS),
            "ours on SQLite, 1 connection": small.round,
            "ours on PostgreSQL, 1 connection": large.round,
            "ours on PostgreSQL, 4 connections": partial(large.round, 4),
        }
        return _table("Send, end to end", said, compete(contestants, ROUNDS))


def _repeated(work: Mapping[str, Callable[[], object]], times: int) -> dict[str, Result]:
    def round_of(one: Callable[[], object]) -> Sample:
        return timed(lambda: [one() for _ in range(times)], times)

    return compete({name: partial(round_of, one) for name, one in work.items()}, ROUNDS)


def _disk() -> Path:
    """A folder on the disk that the checkout is on: temporary folders may be in memory."""
    folder = ROOT / "var"
    folder.mkdir(exist_ok=True)
    return folder


def _table(title: str, said: str, results: Mapping[str, Result]) -> str:
    """A table in Markdown; the first contestant is the reference."""
    reference = next(iter(results.values()))
    rows = [
        f"| {name} | {_time(r.wall)} | {r.per_second:,.0f} | {_time(r.cpu)} "
        f"| {reference.wall / r.wall:.2f} |"
        for name, r in results.items()
    ]
    head = ["| | time each | per second | CPU each | times as fast |", "|---|---:|---:|---:|---:|"]
    return "\n".join([f"## {title}", "", said, "", *head, *rows, ""])


def _time(seconds: float) -> str:
    return f"{seconds * 1e3:,.1f} ms" if seconds >= 1e-3 else f"{seconds * 1e6:,.0f} µs"


def _machine() -> str:
    named = ("mjml-python", "premailer", "jinja2", "sqlalchemy", "psycopg")
    versions = ", ".join(f"{name} {version(name)}" for name in named)
    return (
        f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, "
        f"Python {sys.version.split()[0]}; {versions}."
    )


if __name__ == "__main__":
    main()
