"""What an editor sees of a text while writing it: findings by line, size, the mail itself.

Nothing here writes, and nothing needs the text to be stored.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from hashlib import sha256

from newsletter.broadcasts import planning
from newsletter.broadcasts.basis import basis_of
from newsletter.core.config import Settings
from newsletter.core.errors import ConfigurationError, InputError
from newsletter.core.sections import SenderSettings
from newsletter.issues.models import Issue, Newsletter
from newsletter.issues.parsing import parse
from newsletter.issues.placing import misplaced, of_another
from newsletter.issues.source import IssueSource, SourceError
from newsletter.rendering.compiled import CompiledEmail, SenderIdentity
from newsletter.rendering.findings import Finding, Severity
from newsletter.rendering.preflight import largest_bytes

CLIPPED_BYTES = 102_000
"""Where Gmail cuts a mail off; preflight stops some way before."""

_MOST_REMEMBERED = 1_000
_ready: dict[bytes, bool] = {}
_STAND_IN = "newsletter@example.org"


@dataclass(frozen=True, slots=True)
class Checked:
    """A text, looked at.

    Attributes:
        findings: in the order of lines; those about settings last.
        source: None when the text cannot be read.
        email: None when there is no source, or a template is wrong.
        size_bytes: of the HTML with the longest values; 0 without a mail.
    """

    findings: tuple[Finding, ...]
    source: IssueSource | None = None
    identity: SenderIdentity | None = None
    email: CompiledEmail | None = None
    size_bytes: int = 0

    @property
    def errors(self) -> int:
        return sum(finding.severity is Severity.ERROR for finding in self.findings)

    @property
    def is_ready(self) -> bool:
        """Nothing in the text keeps it from being sent; the settings are another matter."""
        return not any(
            finding.severity is Severity.ERROR and not finding.is_about_settings
            for finding in self.findings
        )


def check(text: str, issue: Issue, settings: Settings, *, today: date) -> Checked:
    """Read, compile and check a text as this issue's; `issue.newsletter` has to be loaded.

    Raises:
        ConfigurationError: the operator's folder of templates is not there.
    """
    try:
        source = parse(text, "text")
        # Whether another date is free shows when it is saved.
        is_stored = text == issue.source
        problem = misplaced(issue, source) if is_stored else of_another(issue.newsletter, source)
    except SourceError as error:
        return Checked((_unreadable("text-unreadable", error),))
    identity, missing = identity_for(issue.newsletter, source.date, settings)
    findings = [*missing, *([_unreadable("issue-misplaced", problem)] if problem else [])]
    try:
        compilation = planning.compiled(source, identity, settings, today=today)
    except InputError as error:
        wrong = Finding("template-wrong", Severity.ERROR, error.sentence, is_about_settings=True)
        return Checked((*findings, wrong), source, identity)
    findings += compilation.findings
    return Checked(
        in_order(findings),
        source,
        identity,
        compilation.email,
        largest_bytes(compilation.email),
    )


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """By line; those about settings last."""
    return tuple(sorted(findings, key=lambda f: (f.is_about_settings, f.line or 0, f.code)))


def is_ready(issue: Issue, settings: Settings) -> bool:
    """Nothing in the stored text keeps the issue from being sent.

    Remembered for as long as neither issue nor newsletter changes: a list asks it of many issues
    again and again, and each time costs some hundredths of a second.
    """
    basis = repr((sorted(basis_of(issue).items()), settings.templates.dir))
    key = sha256(basis.encode(errors="replace")).digest()
    if key not in _ready:
        if len(_ready) >= _MOST_REMEMBERED:
            _ready.clear()
        _ready[key] = check(issue.source, issue, settings, today=issue.date).is_ready
    return _ready[key]


def identity_for(
    newsletter: Newsletter, day: date, settings: Settings
) -> tuple[SenderIdentity, list[Finding]]:
    """Under which the mail would go; made up where no sender is known, which is a finding."""
    try:
        return planning.sender_identity(newsletter, day, settings), []
    except (ConfigurationError, InputError) as error:
        finding = Finding("sender-missing", Severity.ERROR, error.sentence, is_about_settings=True)
        known = settings.sender.model_copy(update={"address": _STAND_IN})
        assert isinstance(known, SenderSettings)
        stood_in = settings.model_copy(update={"sender": known})
        return planning.sender_identity(_without_address(newsletter), day, stood_in), [finding]


def _without_address(newsletter: Newsletter) -> Newsletter:
    """The newsletter as it is, but for a sender's address that cannot be read."""
    return Newsletter(
        id=newsletter.id,
        slug=newsletter.slug,
        name=newsletter.name,
        sender_name=newsletter.sender_name,
        sender_address="",
        postal_address=newsletter.postal_address,
        list_id=newsletter.list_id,
        reply_to="",
        tracking_mode=newsletter.tracking_mode,
    )


def _unreadable(code: str, error: SourceError) -> Finding:
    line = error.place.rpartition(":")[2]
    return Finding(code, Severity.ERROR, error.problem, int(line) if line.isdigit() else 1)
