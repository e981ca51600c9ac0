"""Preflight: what an editor should know before a thousand people do. Errors refuse to send."""

import re
from collections import Counter
from collections.abc import Iterator
from datetime import date
from ipaddress import ip_address
from itertools import pairwise
from urllib.parse import urlsplit

from newsletter.core.sentences import Count, say, say_n
from newsletter.issues.source import IssueSource
from newsletter.rendering.compiled import (
    CompiledEmail,
    SenderIdentity,
    is_damaged,
    placeholder_pattern,
)
from newsletter.rendering.findings import Finding, Severity
from newsletter.rendering.palette import LEAST_CONTRAST
from newsletter.rendering.schemes import Scheme

WARN_BYTES = 85_000
MAX_BYTES = 95_000
"""Gmail clips a mail at about 102 KB and hides the rest, the unsubscribe link with it."""

_LONGEST_VALUE = 120
"""Characters that a placeholder may become: a click URL with its token."""

_KNOWN_NAMES = re.compile(r"(link|field)\d+|email|unsubscribe|preferences|pixel")
_HEADING = re.compile(r"<h([1-6])\b")
_OUTSIDE_TAG = re.compile(r"<link\b[^>]*(?:stylesheet|fonts\.googleapis)|<script\b", re.IGNORECASE)
_STYLE = re.compile(r"<style\b[^>]*>(.*?)</style>", re.DOTALL | re.IGNORECASE)
_OUTSIDE_STYLE = re.compile(r"@import|@font-face|fonts\.googleapis", re.IGNORECASE)
_CODE = re.compile(r"<(pre|code)\b[^>]*>.*?</\1>", re.DOTALL)
_LANGUAGE = re.compile(r'<html lang="(?!und")')
_IMAGE = re.compile(r"<img\b[^>]*>")
_SHOUTING = re.compile(r"[A-Z]{4,}")


def check(
    source: IssueSource, identity: SenderIdentity, email: CompiledEmail, today: date | None
) -> list[Finding]:
    """Every check of a compiled issue; those made while compiling come on top."""
    misplaced = list(_misplaced_fields(source))
    found = [*_of_text(source), *misplaced, *_of_mail(email), *_of_settings(identity)]
    if not misplaced and "{{" in email.subject + _CODE.sub("", email.html):
        found.append(Finding("token-left", Severity.ERROR, say("readers would see a `{{`")))
    if today is not None and source.date < today:
        line = source.lines.get("date")
        text = say("the issue's date, %(date)s, is past", date=source.date.isoformat())
        found.append(Finding("date-in-past", Severity.WARNING, text, line))
    return found


def _of_text(source: IssueSource) -> Iterator[Finding]:
    if not source.subject:
        yield Finding(
            "subject-missing", Severity.WARNING, say("no subject: title and date stand in"), 1
        )
    elif _SHOUTING.search(source.subject) or "!!" in source.subject:
        line = source.lines.get("subject")
        yield Finding("subject-shouts", Severity.WARNING, say("the subject shouts like spam"), line)
    if not source.preheader:
        yield Finding(
            "preheader-missing",
            Severity.WARNING,
            say("no preheader: mail programs show the first words of the mail instead"),
            1,
        )
    yield from _of_entries(source)


def _misplaced_fields(source: IssueSource) -> Iterator[Finding]:
    """These texts are the same for every reader, in the archive and in the feed too."""
    entries = [entry for section in source.sections for entry in section.entries]
    lines = source.lines
    for what, text, line in (
        (say("the title"), source.title, lines.get("title")),
        (say("categories"), " ".join(source.categories), lines.get("categories")),
        *((say("an author"), entry.author, entry.line) for entry in entries),
        *((say("a source's name"), entry.source_name, entry.line) for entry in entries),
    ):
        if "{{" in text:
            problem = say(
                "%(what)s cannot hold a merge field: %(text)s", what=what, text=text[:200]
            )
            yield Finding("merge-field-misplaced", Severity.ERROR, problem, line)


def _of_entries(source: IssueSource) -> Iterator[Finding]:
    entries = [entry for section in source.sections for entry in section.entries]
    urls = Counter(entry.url for entry in entries if entry.url)
    for section in source.sections:
        if section.body is None and not section.entries:
            yield Finding(
                "section-empty",
                Severity.ERROR,
                say("%(title)r is empty", title=section.title),
                section.line,
            )
    for entry in entries:
        if not entry.url:
            text = say("an entry has no link")
            yield Finding("entry-without-link", Severity.WARNING, text, entry.line)
        elif urls[entry.url] > 1:
            text = say_n(
                "%(url)s is linked by %(n)s entry",
                "%(url)s is linked by %(n)s entries",
                urls[entry.url],
                url=entry.url,
            )
            yield Finding("link-duplicate", Severity.WARNING, text, entry.line)


