"""What is wrong with an issue: a code, a severity, a line, a sentence."""

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
