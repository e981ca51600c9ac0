"""Chapters about making mails: compiling an issue, splicing one recipient's message."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from benchmarks.engine import ROOT
from benchmarks.interleaved import Result, Sample, compete, timed
from benchmarks.mails import KEYS
from benchmarks.page import Chapter, results_table
from benchmarks.plain import PlainMail
from benchmarks.sending import Scale
from newsletter.core.clock import now
from newsletter.issues.parsing import parse, read_text
from newsletter.rendering.compiled import Frozen, WireForm
from newsletter.rendering.compiler import compile_issue
from newsletter.rendering.message import PreparedMail, personalise, prepare
from newsletter.rendering.templates import TemplateFolders
from tests import factories

ISSUE = ROOT / "examples" / "issues" / "2026-06-17-load-bearing.md"
FOLDERS = TemplateFolders.of()
COMPILES, MESSAGES = 20, 200


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


def compiling(scale: Scale) -> Chapter:
    subject = Subject.read()
    said = f"""\
Once per broadcast: parse, Markdown, MJML, styles, text part, web page, preflight, here of
`{ISSUE.relative_to(ROOT)}`. The reference is what one `EmailMessage` of the result costs."""
    contestants = {
        "one EmailMessage": lambda: subject.plain.bytes("a@example.org"),
        "compile the issue": subject.compile,
    }
    results = _repeated(contestants, COMPILES, scale.rounds)
    return Chapter("Compile an issue", said, results_table(results))


def splicing(scale: Scale) -> Chapter:
    subject = Subject.read()
    said = f"""\
Links, pixel, unsubscribe tokens, headers, merge fields: {len(subject.message()):,} bytes. The
reference fills in the address, no more."""
    contestants = {
        "EmailMessage, built and serialised": lambda: subject.plain.bytes("a@example.org"),
        "splice of the prepared mail": subject.message,
    }
    results = _repeated(contestants, MESSAGES, scale.rounds)
    return Chapter("Make one recipient's message", said, results_table(results))


def _repeated(
    work: Mapping[str, Callable[[], object]], times: int, rounds: int
) -> dict[str, Result]:
    def round_of(one: Callable[[], object]) -> Sample:
        return timed(lambda: [one() for _ in range(times)], times)

    return compete({name: partial(round_of, one) for name, one in work.items()}, rounds)
