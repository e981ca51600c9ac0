"""What templates see of an issue: text ready to show, links and fields already placeholders."""

from dataclasses import dataclass
from typing import Any

from markupsafe import Markup, escape

from newsletter.core.sentences import say
from newsletter.issues.source import Entry, IssueSource, Prose, Section
from newsletter.rendering import markdown, plaintext, speaking
from newsletter.rendering.compiled import SenderIdentity
from newsletter.rendering.palette import Palette
from newsletter.rendering.placeholders import Placeholders

WORDS_PER_MINUTE = 230
_IN_SECTION, _IN_ENTRY = 3, 4
"""The level of a heading below a section's <h2> and an entry's <h3>."""

_SOURCE_LABEL = say("Read at source")


@dataclass(frozen=True, slots=True)
class Body:
    """A run of text in each of its shapes; `slot` stands for `html` until MJML has compiled."""

    html: Markup
    slot: str
    text: str


@dataclass(frozen=True, slots=True)
class EntryView:
    """One entry; empty strings and None for what it does not have."""

    title: str
    href: str
    author: str
    source_href: str
    source_label: str
    summary: Body | None
    audience: Body | None


@dataclass(frozen=True, slots=True)
class SectionView:
    """One section; `is_opening`: the first one, and prose."""

    title: str
    body: Body | None
    entries: tuple[EntryView, ...]
    is_opening: bool


def view(
    source: IssueSource, identity: SenderIdentity, subject: str, placeholders: Placeholders
) -> dict[str, Any]:
    """Every variable of the digest templates; `templates/email/README.md` lists them."""
    sections = [
        _section(section, placeholders, source.lang, is_first=number == 0)
        for number, section in enumerate(source.sections)
    ]
    last = sections[-1]
    closing = last if len(sections) > 1 and last.body and not last.entries else None
    return {
        "lang": source.lang,
        "dir": speaking.direction(source.lang),
        "title": source.title or identity.newsletter_name,
        "subject": subject,
        "preheader": placeholders.fields_in(source.preheader, source.lines.get("preheader", 1)),
        "date": source.date.isoformat(),
        "long_date": speaking.long_day(source.date, source.lang),
        "reads": sum(len(section.entries) for section in sections),
        "minutes": max(1, round(_words(source) / WORDS_PER_MINUTE)),
        "sections": sections,
        "main_sections": sections[:-1] if closing else sections,
        "closing": closing,
        "categories": source.categories,
        "newsletter_name": identity.newsletter_name,
        "newsletter_slug": identity.newsletter_slug,
        "postal_address": identity.postal_address,
        "archive_url": identity.archive_url,
        "colours_url": _colours_url(identity),
        "recipient_email": placeholders.name("email"),
        "unsubscribe_url": placeholders.name("unsubscribe"),
        "preferences_url": placeholders.name("preferences"),
        "logo": identity.look.logo,
        **colours(identity.look.palette),
    }


def _colours_url(identity: SenderIdentity) -> str:
    """Where the web version gets the newsletter's own colours; empty: it has none."""
    if identity.look.palette == Palette():
        return ""
    return f"/archive/{identity.newsletter_slug}/colours.css"


def colours(palette: Palette) -> dict[str, Any]:
    """The colours as every template and style sheet knows them."""
    return {"light": palette.light, "dark": palette.dark}


def _section(
    section: Section, placeholders: Placeholders, lang: str, *, is_first: bool
) -> SectionView:
    return SectionView(
        title=placeholders.fields_in(section.title, section.line),
        body=_body(section.body, placeholders, _IN_SECTION),
        entries=tuple(_entry(entry, placeholders, lang) for entry in section.entries),
        is_opening=is_first and section.body is not None and not section.entries,
    )


def _entry(entry: Entry, placeholders: Placeholders, lang: str) -> EntryView:
    line = entry.line
    title = placeholders.fields_in(entry.title, line)
    href = placeholders.link(entry.url, title, line) if entry.url else ""
    source_url = entry.source_url or entry.url
    is_named = entry.source_name not in ("", "Source")
    label = entry.source_name if is_named else speaking.said(_SOURCE_LABEL, lang)
    return EntryView(
        title=title,
        href=href,
        author=entry.author,
        source_href=placeholders.link(source_url, title, line) if source_url else "",
        source_label=label,
        summary=_summary(entry, placeholders),
        audience=_body(entry.audience, placeholders, _IN_ENTRY),
    )


def _summary(entry: Entry, placeholders: Placeholders) -> Body | None:
    """The summary; the lead of the plain digest form is its first sentence, set apart."""
    rest = _body(entry.summary, placeholders, _IN_ENTRY)
    if not entry.lead:
        return rest
    lead = placeholders.fields_in(entry.lead, entry.line)
    start = Markup('<p><span class="lead">{}</span>').format(lead)
    tail = Markup("</p>") if rest is None else Markup(" ") + rest.html[len("<p>") :]
    text = f"{lead} {rest.text if rest else ''}".strip()
    return _shaped(start + tail, plaintext.plain_to_text(" ".join(text.split())), placeholders)


def _body(prose: Prose | None, placeholders: Placeholders, heading_level: int) -> Body | None:
    if prose is None:
        return None
    if not prose.markdown:
        filled = placeholders.fields_in(prose.text, prose.line)
        paragraphs = filled.split("\n\n")
        html = "".join(f"<p>{escape(paragraph)}</p>" for paragraph in paragraphs)
        safe = Markup(html)  # noqa: S704 - escaped a moment ago
        return _shaped(safe, plaintext.plain_to_text(filled), placeholders)
    tokens = markdown.tokens(prose, placeholders, heading_level)
    html = Markup(markdown.to_html(tokens).strip())  # noqa: S704 - cleaned by nh3 a moment ago
    return _shaped(html, plaintext.to_text(tokens), placeholders)


def _shaped(html: Markup, text: str, placeholders: Placeholders) -> Body:
    return Body(html, placeholders.slot(html), text)


def _words(source: IssueSource) -> int:
    texts = []
    for section in source.sections:
        texts.append(section.body.text if section.body else "")
        for entry in section.entries:
            proses = (entry.summary, entry.audience)
            texts += [entry.title, entry.lead, *(p.text for p in proses if p)]
    return sum(len(text.split()) for text in texts)
