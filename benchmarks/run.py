"""Measure, and write BENCHMARKS.md: `make bench`, about four minutes on two cores."""

import os
import platform
import sys
import tempfile
from collections.abc import Mapping
from functools import partial
from importlib.metadata import version
from pathlib import Path

from benchmarks.engine import Engine, addresses, on_postgresql, on_sqlite
from benchmarks.interleaved import Result, compete, timed
from benchmarks.plain import PlainMail
from newsletter.core.clock import now
from newsletter.core.tokens import TokenKeys
from newsletter.issues.parsing import parse, read_text
from newsletter.rendering.compiled import Frozen, WireForm
from newsletter.rendering.compiler import compile_issue
from newsletter.rendering.message import personalise, prepare
from newsletter.rendering.templates import TemplateFolders
from tests import factories
from tests.servers import packages, processes

ROOT = Path(__file__).parents[1]
ISSUE = ROOT / "examples" / "issues" / "2026-06-17-load-bearing.md"
RECIPIENTS = 1_000
ROUNDS = 5
COMPILES, MESSAGES = 20, 200

REFERENCE = "smtplib + EmailMessage"
HEADER = """\
# Benchmarks

`make bench` wrote this page. Contestants take turns in one run; figures are medians of {rounds}
rounds, ratios are what counts. The issue is `{issue}`: {size:,} bytes as a mail.

{machine}
"""


def main() -> None:
    """Measure everything and write the page."""
    packages.install_missing()
    text = read_text(ISSUE)
    source, folders = parse(text, ISSUE.name), TemplateFolders.of()
    email = compile_issue(source, factories.identity(), folders).email
    frozen = Frozen(1, now(), email, factories.identity())
    plain = PlainMail(frozen)
    mail = prepare(frozen, WireForm.INDIVIDUAL)
    keys, recipient = TokenKeys.from_secrets("a secret"), factories.recipient()
    message = personalise(mail, recipient, 1, keys)
    pages = [
        HEADER.format(
            rounds=ROUNDS, issue=ISSUE.relative_to(ROOT), size=len(message), machine=_machine()
        ),
        _table(
            "Compile an issue",
            "Once per broadcast: Markdown, MJML, styles, text part, web page, preflight. The "
            "reference is what one `EmailMessage` of the result costs.",
            compete(
                {
                    "one EmailMessage": lambda: timed(lambda: plain.bytes("a@example.org"), 1),
                    "compile the issue": lambda: timed(
                        lambda: [
                            compile_issue(source, factories.identity(), folders)
                            for _ in range(COMPILES)
                        ],
                        COMPILES,
                    ),
                },
                ROUNDS,
            ),
        ),
        _table(
            "Make one recipient's message",
            "Links, pixel, unsubscribe tokens, headers, merge fields; the reference fills in the "
            "address alone.",
            compete(
                {
                    "EmailMessage, built and serialised": lambda: timed(
                        lambda: [plain.bytes("a@example.org") for _ in range(MESSAGES)], MESSAGES
                    ),
                    "splice of the prepared mail": lambda: timed(
                        lambda: [personalise(mail, recipient, 1, keys) for _ in range(MESSAGES)],
                        MESSAGES,
                    ),
                },
                ROUNDS,
            ),
        ),
        _table(
            "Send, end to end",
            f"{RECIPIENTS:,} recipients into Postfix's `smtp-sink` on the same machine. Ours "
            "claims from the ledger, checks consent again, commits the intent, offers the message and "
            "commits the outcome, with durable commits; the reference builds and sends, and "
            "remembers nothing. CPU is that of the sending process; PostgreSQL's own is not in it.",
            _send(plain, text),
        ),
    ]
    page = "\n".join(pages)
    (ROOT / "BENCHMARKS.md").write_text(page, encoding="utf-8")
    print(page)


def _send(plain: PlainMail, text: str) -> dict[str, Result]:
    with (
        processes.smtp_sink() as sink,
        processes.postgresql(durable=True) as server,
        tempfile.TemporaryDirectory(dir=ROOT / "var") as folder,
        on_sqlite(Path(folder)) as sqlite,
        on_postgresql(server) as postgresql,
    ):
        to = addresses(RECIPIENTS)
        small, large = (
            Engine(sessions, sink, text, RECIPIENTS) for sessions in (sqlite, postgresql)
        )
        return compete(
            {
                REFERENCE: lambda: timed(partial(plain.send_all, sink, to), RECIPIENTS),
                "ours on SQLite, 1 connection": small.round,
                "ours on PostgreSQL, 1 connection": large.round,
                "ours on PostgreSQL, 4 connections": partial(large.round, 4),
            },
            ROUNDS,
        )


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
