"""The pipeline: an issue and its templates to a mail compiled once. No database, no network."""

from dataclasses import dataclass
from datetime import date

from newsletter.issues.source import IssueSource
from newsletter.rendering import preflight
from newsletter.rendering.compiled import CompiledEmail, SenderIdentity
from newsletter.rendering.findings import Finding
from newsletter.rendering.mjml import compile_mjml
from newsletter.rendering.palette import Palette
from newsletter.rendering.placeholders import Placeholders
from newsletter.rendering.templates import TemplateFolders
from newsletter.rendering.view import colours, view

STYLE_SHEET = "inline.css"


@dataclass(frozen=True, slots=True)
class Compilation:
    """What compiling yields.

    Attributes:
        mjml: the filled-in MJML, for designers to look at.
        findings: in the order of the issue's lines.
    """

    email: CompiledEmail
    mjml: str
    findings: tuple[Finding, ...]


def compile_issue(
    source: IssueSource,
    identity: SenderIdentity,
    templates: TemplateFolders,
    *,
    today: date | None = None,
) -> Compilation:
    """Compile an issue and check it; with `today` a date in the past is noticed too.

    Raises:
        TemplateError: a designer's file is wrong. What is wrong with the issue is a finding.
    """
    placeholders = Placeholders(identity.base_url)
    subject = placeholders.fields_in(_subject(source, identity), source.lines.get("subject", 1))
    variables = view(source, identity, subject, placeholders)
    look = identity.look
    mjml = templates.render(f"{look.template}.mjml", variables)
    page = finish_html(mjml, f"{look.template}.mjml", placeholders, templates, look.palette)
    text = tidy(templates.render(f"{look.template}.txt", variables))
    webpage = templates.render("webpage.html", variables)
    email = CompiledEmail(
        subject=subject,
        preheader=variables["preheader"],
        lang=source.lang,
        html=page.replace("</body>", placeholders.name("pixel") + "</body>"),
        text=text,
        webpage=placeholders.resolved(webpage, as_html=True),
        nonce=placeholders.nonce,
        links=placeholders.links,
        fields=tuple(placeholders.fields),
    )
    findings = [*placeholders.findings, *preflight.check(source, identity, email, today)]
    return Compilation(email, mjml, tuple(sorted(findings, key=lambda f: (f.line or 0, f.code))))


def finish_html(
    mjml: str,
    name: str,
    placeholders: Placeholders,
    templates: TemplateFolders,
    palette: Palette,
) -> str:
    """Filled-in MJML to the HTML of a mail: compiled, bodies put in, styles laid on."""
    # An eighth of what a start costs, and no process that sends needs it.
    from newsletter.rendering.css import inline_css

    page = placeholders.fill_slots(compile_mjml(mjml, name))
    return inline_css(page, templates.render(STYLE_SHEET, colours(palette)))


def tidy(text: str) -> str:
    """No white space at line ends, never more than one empty line, one line break at the end."""
    lines: list[str] = []
    for line in (raw.rstrip() for raw in text.strip("\n").split("\n")):
        if line or (lines and lines[-1]):
            lines.append(line)
    return "\n".join(lines).rstrip("\n") + "\n"


def _subject(source: IssueSource, identity: SenderIdentity) -> str:
    title = source.title or identity.newsletter_name
    return source.subject or f"{title} — {source.date.isoformat()}"
