"""`newsletter issues`: write, check, render, store."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from sqlalchemy.orm import Session

from newsletter.broadcasts import sent_issues
from newsletter.cli import output, state
from newsletter.core.clock import now
from newsletter.core.config import Settings
from newsletter.core.errors import RefusedError
from newsletter.core.sentences import say
from newsletter.issues import editing
from newsletter.issues.beginning import skeleton
from newsletter.issues.editing import Stored
from newsletter.issues.newsletters import begun_by
from newsletter.issues.parsing import parse, read_text
from newsletter.issues.source import IssueSource
from newsletter.rendering.compiled import SenderIdentity
from newsletter.rendering.compiler import Compilation, compile_issue
from newsletter.rendering.findings import Finding, Severity, alike
from newsletter.rendering.sample import as_shown, sample_message
from newsletter.rendering.templates import TemplateFolders
from subscribers.recipient import Recipient

app = typer.Typer(help="Write, check, render and store issues.", no_args_is_help=True)

File = Annotated[Path, typer.Argument(metavar="FILE", help="An issue in either form.")]


@app.command()
def new(
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="Default: issue-DATE.md.")
    ] = None,
    *,
    dry_run: output.DryRun = False,
) -> None:
    """Write a skeleton to fill in; never overwrites a file."""
    day = now().astimezone().date()
    path = file or Path(f"issue-{day.isoformat()}.md")
    if path.exists():
        raise RefusedError(say("%(path)s is there already", path=path))
    if not dry_run:
        path.write_text(skeleton(day), encoding="utf-8")
    output.say(f"{'Would write' if dry_run else 'Wrote'} {path}.")


@app.command()
def check(file: File, *, as_json: output.AsJson = False) -> None:
    """Print what preflight finds; exit code 1 if there is an error. Needs no database."""
    findings = [
        finding
        for finding in compile_file(file, state.settings()).findings
        if not finding.is_about_settings
    ]
    if as_json:
        output.print_json([_as_data(finding) for finding in findings])
    else:
        print_findings(str(file), findings)
        errors = sum(finding.severity is Severity.ERROR for finding in findings)
        output.say(f"{file}: {errors} errors, {len(findings) - errors} warnings.")
    if any(finding.severity is Severity.ERROR for finding in findings):
        raise typer.Exit(1)


@app.command()
def render(
    file: File,
    *,
    out: Annotated[Path, typer.Option(help="The folder to write into; made if missing.")],
    dry_run: output.DryRun = False,
) -> None:
    """Write issue.html, issue.txt, issue.mjml and message.eml. Needs no database or network."""
    settings = state.settings()
    compilation = compile_file(file, settings) if dry_run else render_to(file, out, settings)
    print_findings(str(file), compilation.findings)
    done = "Would write" if dry_run else "Wrote"
    output.say(f"{done} issue.html, issue.txt, issue.mjml and message.eml to {out}.")


@app.command("import")
def import_(file: File, *, dry_run: output.DryRun = False) -> None:
    """Store an issue; the same date again makes a revision. A sent issue does not change."""
    text = read_text(file)
    source = parse(text, str(file))
    runtime = state.runtime()
    with runtime.sessions.writing(rehearse=dry_run) as session:
        stored = store(session, runtime.settings, source, text)
        name = stored.issue.newsletter.name
    if stored.newsletter_created:
        output.say(f"Newsletter {name!r} is new{' and would be' if dry_run else ' and was'} made.")
    done = "is new" if stored.created else "changes" if stored.changed else "is stored already"
    output.say(
        f"Issue {source.date.isoformat()} of {name} {done}"
        f"{'; nothing was stored' if dry_run else f' (id {stored.issue.id})'}."
    )


@app.command("list")
def list_(*, as_json: output.AsJson = False) -> None:
    """All stored issues, the newest first."""
    with state.runtime().sessions.reading() as session:
        rows = [
            {
                "id": issue.id,
                "newsletter": issue.newsletter.slug,
                "date": issue.date,
                "subject": issue.subject,
                "revision": issue.revision,
                "sent": sent_issues.was_sent(session, issue),
            }
            for issue in editing.list_issues(session)
        ]
    output.print_table(rows, as_json=as_json, empty="No issue yet: `newsletter issues new`.")


@app.command()
def show(
    issue: Annotated[str, typer.Argument(metavar="ISSUE", help="A date or an id.")],
    *,
    as_json: output.AsJson = False,
) -> None:
    """Print a stored issue's text."""
    with state.runtime().sessions.reading() as session:
        found = editing.find_issue(session, issue)
        details = {
            "id": found.id,
            "newsletter": found.newsletter.slug,
            "date": found.date,
            "subject": found.subject,
            "revision": found.revision,
            "source": found.source,
        }
    if as_json:
        output.print_json(details)
    else:
        output.write(found.source.rstrip("\n") + "\n")


def store(session: Session, settings: Settings, source: IssueSource, text: str) -> Stored:
    """Store an issue; one that was sent does not change any more."""
    return editing.store(
        session,
        source,
        text,
        is_sent=lambda issue: sent_issues.was_sent(session, issue),
        settings=settings,
    )


def compile_file(file: Path, settings: Settings) -> Compilation:
    """Compile a file under the identity that its newsletter would have if it were new."""
    source = parse(read_text(file), str(file))
    templates = TemplateFolders.of(settings.templates.dir)
    today = now().astimezone().date()
    return compile_issue(source, _identity(source, settings), templates, today=today)


def render_to(file: Path, folder: Path, settings: Settings) -> Compilation:
    """Write every shape of an issue into a folder, whatever the findings."""
    source = parse(read_text(file), str(file))
    compilation = compile_file(file, settings)
    recipient = Recipient(0, "reader@example.org", "reader@example.org", name="Reader")
    message = sample_message(compilation.email, _identity(source, settings), recipient, now())
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "message.eml").write_bytes(message)
    (folder / "issue.mjml").write_text(compilation.mjml, encoding="utf-8")
    shown = as_shown(message)
    (folder / "issue.html").write_text(shown.html, encoding="utf-8")
    (folder / "issue.txt").write_text(shown.text, encoding="utf-8")
    return compilation


def print_findings(place: str, findings: Sequence[Finding]) -> None:
    """One line each, as compilers print them; the same text in many places is one line."""
    for same in alike(findings):
        found, where = same.finding, ":".join([place, *map(str, same.lines[:1])])
        also = f" (also on line {', '.join(map(str, same.lines[1:]))})" if same.lines[1:] else ""
        output.problem(f"{where}: {found.severity.value} {found.code}: {found.text}{also}")


def _identity(source: IssueSource, settings: Settings) -> SenderIdentity:
    """Of a newsletter that nobody has stored yet; made-up where the settings are silent."""
    begun = begun_by(source, settings)
    address = settings.sender.address or "newsletter@example.org"
    return SenderIdentity(
        newsletter_id=0,
        newsletter_slug=begun.slug,
        newsletter_name=begun.name,
        sender_name=settings.sender.name or begun.name,
        sender_address=address,
        postal_address=settings.sender.postal_address,
        list_id=f"{begun.slug}.{address.rpartition('@')[2]}",
        base_url=settings.site.public_url,
        archive_url=f"{settings.site.public_url}/archive/{begun.slug}/{source.date.isoformat()}",
    )


def _as_data(finding: Finding) -> dict[str, Any]:
    return {
        "code": finding.code,
        "severity": finding.severity.value,
        "line": finding.line,
        "text": finding.text,
    }
