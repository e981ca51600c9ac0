"""Whether an issue can be sent: compiled and checked as it is now."""

from collections.abc import Sequence
from dataclasses import dataclass

from newsletter.broadcasts import planning
from newsletter.broadcasts.planning import Plan, PreflightError
from newsletter.core.clock import now
from newsletter.core.errors import ConfigurationError, InputError
from newsletter.core.runtime import Runtime
from newsletter.rendering.findings import Finding, Severity
from newsletter.web.desk.editor import Editor
from newsletter.web.desk.problems import capitalised


@dataclass(frozen=True, slots=True)
class Check:
    """What came of it: a plan, or why there is none.

    Attributes:
        problem: why it could not even be checked.
    """

    plan: Plan | None
    findings: Sequence[Finding]
    problem: str = ""

    @property
    def errors(self) -> list[Finding]:
        return [f for f in self.findings if f.severity is Severity.ERROR]

    @property
    def warnings(self) -> list[Finding]:
        return [f for f in self.findings if f.severity is Severity.WARNING]


def check(runtime: Runtime, editor: Editor, issue_id: int) -> Check:
    """Compile and check the issue as it is now; no transaction is open meanwhile."""
    today = now().astimezone(editor.zone).date()
    try:
        plan = planning.prepare_stored(runtime.sessions, issue_id, runtime.settings, today=today)
    except PreflightError as error:
        return Check(None, error.findings)
    except (ConfigurationError, InputError) as error:
        return Check(None, (), capitalised(error.sentence))
    return Check(plan, plan.compilation.findings)