def _of_mail(email: CompiledEmail) -> Iterator[Finding]:
    size = largest_bytes(email)
    if size > WARN_BYTES:
        severity = Severity.ERROR if size > MAX_BYTES else Severity.WARNING
        text = say(
            "the mail is %(size)s bytes; Gmail clips at about 102,000, we stop at %(most)s",
            size=Count(size),
            most=Count(MAX_BYTES),
        )
        yield Finding("size", severity, text)
    for code, wrong, text in (
        (
            "unsubscribe-missing",
            f"{email.nonce}-unsubscribe-" not in email.html,
            say("no unsubscribe link in the HTML"),
        ),
        (
            "unsubscribe-missing",
            f"{email.nonce}-unsubscribe-" not in email.text,
            say("no unsubscribe link in the text"),
        ),
        ("text-missing", not email.text.strip(), say("no text part")),
        ("lang-missing", not _LANGUAGE.search(email.html), say("the HTML names no language")),
        (
            "dark-rules-missing",
            "prefers-color-scheme: dark" not in email.html,
            say("no dark rules"),
        ),
        (
            "outside-resource",
            _reaches_outside(email.html),
            say("fonts, styles or scripts from outside"),
        ),
        ("image-without-width", _image_without_width(email.html), say("an image without a width")),
        ("heading-order", _skips_a_level(email.html), say("headings skip a level")),
        ("token-left", _unknown_placeholders(email), say("a placeholder that nothing fills")),
    ):
        if wrong:
            yield Finding(code, Severity.ERROR, text)


def _of_settings(identity: SenderIdentity) -> Iterator[Finding]:
    if not identity.postal_address:
        yield Finding(
            "postal-address-missing",
            Severity.ERROR,
            say("no postal address: set `postal_address` under [sender] in newsletter.toml"),
            is_about_settings=True,
        )
    yield from _of_base_url(identity.base_url)
    for weak in identity.look.palette.weaknesses():
        text = say(
            "the %(scheme)s colour for %(name)s is hard to read: contrast %(contrast)s, "
            "expected %(least)s or more",
            scheme=Scheme(weak.scheme),
            name=weak.name,
            contrast=weak.contrast,
            least=LEAST_CONTRAST,
        )
        yield Finding("contrast-low", Severity.WARNING, text, is_about_settings=True)


def _of_base_url(base_url: str) -> Iterator[Finding]:
    """One-click unsubscribe has to be https (RFC 8058 section 3.1), and reachable."""
    parts = urlsplit(base_url)
    if parts.scheme == "https":
        return
    here_only = _is_loopback(parts.hostname or "")
    text = (
        say("the links lead to %(url)s, to this machine only", url=base_url)
        if here_only
        else say(
            "the links lead to %(url)s, and mail programs want https to unsubscribe by",
            url=base_url,
        )
    )
    yield Finding(
        "base-url-local" if here_only else "base-url-insecure",
        Severity.WARNING if here_only else Severity.ERROR,
        say("%(text)s: set `base_url` under [site] in newsletter.toml", text=text),
        is_about_settings=True,
    )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def largest_bytes(email: CompiledEmail) -> int:
    """The size of the HTML once the longest values stand in it."""
    filled = placeholder_pattern(email.nonce).sub("x" * _LONGEST_VALUE, email.html)
    return len(filled.encode())


def _unknown_placeholders(email: CompiledEmail) -> bool:
    pattern = placeholder_pattern(email.nonce)
    for text in (email.html, email.text, email.subject):
        names = pattern.findall(text)
        if is_damaged(email.nonce, pattern.sub("", text)):
            return True
        if not all(_KNOWN_NAMES.fullmatch(name) for name in names):
            return True
    return False


def _reaches_outside(page: str) -> bool:
    """In tags and styles; what readers see may speak of such things."""
    styles = "".join(_STYLE.findall(page))
    return bool(_OUTSIDE_TAG.search(page) or _OUTSIDE_STYLE.search(styles))


def _image_without_width(page: str) -> bool:
    return any(" width=" not in image[0] for image in _IMAGE.finditer(page))


def _skips_a_level(page: str) -> bool:
    levels = [0, *(int(level) for level in _HEADING.findall(page))]
    return any(below > above + 1 for above, below in pairwise(levels))
