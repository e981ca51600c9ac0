"""What is wrong with an issue: a code, a severity, a line, a sentence."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from newsletter.core.sentences import Sentence


class Severity(StrEnum):
    """Errors refuse to send; warnings are for the editor to judge."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that preflight noticed.

    Attributes:
        code: stable name of the check, such as `link-malformed`.
        line: of the issue's source, from 1; None when it concerns the whole.
        is_about_settings: mended in the settings, not in the issue's text.
    """

    code: str
    severity: Severity
    text: Sentence
    line: int | None = None
    is_about_settings: bool = False


@dataclass(frozen=True, slots=True)
class Alike:
    """Findings that say the same of several lines.

    Attributes:
        lines: each once, in order; empty when they concern the whole.
        count: how many findings.
    """

    finding: Finding
    lines: tuple[int, ...]
    count: int


def alike(findings: Iterable[Finding]) -> list[Alike]:
    """Put together what says the same, in the order of what each said first."""
    together: dict[tuple[Severity, str, str], list[Finding]] = {}
    for found in findings:
        together.setdefault((found.severity, found.code, found.text), []).append(found)
    return [
        Alike(same[0], tuple(dict.fromkeys(f.line for f in same if f.line)), len(same))
        for same in together.values()
    ]
